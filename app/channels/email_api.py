"""What email providers with an HTTP interface have in common: one JSON request for each message."""

import json
from collections.abc import Mapping
from typing import Any

from app.channels.answers import clean, retry_after
from app.channels.base import Failure, FailureKind
from app.channels.transport import Answer, NoAnswer, NotSent, Transport


class EmailApi:
    """A provider's HTTP interface with one API key. Safe for threads; make one in each process."""

    def __init__(self, company: str, *, api_key: str, base_url: str, timeout_s: float) -> None:
        self._company = company
        self._secret = api_key
        headers = {"Authorization": f"Bearer {api_key}", "User-Agent": "bellhop", "Accept": "application/json"}
        self._http = Transport(base_url, timeout_s=timeout_s, headers=headers)

    def close(self) -> None:
        """Close the idle connections."""
        self._http.close()

    def ask(
        self, method: str, target: str, document: Mapping[str, Any] | None = None, **headers: str
    ) -> Answer | Failure:
        """One exchange; names of headers are written with underscores."""
        text = None if document is None else json.dumps(document)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            return self._http.request(method, target, json=text, headers=named)
        except NotSent as error:
            return Failure(FailureKind.UNREACHABLE, f"{self._company} could not be reached: {error}.")
        except NoAnswer as error:
            why = f"The request left for {self._company}, but no clear answer came: {error}."
            return Failure(FailureKind.AMBIGUOUS, why)

    def failure(
        self,
        answer: Answer,
        kind: FailureKind,
        said: str | None,
        *,
        wait_s: float | None = None,
        min_delay_s: float = 0,
    ) -> Failure:
        """An answer that is no acceptance; ``wait_s`` is the provider's own word for how long to wait."""
        if not answer.whole and kind is FailureKind.PERMANENT:
            kind = FailureKind.TRANSIENT  # the status says refused, but the reason is lost: ask once more
        if said:
            text = f"{self._company} {answer.status}: {said}"
        elif 200 <= answer.status < 300:
            text = f"{self._company} answered HTTP {answer.status}, but what it said cannot be read."
        else:
            text = f"{self._company} answered HTTP {answer.status}."
        asked = retry_after(answer.headers.get("retry-after"))
        return Failure(
            kind,
            clean(text, self._secret),
            http_status=answer.status,
            retry_after_s=wait_s if asked is None else asked,
            min_delay_s=min_delay_s,
        )
