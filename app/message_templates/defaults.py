"""The texts of whoever has written none. They are short, and with usual values one segment of the GSM alphabet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FALLBACK = "reminder"
"""Whose text every kind takes that has none."""


@dataclass(frozen=True, slots=True)
class Text:
    """A template, wherever it comes from. ``id`` is None for the texts of this module."""

    body: str
    subject: str | None = None
    content_sid: str | None = None
    content_variables: Mapping[str, Any] = field(default_factory=dict)
    missing_field: str = "skip"
    id: str | None = None


_SHORT = {
    "confirmation": "Your appt is booked for {{ appointment.datetime }}. See you then!",
    "24h": "Your appt is {{ appointment.day }}!",
    "1h": "Your appt starts in {{ appointment.time_until_short }}!",
    "2h": "Your appt is {{ appointment.day }} at {{ appointment.time }}, in {{ appointment.time_until }}. See you!",
    FALLBACK: 'Reminder: your {{ appointment.service | default: "appt" }} with {{ appointment.staff | default: "us" }} '
    "is {{ appointment.day }} at {{ appointment.time }}, in {{ appointment.time_until }}.",
    "cancellation": 'Cancelled: your {{ appointment.service | default: "appt" }} with '
    '{{ appointment.staff | default: "us" }} on {{ appointment.datetime }}.',
    "rescheduled": "Your appt has a new time: {{ appointment.datetime }}.",
    "reply_confirmed": "Thank you! Your appt on {{ appointment.datetime }} is confirmed.",
    "reply_cancelled": "Your appt on {{ appointment.datetime }} is cancelled, as you asked.",
}
_SUBJECTS = {
    "confirmation": "Your appt on {{ appointment.datetime }}",
    "24h": _SHORT["24h"],
    "1h": _SHORT["1h"],
    "2h": "Your appt starts in {{ appointment.time_until }}",
    FALLBACK: "Reminder: your appt is {{ appointment.day }} at {{ appointment.time }}",
    "cancellation": "Cancelled: your appt on {{ appointment.datetime }}",
    "rescheduled": "A new time for your appt: {{ appointment.datetime }}",
    "reply_confirmed": "Confirmed: your appt on {{ appointment.datetime }}",
    "reply_cancelled": "Cancelled: your appt on {{ appointment.datetime }}",
}
_GONE = frozenset({"cancellation", "reply_cancelled"})


def _email(kind: str) -> str:
    lines = ['Hi {{ contact.first_name | default: "there" }},', _SHORT[kind]]
    if kind not in _GONE:
        lines += ["When: {{ appointment.datetime }}", "To change it: {{ links.manage }}"]
    return "\n\n".join([*lines, '{{ business.name | default: "" }}'])


DEFAULTS: dict[tuple[str, str], Text] = {
    **{(kind, channel): Text(body) for kind, body in _SHORT.items() for channel in ("sms", "whatsapp")},
    **{(kind, "email"): Text(_email(kind), subject) for kind, subject in _SUBJECTS.items()},
}
"""By kind and channel."""
