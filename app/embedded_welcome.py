"""What ``./run`` tells a newcomer once the service is ready."""

import http.client
import json
import shlex
import time

from app.embedded_processes import say
from app.settings import Settings

POLL_S = 0.2
ANSWER_WITHIN_S = 1.0
SLOW_START_S = 60.0
KEY_COMMAND = ".venv/bin/flask --app app.wsgi keys create ws_123"


class Welcome:
    """Waits for the service to be ready, then tells a newcomer where everything is."""

    def __init__(self, settings: Settings, first_login: str) -> None:
        self._settings = settings
        self._first_login = first_login
        self._late_at = time.monotonic() + SLOW_START_S
        self._done = False
        # A service on all addresses is reached on this machine as well.
        self._host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104

    def poll(self) -> float | None:
        """Look once; answer the seconds until the next look, None after the welcome."""
        if self._done:
            return None
        if self._answers("/healthz") and self._answers("/readyz"):
            self._done = True
            say(self.text)
            return None
        if time.monotonic() >= self._late_at:
            self._late_at = float("inf")
            say(f"Not ready after {SLOW_START_S:g} s, still trying; {self._url}/readyz says what is missing")
        return POLL_S

    @property
    def text(self) -> str:
        """What we say."""
        rows = [
            ("API", self._url),
            ("Docs", f"{self._url}/docs"),
            ("Panel", f"{self._url}/admin/"),
            ("Sending", self._carrier),
        ]
        table = [f"  {name:<9}{value}" for name, value in rows]
        login = [f"  {line}" for line in self._first_login.splitlines()]
        key = ["", f"  {KEY_COMMAND}    makes an API key"] if self._settings.auth_required else []
        trial = ["Try it:", *key, "", f"  {self._curl}", "", "Ctrl-C stops it."]
        return "\n".join(["", "Bellhop is ready.", "", *table, *login, "", *trial])

    @property
    def _url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._settings.port}"

    @property
    def _carrier(self) -> str:
        if self._settings.sms_provider == "sandbox":
            return "messages go to the built-in test carrier; nothing is really sent"
        return f"messages go out through Twilio account {self._settings.twilio_account_sid}"

    @property
    def _curl(self) -> str:
        real = self._settings.sms_provider == "twilio"
        message = {
            "to": "YOUR_NUMBER" if real else "+1234567890",
            "body": "Hello, this is an immediate message",
            "workspaceId": "ws_123",
            "fromNumber": self._settings.twilio_from_number or "+1987654321",
        }
        headers = ["Content-Type: application/json"]
        if self._settings.auth_required:
            headers.append("Authorization: Bearer YOUR_API_KEY")
        words = [word for header in headers for word in ("-H", header)]
        return shlex.join(["curl", f"{self._url}/api/trigger/send-sms", *words, "-d", json.dumps(message)])

    def _answers(self, path: str) -> bool:
        connection = http.client.HTTPConnection(self._host, self._settings.port, timeout=ANSWER_WITHIN_S)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
