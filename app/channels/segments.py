"""How many segments a text is sent and billed as.

GSM 03.38 (3GPP TS 23.038, section 6.2.1): a text of the basic alphabet has 160 septets in one segment; the
characters of the extension table cost two (an escape and the character). Any other character turns the whole
text into UCS-2: 70 code units. In a text of several segments each gives up 7 septets (153) or 3 code units
(67) to the header that puts them together again (3GPP TS 23.040). An escape is never parted from its
character, nor are the halves of a surrogate pair, so a segment may end one short.
"""

import re
from dataclasses import dataclass
from typing import Literal

Encoding = Literal["GSM-7", "UCS-2"]

GSM_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_EXTENSION = frozenset("\f^{}\\[~]|€")
_GSM = GSM_BASIC | GSM_EXTENSION
_BASIC = re.compile(f"[{re.escape(''.join(sorted(GSM_BASIC)))}]*")

BODY_LIMIT = 1600
"""What Twilio takes in one message, in UTF-16 code units (twilio.com/docs/api/errors/21617)."""
BODY_LIMITS = {"sms": BODY_LIMIT, "whatsapp": BODY_LIMIT, "email": 100_000}
"""By channel, in UTF-16 code units. WhatsApp itself takes 4,096, but Twilio stands before it; for email, more than this
is cut off by mail programs anyway (resolution D22).
"""


@dataclass(frozen=True, slots=True)
class Segments:
    """``characters`` are counted as they are billed: septets of GSM-7, code units of UCS-2."""

    encoding: Encoding
    characters: int
    segments: int


def utf16_length(body: str) -> int:
    """The length in UTF-16 code units, which is what Twilio's limit of 1,600 counts."""
    return len(body) if body.isascii() else len(body) + sum(character > "\uffff" for character in body)


def count_segments(body: str) -> Segments:
    """Encoding, length and number of segments of a text; an empty one is still one message."""
    if _BASIC.fullmatch(body):
        return Segments("GSM-7", len(body), _parts(body, len(body), frozenset(), alone=160, each=153))
    used = frozenset(body)
    if used <= _GSM:
        doubled = used & GSM_EXTENSION
        characters = len(body) + sum(map(body.count, doubled))
        return Segments("GSM-7", characters, _parts(body, characters, doubled, alone=160, each=153))
    doubled = frozenset(character for character in used if character > "\uffff")
    characters = utf16_length(body)
    return Segments("UCS-2", characters, _parts(body, characters, doubled, alone=70, each=67))


def segments_of(channel: str, body: str) -> int:
    """What a text takes of its sender's turns: segments of an SMS, else one."""
    return count_segments(body).segments if channel == "sms" else 1


def _parts(body: str, characters: int, doubled: frozenset[str], *, alone: int, each: int) -> int:
    if characters <= alone:
        return 1
    if characters == len(body):
        return -(-characters // each)
    parts, used = 1, 0
    for character in body:
        cost = 2 if character in doubled else 1
        if used + cost > each:
            parts, used = parts + 1, 0
        used += cost
    return parts
