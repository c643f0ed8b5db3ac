"""Twilio's signature: proof that a request comes from Twilio (twilio.com/docs/usage/webhooks/webhooks-security)."""

from flask import request
from twilio.request_validator import RequestValidator

from app.errors import Forbidden
from app.extensions import settings


def require_twilio_signature() -> None:
    """Refuse a request that Twilio did not sign for the URL under which it knows us.

    The URL is built from ``PUBLIC_BASE_URL`` and not from the Host header, which a proxy changes and an attacker
    chooses.

    Raises:
        Forbidden: no or a wrong signature, or no auth token to check it with.
    """
    config = settings()
    signature = request.headers.get("X-Twilio-Signature", "")
    if config.twilio_auth_token is None or not signature:
        raise Forbidden("The request is not signed by Twilio.")
    query = request.query_string.decode("latin-1")
    url = f"{config.base_url}{request.path}{'?' + query if query else ''}"
    validator = RequestValidator(config.twilio_auth_token.get_secret_value())
    if not validator.validate(url, request.form, signature):
        raise Forbidden("The request is not signed by Twilio.")
