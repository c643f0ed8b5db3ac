"""Posts as Twilio makes them: a form, signed for the URL that Twilio was given."""

from collections.abc import Mapping
from typing import Any

from twilio.request_validator import RequestValidator
from werkzeug.datastructures import MultiDict
from werkzeug.test import TestResponse

from tests.world import PERSON, SENDER, World

TOKEN = "token"
BASE = "http://127.0.0.1:3000"
STATUS, INBOUND = "/webhooks/twilio/status", "/webhooks/twilio/inbound"


def signature(url: str, form: Mapping[str, Any], token: str = TOKEN) -> str:
    """X-Twilio-Signature of a form posted to a URL."""
    return str(RequestValidator(token).compute_signature(url, MultiDict(form)))


def post(world: World, path: str, form: Mapping[str, Any], *, base: str = BASE, token: str = TOKEN) -> TestResponse:
    """Post a form to a path (with its query), signed with a token for the public URL."""
    headers = {"X-Twilio-Signature": signature(base + path, form, token)}
    return world.app.test_client().post(path, data=MultiDict(form), headers=headers)


def status_of(sid: str, word: str, **more: str) -> dict[str, str]:
    """The form of a status callback."""
    return {
        "MessageSid": sid,
        "SmsSid": sid,
        "MessageStatus": word,
        "SmsStatus": word,
        "AccountSid": "ACtest",
        "From": SENDER,
        "To": PERSON,
        "ApiVersion": "2010-04-01",
    } | more


def text_from(person: str, body: str, *, to: str = SENDER, sid: str = "SMin1", **more: str) -> dict[str, str]:
    """The form of an inbound message."""
    return {
        "MessageSid": sid,
        "SmsSid": sid,
        "SmsMessageSid": sid,
        "AccountSid": "ACtest",
        "From": person,
        "To": to,
        "Body": body,
        "NumMedia": "0",
        "NumSegments": "1",
        "ApiVersion": "2010-04-01",
    } | more
