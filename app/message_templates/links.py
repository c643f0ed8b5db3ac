"""Links in messages to pages of ours, where a person confirms, cancels or unsubscribes without an account.

The token in a link says what it is for and whom it concerns, and is signed with ``SECRET_KEY``. It holds ids only,
packed tightly, since each character of a text message is paid for.
"""

from dataclasses import dataclass
from enum import StrEnum

from flask import current_app
from itsdangerous import BadSignature, Signer
from itsdangerous.encoding import base64_decode, base64_encode
from itsdangerous.exc import BadData

from app.extensions import settings

PATH = "/r/"
_SALT = b"bellhop.links"


class Purpose(StrEnum):
    """What a link is for. The order is part of the tokens that are out there: add at the end only."""

    CONFIRM = "confirm"
    CANCEL = "cancel"
    MANAGE = "manage"
    UNSUBSCRIBE = "unsubscribe"


_PURPOSES = tuple(Purpose)
_CHANNELS = (None, "sms", "whatsapp", "email")


@dataclass(frozen=True, slots=True)
class Link:
    """``subject_id``: the appointment's row id, of ``unsubscribe`` the contact's. ``channel``: the one on which it was
    sent, where that matters.
    """

    purpose: Purpose
    subject_id: str
    channel: str | None = None


def make_link(purpose: Purpose, subject_id: str, channel: str | None = None) -> str:
    """A full URL under ``PUBLIC_BASE_URL``.

    Raises:
        ValueError: the id is not one of ours, or the channel is unknown.
    """
    packed = bytes((_PURPOSES.index(purpose), _CHANNELS.index(channel))) + bytes.fromhex(subject_id)
    token = _signer().sign(base64_encode(packed)).decode("ascii")
    return f"{settings().base_url}{PATH}{token}"


def read_link(token: str) -> Link | None:
    """What a token says; None if it was not made here, or was changed."""
    if not token.isascii():
        return None
    try:
        packed = base64_decode(_signer().unsign(token))
    except (BadSignature, BadData):
        return None
    if len(packed) != 18 or packed[0] >= len(_PURPOSES) or packed[1] >= len(_CHANNELS):
        return None
    return Link(_PURPOSES[packed[0]], packed[2:].hex(), _CHANNELS[packed[1]])


def _signer() -> Signer:
    return Signer(current_app.config["SECRET_KEY"], salt=_SALT)
