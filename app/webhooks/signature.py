"""Signatures: proof that a request comes from the provider that it claims to come from."""

import hashlib
import hmac
from base64 import b64decode, b64encode
from datetime import timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from flask import request
from twilio.request_validator import RequestValidator

from app import clock
from app.errors import Forbidden
from app.extensions import settings

SVIX_TOLERANCE = timedelta(minutes=5)
"""Svix signs each of its own repetitions anew (docs.svix.com/receiving/verifying-payloads/how-manual)."""
SENDGRID_TOLERANCE = timedelta(hours=25)
"""SendGrid repeats what we did not take for 24 hours, and does not say whether it signs that anew. A replay changes
nothing: events are stored once, and a status never goes back.
"""
_MOST_SIGNATURES = 10


def require_twilio_signature() -> None:
    """Refuse a request that Twilio did not sign for the URL under which it knows us
    (twilio.com/docs/usage/webhooks/webhooks-security). WhatsApp may have an account, and so a secret, of its own.

    The URL is built from ``PUBLIC_BASE_URL`` and not from the Host header, which a proxy changes and an attacker
    chooses.

    Raises:
        Forbidden: no or a wrong signature, or no auth token to check it with.
    """
    config = settings()
    signature = request.headers.get("X-Twilio-Signature", "")
    own = config.whatsapp_account_sid is not None and request.form.get("AccountSid") == config.whatsapp_account_sid
    token = config.whatsapp_auth_token if own else config.twilio_auth_token
    if token is None or not signature:
        raise Forbidden("The request is not signed by Twilio.")
    query = request.query_string.decode("latin-1")
    url = f"{config.base_url}{request.path}{'?' + query if query else ''}"
    validator = RequestValidator(token.get_secret_value())
    if not validator.validate(url, request.form, signature):
        raise Forbidden("The request is not signed by Twilio.")


def require_svix_signature(body: bytes) -> str:
    """Refuse a request of Resend's that Svix did not sign within the last minutes; returns the id of the event.

    Raises:
        Forbidden: no or a wrong signature, an old one, or no secret to check it with.
    """
    secret = settings().resend_webhook_secret
    event_id, timestamp = request.headers.get("svix-id", ""), request.headers.get("svix-timestamp", "")
    given = request.headers.get("svix-signature", "").split(" ")[:_MOST_SIGNATURES]
    if secret is None or not _is_recent(timestamp, SVIX_TOLERANCE) or not _is_name(event_id):
        raise Forbidden("The request is not signed by Resend.")
    key = b64decode(secret.get_secret_value().removeprefix("whsec_"))
    right = hmac.new(key, f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    expected = b"v1," + b64encode(right)
    if not any(hmac.compare_digest(one.encode("latin-1", "replace"), expected) for one in given):
        raise Forbidden("The request is not signed by Resend.")
    return event_id


def require_sendgrid_signature(body: bytes) -> None:
    """Refuse a request that SendGrid did not sign with the key that we were given
    (twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features).

    Raises:
        Forbidden: no or a wrong signature, an old one, or no key to check it with.
    """
    key = settings().sendgrid_webhook_public_key
    timestamp = request.headers.get("X-Twilio-Email-Event-Webhook-Timestamp", "")
    signature = request.headers.get("X-Twilio-Email-Event-Webhook-Signature", "")
    if key is None or not _is_recent(timestamp, SENDGRID_TOLERANCE):
        raise Forbidden("The request is not signed by SendGrid.")
    public_key = load_der_public_key(b64decode(key))
    try:
        if not isinstance(public_key, EllipticCurvePublicKey):
            raise TypeError("settings were not checked")
        public_key.verify(b64decode(signature, validate=True), timestamp.encode() + body, ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        raise Forbidden("The request is not signed by SendGrid.") from None


def _is_recent(timestamp: str, tolerance: timedelta) -> bool:
    """``timestamp``: seconds since 1970."""
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 12):
        return False
    return abs(clock.now().timestamp() - int(timestamp)) <= tolerance.total_seconds()


def _is_name(text: str) -> bool:
    return 0 < len(text) <= 100 and text.isascii() and text.isprintable()
