"""The client of a chaos run: it repeats what was not answered, with the same key, as every client must."""

import http.client
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.acceptance.processes import Answer, RunningBellhop
from tests.chaos.installation import KEY, SENDER, WORKSPACE
from tests.chaos.plan import Change, Request, Text

REPEAT_FOR_S = 120.0
REPEAT_EVERY_S = 0.4
TIMEOUT_S = 15.0
PAGE = 100


class Refused(Exception):
    """The service said no where it had to say yes, or it never answered."""


@dataclass
class Asked:
    """A message that the service has accepted; ``due`` in seconds since 1970, ``fate`` what a change came to."""

    text: Text
    job_id: str
    due: float
    fate: str = "kept"


@dataclass
class Client:
    """Everything that was asked for, and what the answers were. Used by many threads."""

    bellhop: RunningBellhop
    asked: list[Asked] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    """How often which status came; "none" where there was no answer."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, request: Request, key: str, started: float) -> list[Asked]:
        """Ask for all texts of a planned request; what was due before it could be asked for is asked for again.

        Raises:
            Refused: see there.
        """
        made: list[Asked] = []
        texts = request.texts
        for repeat in range(20):
            begun = time.time()
            ends = [_due(text, request.at, started if repeat == 0 else begun - request.at) for text in texts]
            answer, _ = self._call(request.route, _body(request.route, texts, ends), f"{key}-{repeat}")
            results = _results(answer, len(texts))
            with self._lock:
                for text, end, result in zip(texts, ends, results, strict=True):
                    if result is not None:
                        # With no time in the answer it is due now, and that was not before we asked.
                        said = result.get("scheduledTime")
                        due = begun if said is None else datetime.fromisoformat(said).timestamp()
                        if request.route == "schedule-until" and abs(due - end) > 0.001:
                            self.problems.append(f"{text.body!r} was asked for {end}, and is due {due}")
                        made.append(Asked(text, result["jobId"], due))
            texts = tuple(text for text, result in zip(texts, results, strict=True) if result is None)
            if not texts:
                with self._lock:
                    self.asked += made
                return made
        raise Refused(f"{request.route} came too late again and again")

    def change(self, asked: Asked, change: Change) -> None:
        """Call a message off or move it, if it is not too late.

        Raises:
            Refused: see there.
        """
        body: dict[str, Any] = {"jobId": asked.job_id, "workspaceId": WORKSPACE}
        if change.due_in_s is None:
            answer, _ = self._call("cancel-job", body)
            asked.fate = "cancelled" if answer.status == 200 else "too late"
            return
        due = time.time() + change.due_in_s
        answer, tries = self._call("reschedule-job", body | {"scheduledTime": _iso(due)})
        if answer.status == 200:
            asked.due, asked.fate = due, "moved"
        elif tries > 1:
            # An earlier try, which was not answered, may have moved it.
            asked.due, asked.fate = min(due, asked.due), "perhaps moved"
        else:
            asked.fate = "too late"

    def rows(self, state: str = "") -> list[dict[str, Any]]:
        """The messages of the workspace, all or those in a state, as the API shows them.

        Raises:
            Refused: see there.
        """
        found: list[dict[str, Any]] = []
        query = f"limit={PAGE}" + (f"&status={state}" if state else "")
        cursor = ""
        while True:
            answer, _ = self._call(f"/api/messages?{query}{cursor}")
            found += answer.body["data"]["messages"]
            if not answer.body["data"]["nextCursor"]:
                return found
            cursor = f"&cursor={answer.body['data']['nextCursor']}"

    def _call(self, path: str, body: Any = None, key: str = "") -> tuple[Answer, int]:
        """The first answer that is one, and how many requests it took."""
        headers = {"Authorization": f"Bearer {KEY}"} | ({"Idempotency-Key": key} if key else {})
        method, path = ("GET", path) if body is None else ("POST", f"/api/trigger/{path}")
        gives_up, tries = time.monotonic() + REPEAT_FOR_S, 0
        while time.monotonic() < gives_up:
            tries += 1
            try:
                answer = self.bellhop.request(method, path, body, headers, timeout=TIMEOUT_S)
            except (OSError, http.client.HTTPException, ValueError):  # nobody there, or gone in the middle of it
                self._note("none")
            else:
                self._note(str(answer.status))
                if answer.status < 500:
                    return answer, tries
            time.sleep(REPEAT_EVERY_S)
        raise Refused(f"{path} was not answered in {REPEAT_FOR_S:g} s")

    def _note(self, answer: str) -> None:
        with self._lock:
            self.answers[answer] += 1


def _due(text: Text, at: float, started: float) -> float:
    return started + at + text.due_in_s


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")


def _body(route: str, texts: tuple[Text, ...], ends: list[float]) -> dict[str, Any]:
    items = [{"to": text.to, "body": text.body} for text in texts]
    if route == "schedule-bulk":
        timed = [item | {"scheduledTime": _iso(end)} for item, end in zip(items, ends, strict=True)]
        return {"workspaceId": WORKSPACE, "fromNumber": SENDER, "messages": timed}
    body: dict[str, Any] = items[0] | {"workspaceId": WORKSPACE, "fromNumber": SENDER}
    if route == "schedule-delay":
        body["delayMinutes"] = texts[0].due_in_s / 60
    if route == "schedule-until":
        body["scheduledTime"] = _iso(ends[0])
    return body


def _results(answer: Answer, count: int) -> list[dict[str, Any] | None]:
    """For each text what was accepted, None where its time had passed meanwhile."""
    if answer.status == 202 and "results" in answer.body["data"]:
        results = answer.body["data"]["results"]
        errors = [result["error"] for result in results if not result["success"]]
        if all(_is_past(error) for error in errors):
            return [result if result["success"] else None for result in results]
    elif answer.status == 202:
        return [answer.body["data"]]
    elif answer.status == 422 and _is_past(answer.body["error"]):
        return [None] * count
    raise Refused(f"{answer.status}: {answer.body}")


def _is_past(error: dict[str, Any]) -> bool:
    return bool(error.get("fields", {}).get("scheduledTime") == ["is in the past"])
