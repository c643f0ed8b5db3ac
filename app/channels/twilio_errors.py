"""What Twilio's error codes allow us to do next, as data, and a sentence for the owner about each.

From twilio.com/docs/api/errors and from Twilio's advice on retries (support article 48916449686299): decide
by the class of the HTTP status, because codes get added, and by the code where it is a special case. One
point differs from that article: a 5xx to the creation of a message is not safe to repeat, since the message
may exist (twilio.com/docs/api/errors/20500).

2xxxx come in the answer to a POST; 3xxxx and 63xxx come later, in status callbacks, which have no HTTP
status.
"""

from typing import NamedTuple

from app.channels.answers import kind_of_status
from app.channels.base import FailureKind

_P = FailureKind.PERMANENT
_T = FailureKind.TRANSIENT
_C = FailureKind.CONFIGURATION

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0


class Rule(NamedTuple):
    """One code: what may be done, how long to wait at least, and what it means to the owner."""

    kind: FailureKind
    min_delay_s: float
    words: str


RULES: dict[int, Rule] = {
    # Our account
    10001: Rule(_C, 0, "The Twilio account is not active."),
    20003: Rule(_C, 0, "Twilio refused our credentials: check the account SID and the auth token."),
    20005: Rule(_C, 0, "The Twilio account is suspended or closed."),
    20008: Rule(_C, 0, "These are Twilio's test credentials, which cannot do this."),
    20403: Rule(_C, 0, "The Twilio account may not use the API; it is probably suspended or closed."),
    # On a POST the only thing in the path that can be missing is the account itself.
    20404: Rule(_C, 0, "Twilio does not know this account, or the API's address is wrong."),
    30002: Rule(_C, 0, "The Twilio account was suspended while the message was on its way."),
    # Too fast
    20429: Rule(FailureKind.THROTTLED, 0, "Twilio asked us to slow down; the message was not processed."),
    14107: Rule(_T, _MINUTE, "The sending rate of the account was exceeded."),
    21611: Rule(_T, _MINUTE, "Too many messages wait at Twilio for this sender."),
    30001: Rule(_T, 5 * _MINUTE, "Too many messages waited at Twilio for this sender, and this one was dropped."),
    30022: Rule(_T, _MINUTE, "The carrier's limit per minute for this US sender was exceeded."),
    30023: Rule(_T, _DAY, "The carrier's limit per day for this US sender was exceeded."),
    63017: Rule(_T, _MINUTE, "The sending rate of the account was exceeded."),
    63018: Rule(_T, _MINUTE, "The sending limit of this WhatsApp sender was exceeded."),
    63038: Rule(_T, _HOUR, "The account has sent as many messages in 24 hours as Twilio allows it."),
    # Not now
    30003: Rule(_T, 30 * _MINUTE, "The phone is switched off or out of reach."),
    30008: Rule(_T, 5 * _MINUTE, "The carrier did not deliver the message and gave no reason."),
    30047: Rule(_T, 5 * _MINUTE, "Twilio could not move the message to allowed hours."),
    30410: Rule(_T, 5 * _MINUTE, "The carrier did not answer Twilio in time."),
    30500: Rule(_T, 5 * _MINUTE, "Twilio had a fault of its own."),
    30610: Rule(_T, _HOUR, "At this hour the recipient may not be sent messages of this kind."),
    # The request left, and Twilio failed: it may have been accepted
    20500: Rule(FailureKind.AMBIGUOUS, 0, "Twilio had a fault of its own and may have accepted the message."),
    20503: Rule(FailureKind.AMBIGUOUS, 0, "Twilio was not available and may have accepted the message."),
    # The recipient
    21610: Rule(FailureKind.OPTED_OUT, 0, "The recipient replied STOP and gets no more messages from this sender."),
    21211: Rule(_P, 0, "The recipient's number is not a valid phone number."),
    21214: Rule(_P, 0, "The recipient's number cannot be reached."),
    21217: Rule(_P, 0, "The recipient's number is not a valid phone number."),
    21265: Rule(_P, 0, "The recipient's number is a short code, which cannot receive messages."),
    21266: Rule(_P, 0, "The recipient and the sender are the same number."),
    21608: Rule(_P, 0, "A trial account may only send to numbers that are verified in Twilio's console."),
    21614: Rule(_P, 0, "The recipient's number is not a mobile number."),
    21635: Rule(_P, 0, "The recipient's number is a landline."),
    30005: Rule(_P, 0, "The recipient's number is not in use."),
    30006: Rule(_P, 0, "The recipient's number is a landline, or its carrier takes no messages."),
    63003: Rule(_P, 0, "The recipient has no WhatsApp account under this number."),
    63014: Rule(_P, 0, "The recipient has blocked this sender."),
    63024: Rule(_P, 0, "The recipient has no WhatsApp account under this number."),
    # The sender, and where it may send to
    21212: Rule(_P, 0, "The sender's number is not a valid phone number."),
    21408: Rule(_P, 0, "The Twilio account may not send to this country; allow it under Geo Permissions."),
    21601: Rule(_P, 0, "The sender's number cannot send text messages."),
    21606: Rule(_P, 0, "The sender's number is not one of this Twilio account, or cannot send texts."),
    21612: Rule(_P, 0, "Twilio has no route from this sender to this recipient."),
    21659: Rule(_P, 0, "The sender's number is not a Twilio number."),
    21660: Rule(_P, 0, "The sender's number belongs to another Twilio account."),
    21661: Rule(_P, 0, "The sender's number cannot send text messages."),
    21703: Rule(_P, 0, "The messaging service has no sender in it."),
    21705: Rule(_P, 0, "The messaging service does not exist."),
    21910: Rule(_P, 0, "Sender and recipient are not of the same channel; both need whatsapp: or neither."),
    63007: Rule(_P, 0, "The sender is not a WhatsApp sender of this Twilio account."),
    # The request
    20001: Rule(_P, 0, "Twilio did not understand the request."),
    21602: Rule(_P, 0, "The message has no text."),
    21603: Rule(_P, 0, "The message has no sender."),
    21604: Rule(_P, 0, "The message has no recipient."),
    21609: Rule(_P, 0, "Twilio refused the address for delivery reports; check PUBLIC_BASE_URL."),
    21617: Rule(_P, 0, "The text is longer than 1,600 characters."),
    21619: Rule(_P, 0, "The message has neither text nor media."),
    21620: Rule(_P, 0, "Twilio refused the address of a picture or file."),
    21623: Rule(_P, 0, "The message has more than ten pictures or files."),
    21655: Rule(_P, 0, "The content template does not exist."),
    21656: Rule(_P, 0, "The values for the content template are not right."),
    35111: Rule(_P, 0, "Twilio refused the time to send at."),
    35114: Rule(_P, 0, "Twilio refused the time to send at."),
    35115: Rule(_P, 0, "Twilio refused the time to send at."),
    35118: Rule(_P, 0, "Scheduling at Twilio needs a messaging service."),
    63016: Rule(_P, 0, "More than 24 hours since the recipient last wrote: WhatsApp then needs an approved template."),
    # Blocked on the way: sending again makes it worse
    30004: Rule(_P, 0, "The message was blocked by the recipient or the carrier."),
    30007: Rule(_P, 0, "The message was filtered as unwanted by Twilio or the carrier."),
    30032: Rule(_P, 0, "The toll-free sender is not verified."),
    30034: Rule(_P, 0, "The US sender is not registered for business messages (A2P 10DLC)."),
    30450: Rule(_P, 0, "Twilio blocked the message as likely fraud (SMS pumping)."),
    30640: Rule(_P, 0, "The message was blocked on its way to the recipient."),
}


def classify(http_status: int | None, code: int | None) -> tuple[FailureKind, float]:
    """What an answer that is not a success allows, and how many seconds to wait at least.

    ``http_status`` is None for codes that came in a status callback. A 4xx is read by its code where the table has it
    (but 401 is the configuration and 429 throttling whatever the code, which still sets the delay of the latter);
    everything else by its status alone (``answers.kind_of_status``). Twilio's message API always gives a code.
    """
    rule = RULES.get(code) if code is not None else None
    delay = rule.min_delay_s if rule else 0.0
    if http_status is None:
        return (rule.kind, delay) if rule else (FailureKind.PERMANENT, 0.0)
    if rule and 400 <= http_status < 500 and http_status not in (401, 429):
        return rule.kind, delay
    return kind_of_status(http_status, explained=code is not None), delay if http_status == 429 else 0.0


def explain(code: int) -> str:
    """A code in plain words, for the owner; where it is not known, where to read about it."""
    rule = RULES.get(code)
    return rule.words if rule else f"Twilio's error {code}: see https://www.twilio.com/docs/api/errors/{code}"
