"""Signed tokens of the public form. No session and no cookie is involved.

A form carries one that says which workspace's it is, and when it was made; what it holds beside that is random, and
makes a form that is sent twice one booking. Another leads to the page that says thank you.
"""

import secrets

from flask import current_app
from itsdangerous import BadSignature, SignatureExpired, TimestampSigner, URLSafeTimedSerializer

from app import clock

FORM_LASTS = 2 * 3600
"""Seconds in which a form may be sent: less than the 24 hours for which a repeated one is recognised."""
THANKS_LAST = 24 * 3600


class _Signer(TimestampSigner):
    def get_timestamp(self) -> int:
        return int(clock.now().timestamp())


class Expired(Exception):
    """The token was good, and is too old."""


def _serializer(purpose: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(current_app.config["SECRET_KEY"], salt=f"bellhop.{purpose}", signer=_Signer)


def form_token(workspace_id: str) -> str:
    """For a new form."""
    signed: str = _serializer("form").dumps([workspace_id, secrets.token_urlsafe(12)])
    return signed


def read_form_token(workspace_id: str, token: str) -> str | None:
    """The random part of a form's token; None if it is none of ours, or another workspace's.

    Raises:
        Expired: the form was made too long ago.
    """
    value = _read("form", token, FORM_LASTS)
    return value[1] if isinstance(value, list) and len(value) == 2 and value[0] == workspace_id else None


def thanks_token(workspace_id: str, appointment_id: str) -> str:
    """For the page after a booking."""
    signed: str = _serializer("thanks").dumps([workspace_id, appointment_id])
    return signed


def read_thanks_token(workspace_id: str, token: str) -> str | None:
    """The appointment's id; None if the token is none of ours, another workspace's, or old."""
    try:
        value = _read("thanks", token, THANKS_LAST)
    except Expired:
        return None
    return value[1] if isinstance(value, list) and len(value) == 2 and value[0] == workspace_id else None


def _read(purpose: str, token: str, lasts: int) -> object:
    if not token.isascii():
        return None
    try:
        value: object = _serializer(purpose).loads(token, max_age=lasts)
    except SignatureExpired:
        raise Expired from None
    except BadSignature:
        return None
    return value
