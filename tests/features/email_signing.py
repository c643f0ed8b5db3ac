"""Posts as Resend and SendGrid make them, signed with keys of the tests' own."""

import hashlib
import hmac
import json
from base64 import b64decode, b64encode
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from werkzeug.test import TestResponse

from app.ids import new_id
from tests.world import World

RESEND, SENDGRID = "/webhooks/resend", "/webhooks/sendgrid"
SECRET = f"whsec_{b64encode(b'the secret of the tests!').decode()}"


@cache
def private_key() -> ec.EllipticCurvePrivateKey:
    """SendGrid's side."""
    return ec.generate_private_key(ec.SECP256R1())


def public_key() -> str:
    """As SendGrid shows it."""
    der = private_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return b64encode(der).decode()


def settings() -> dict[str, Any]:
    """What lets both kinds of event in."""
    return {"resend_webhook_secret": SECRET, "sendgrid_webhook_public_key": public_key()}


def svix(body: bytes, at: float, event_id: str = "msg_1", secret: str = SECRET) -> dict[str, str]:
    """The headers that Svix adds."""
    key = b64decode(secret.removeprefix("whsec_"))
    signed = f"{event_id}.{int(at)}.".encode() + body
    signature = b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {"svix-id": event_id, "svix-timestamp": str(int(at)), "svix-signature": f"v1,b2xk v1,{signature}"}


def ecdsa(body: bytes, at: float, key: ec.EllipticCurvePrivateKey | None = None) -> dict[str, str]:
    """The headers that SendGrid adds."""
    timestamp = str(int(at))
    signature = (key or private_key()).sign(timestamp.encode() + body, ec.ECDSA(SHA256()))
    return {
        "X-Twilio-Email-Event-Webhook-Signature": b64encode(signature).decode(),
        "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
    }


def post(world: World, path: str, body: bytes, headers: dict[str, str]) -> TestResponse:
    """Post bytes as they are."""
    return world.app.test_client().post(path, data=body, headers={"Content-Type": "application/json"} | headers)


def resend_event(world: World, event: Any, event_id: str | None = None) -> TestResponse:
    """An event of Resend's."""
    body = json.dumps(event).encode()
    return post(world, RESEND, body, svix(body, world.clock.now().timestamp(), event_id or f"msg_{new_id()}"))


def sendgrid_events(world: World, *events: Any) -> TestResponse:
    """Events of SendGrid's."""
    body = json.dumps(events).encode()
    return post(world, SENDGRID, body, ecdsa(body, world.clock.now().timestamp()))
