"""What is promised of every provider, whoever it is: each way in which a request can end, and what may be done next."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from app.channels.base import Accepted, Failure, FailureKind, OutgoingMessage, Provider, SendResult
from app.channels.resend import ResendProvider
from app.channels.sendgrid import SendGridProvider
from app.channels.smtp import SmtpProvider
from app.channels.twilio import TwilioProvider
from tests.email_servers import KEY, At, EmailApiServer, MailServer
from tests.twilio_server import ACCOUNT_SID, AUTH_TOKEN, Reply, TwilioServer

PASSWORD = "pass-word-of-the-mail-server"
SECRETS = (AUTH_TOKEN, PASSWORD)
EMAIL = OutgoingMessage(
    attempt_id="a" * 32,
    message_id="b" * 32,
    to="jo.doe@example.com",
    sender="hello@salon.example",
    body="Tomorrow at 9:00 <b>\n\n.See you",
    channel="email",
    subject="Your appointment",
    sender_name="Salon Süd",
)
TEXT = OutgoingMessage("a" * 32, "+61400000549", "+61400000000", "Tomorrow at 9:00", message_id="b" * 32)
WHATSAPP = OutgoingMessage("a" * 32, "whatsapp:+61400000549", "whatsapp:+61400000000", "Hi", message_id="b" * 32)


@dataclass
class Rig:
    """A provider and its local other side."""

    message: OutgoingMessage
    make: Callable[[float], Provider]
    """With a time-out, in seconds."""
    meet: Callable[[str], None]
    """Prepare the other side for what is to happen next."""
    taken: Callable[[], int]
    """How many messages it has."""
    unreachable: Callable[[], Provider]
    refuse_credentials: Callable[[], None]

    def send(self, happening: str = "", timeout_s: float = 5) -> SendResult:
        if happening:
            self.meet(happening)
        return self.make(timeout_s).send(self.message)


def nobody_listens() -> int:
    """A port on which nobody is."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


SAID = f"To jo.doe@example.com or +61400000549\n{AUTH_TOKEN}: no"
HTTP: dict[str, Reply] = {
    "permanent": Reply(status=400, code=21211, message=SAID),
    "throttled": Reply(status=429, code=20429, message=SAID, retry_after=7, headers={"x-name": "rate_limit_exceeded"}),
    "fault": Reply(status=500, accept=True, message=SAID),
    "lost": Reply(reset=True, accept=True),
    "cut off": Reply(truncate=True, body=b'{"i', accept=True),
    "hangs": Reply(delay_s=1.2, accept=True),
    "drips": Reply(drip_s=0.05, accept=True),
    "odd": Reply(body=b"<html>Welcome to the hotel</html>", status=200),
    "gateway": Reply(body=b"<html>Bad gateway</html>", status=502),
    "moved": Reply(body=b"", status=301, headers={"Location": "/elsewhere"}),
}
MAIL: dict[str, At] = {
    "permanent": At(step="RCPT", say=f"550 5.1.1 no such person jo.doe@example.com {PASSWORD}"),
    "throttled": At(step="MAIL", say="421 4.7.0 too many connections"),
    "fault": At(step="content", say="999 what", accept=True),
    "lost": At(step="content", close=True, accept=True),
    "cut off": At(step="content", say="250-taken", close=True, accept=True),
    "hangs": At(step="content", wait_s=1.2, accept=True),
    "drips": At(step="content", say="250-" + "x" * 200, drip_s=0.05, accept=True),
    "odd": At(step="content", say="<html>Welcome to the hotel</html>"),
    "gateway": At(step="content", say="354 again"),
    "moved": At(step="greeting", say="554 no mail service here"),
}


def twilio(stack: ExitStack, message: OutgoingMessage) -> Rig:
    server = stack.enter_context(TwilioServer())

    def make(timeout_s: float, url: str = server.url) -> Provider:
        made = TwilioProvider(account_sid=ACCOUNT_SID, auth_token=AUTH_TOKEN, base_url=url, timeout_s=timeout_s)
        stack.callback(made.close)
        return made

    def meet(happening: str) -> None:
        server.script(HTTP[happening])

    return Rig(
        message,
        make,
        meet,
        lambda: len(server.accepted),
        lambda: make(1, f"http://127.0.0.1:{nobody_listens()}"),
        lambda: setattr(server, "auth_ok", False),
    )


def email_api(kind: type[ResendProvider] | type[SendGridProvider]) -> Callable[[ExitStack, OutgoingMessage], Rig]:
    def rig(stack: ExitStack, message: OutgoingMessage) -> Rig:
        server = stack.enter_context(EmailApiServer())

        def make(timeout_s: float, url: str = server.url) -> Provider:
            made = kind(api_key=KEY, base_url=url, timeout_s=timeout_s)
            stack.callback(made.close)
            return made

        return Rig(
            message,
            make,
            lambda happening: server.script(HTTP[happening]),
            lambda: len(server.accepted),
            lambda: make(1, f"http://127.0.0.1:{nobody_listens()}"),
            lambda: setattr(server, "auth_ok", False),
        )

    return rig


def smtp(stack: ExitStack, message: OutgoingMessage) -> Rig:
    server = stack.enter_context(MailServer(password=PASSWORD))
    refused = server.url.replace("salon:", "other:")
    urls = [server.url]
    return Rig(
        message,
        lambda timeout_s: SmtpProvider(urls[-1], timeout_s=timeout_s),
        lambda happening: server.script(MAIL[happening]),
        lambda: len(server.accepted),
        lambda: SmtpProvider(f"smtp://127.0.0.1:{nobody_listens()}", timeout_s=1),
        lambda: urls.append(refused),
    )


RIGS: dict[str, tuple[Callable[[ExitStack, OutgoingMessage], Rig], OutgoingMessage]] = {
    "twilio": (twilio, TEXT),
    "whatsapp": (twilio, WHATSAPP),
    "resend": (email_api(ResendProvider), EMAIL),
    "sendgrid": (email_api(SendGridProvider), EMAIL),
    "smtp": (smtp, EMAIL),
}


@pytest.fixture(params=RIGS)
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    make, message = RIGS[request.param]
    with ExitStack() as stack:
        yield make(stack, message)


def failure(result: Any) -> Failure:
    assert isinstance(result, Failure), result
    for secret in SECRETS:
        assert secret not in result.message
    assert "jo.doe@" not in result.message
    assert "61400000549" not in result.message
    assert result.message.isprintable()
    assert 0 < len(result.message) <= 300
    return result


def test_it_says_who_it_is(rig: Rig) -> None:
    provider = rig.make(3)

    assert provider.timeout_s == 3
    assert 0 < len(provider.name) <= 16
    assert 0 < len(provider.account) <= 64
    assert not any(secret in provider.account for secret in SECRETS)


def test_what_is_accepted_has_a_name_that_we_can_keep(rig: Rig) -> None:
    result = rig.send()

    assert isinstance(result, Accepted)
    assert 0 < len(result.provider_message_id) <= 64
    assert rig.taken() == 1


@pytest.mark.parametrize(
    "happening, kind",
    [
        ("permanent", FailureKind.PERMANENT),
        ("throttled", FailureKind.THROTTLED),
        ("fault", FailureKind.AMBIGUOUS),
        ("lost", FailureKind.AMBIGUOUS),
        ("cut off", FailureKind.AMBIGUOUS),
        ("odd", FailureKind.AMBIGUOUS),
        ("gateway", FailureKind.AMBIGUOUS),
        ("moved", FailureKind.CONFIGURATION),
    ],
)
def test_each_other_end_says_what_may_be_done_next(rig: Rig, happening: str, kind: FailureKind) -> None:
    assert failure(rig.send(happening)).kind is kind
    if kind is not FailureKind.AMBIGUOUS:
        assert rig.taken() == 0
    assert isinstance(rig.send(), Accepted)


@pytest.mark.parametrize("happening", ["hangs", "drips"])
def test_no_call_takes_much_longer_than_its_time_out(rig: Rig, happening: str) -> None:
    began = time.monotonic()

    assert failure(rig.send(happening, timeout_s=0.4)).kind is FailureKind.AMBIGUOUS
    assert time.monotonic() - began < 1
    assert rig.taken() == 1


def test_where_nobody_listens_nothing_has_left(rig: Rig) -> None:
    provider = rig.unreachable()

    assert failure(provider.send(rig.message)).kind is FailureKind.UNREACHABLE
    assert failure(provider.probe()).kind is FailureKind.UNREACHABLE


def test_refused_credentials_are_a_matter_of_configuration(rig: Rig) -> None:
    rig.refuse_credentials()

    assert failure(rig.send()).kind is FailureKind.CONFIGURATION
    assert failure(rig.make(5).probe()).kind is FailureKind.CONFIGURATION
    assert rig.taken() == 0


def test_asking_whether_it_works_sends_nothing(rig: Rig) -> None:
    assert rig.make(5).probe() is None
    assert rig.taken() == 0


def test_half_a_character_does_no_harm(rig: Rig) -> None:
    provider = rig.make(5)
    broken = OutgoingMessage(rig.message.attempt_id, rig.message.to, rig.message.sender, "\ud83d", message_id="c" * 32)

    result = provider.send(broken)

    assert isinstance(result, Accepted) or failure(result).kind is FailureKind.PERMANENT
    assert isinstance(rig.send(), Accepted)
