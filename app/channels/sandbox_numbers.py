"""Twilio's magic numbers: the only ones that fail in the sandbox.

twilio.com/docs/iam/test-credentials lists what happens with Twilio's own test credentials; the same numbers
do the same here, so that what was tried in the sandbox stays true. They are also known with ``whatsapp:``
before them.
"""

from app.channels.base import Failure
from app.channels.phone import WHATSAPP
from app.channels.twilio_errors import classify, explain

RECIPIENTS: dict[str, int] = {
    "+15005550001": 21211,  # not a valid number
    "+15005550002": 21612,  # no route
    "+15005550003": 21408,  # no permission for the country
    "+15005550004": 21610,  # said STOP
    "+15005550009": 21614,  # not a mobile number
}
SENDERS: dict[str, int] = {
    "+15005550001": 21212,  # not a valid number
    "+15005550007": 21606,  # not ours, or cannot send
    "+15005550008": 21611,  # its queue is full
}
GOOD_SENDER = "+15005550006"
"""The number that Twilio documents as always working."""


def failure_for(to: str, sender: str) -> Failure | None:
    """What Twilio would answer to a POST with these addresses; None where it would accept."""
    code = SENDERS.get(sender.removeprefix(WHATSAPP)) or RECIPIENTS.get(to.removeprefix(WHATSAPP))
    if code is None:
        return None
    kind, min_delay_s = classify(400, code)
    return Failure(kind, explain(code), code=code, http_status=400, min_delay_s=min_delay_s)
