"""One exchange over HTTP: nothing leaves late, nothing takes long, and we always know whether it left."""

import contextlib
import logging
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from app.channels import transport
from app.channels.base import Accepted, Failure, FailureKind, OutgoingMessage
from app.channels.transport import NotSent, Transport
from app.channels.twilio import TwilioProvider
from tests.twilio_server import ACCOUNT_SID, AUTH_TOKEN, TwilioServer

MESSAGE = OutgoingMessage("attempt-1", "+61400000549", "+61400000000", "Tomorrow at 9:00")


@pytest.fixture
def twilio() -> Iterator[TwilioServer]:
    with TwilioServer() as server:
        yield server


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port that takes no more connections: what is sent to it is dropped, as by a firewall."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0.05)
            try:
                waiting.connect(listener.getsockname())
            except TimeoutError:
                break
        else:
            pytest.skip("this system takes connections beyond the backlog")
        yield listener.getsockname()[1]


def provider_at(url: str, timeout_s: float = 5) -> Any:
    made = TwilioProvider(account_sid=ACCOUNT_SID, auth_token=AUTH_TOKEN, base_url=url, timeout_s=timeout_s)
    return contextlib.closing(made)


def unreachable(url: str, timeout_s: float = 5) -> str:
    with provider_at(url, timeout_s) as provider:
        result = provider.send(MESSAGE)
    assert isinstance(result, Failure)
    assert result.kind is FailureKind.UNREACHABLE
    return result.message


def test_a_refused_connection_means_not_sent() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    assert unreachable(f"http://127.0.0.1:{port}") == "Twilio could not be reached: connection refused."


def test_no_connection_in_time_means_not_sent(deaf_port: int) -> None:
    started = time.monotonic()
    assert "no answer in time" in unreachable(f"http://127.0.0.1:{deaf_port}", 0.4)
    assert time.monotonic() - started < 0.4


def test_all_addresses_of_a_host_together_get_the_time_of_one(deaf_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def many(host: str, *args: Any, **kwargs: Any) -> Any:
        return real("127.0.0.1", *args, **kwargs) * (4 if host == "many.test" else 1)

    monkeypatch.setattr(socket, "getaddrinfo", many)
    started = time.monotonic()
    unreachable(f"http://many.test:{deaf_port}", 0.4)
    assert time.monotonic() - started < 0.4


def test_a_dead_address_does_not_hide_a_living_one(twilio: TwilioServer, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = (socket.AF_INET, socket.SOCK_STREAM, 6, "", unused.getsockname())

    def both(host: str, *args: Any, **kwargs: Any) -> Any:
        living = real("127.0.0.1", *args, **kwargs)
        return [dead, *living] if host == "both.test" else real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", both)
    with provider_at(f"http://both.test:{twilio.port}") as provider:
        assert isinstance(provider.send(MESSAGE), Accepted)


def test_a_name_that_does_not_resolve_means_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nothing)
    assert "did not resolve" in unreachable("http://nowhere.test")


def test_a_failed_tls_handshake_means_not_sent(twilio: TwilioServer) -> None:
    assert "TLS connection failed" in unreachable(f"https://127.0.0.1:{twilio.port}")
    assert twilio.requests == []


def test_what_connected_too_late_does_not_leave(twilio: TwilioServer, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def slow(*args: Any, **kwargs: Any) -> Any:
        time.sleep(0.15)  # a name server that takes its time
        return real(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    unreachable(twilio.url, 0.2)
    assert twilio.requests == []


def test_connections_are_kept_and_used_again(twilio: TwilioServer) -> None:
    http = Transport(twilio.url, timeout_s=5, headers={})
    for _ in range(5):
        assert http.request("GET", "/").status == 401
    assert twilio.connections_made == 1
    http.close()


def test_a_connection_that_was_idle_for_long_is_not_trusted(
    twilio: TwilioServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_IDLE_S", 0)
    http = Transport(twilio.url, timeout_s=5, headers={})
    for _ in range(3):
        assert http.request("GET", "/").status == 401
    assert twilio.connections_made == 3
    http.close()


def test_a_server_that_restarts_between_two_requests_is_met_with_a_new_connection() -> None:
    with TwilioServer() as first:
        http = Transport(first.url, timeout_s=5, headers={})
        http.request("GET", "/")
    with pytest.raises(NotSent):
        http.request("GET", "/")
    with TwilioServer(first.port):
        assert http.request("GET", "/").status == 401
    http.close()


def test_no_request_is_logged_with_the_number_or_the_credentials_in_it(
    twilio: TwilioServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with provider_at(twilio.url) as provider:
        provider.send(MESSAGE)
        provider.find(to=MESSAGE.to, sender=MESSAGE.sender, since=datetime(2026, 1, 1, tzinfo=UTC))
    assert "61400000549" not in caplog.text
    assert AUTH_TOKEN not in caplog.text
    assert not [record for record in caplog.records if record.name.startswith("urllib3")]


def test_a_base_url_may_have_a_path_and_an_ipv6_host() -> None:
    with provider_at("http://[::1]:1/twilio/") as provider:
        assert provider._messages == f"/twilio/2010-04-01/Accounts/{ACCOUNT_SID}/Messages"
        assert isinstance(provider.send(MESSAGE), Failure)
