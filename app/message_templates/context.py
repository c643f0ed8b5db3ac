"""The merge fields: one table that says what there is, what it means, and how long a value can be.

Nothing else can be reached from a template. Values are computed when a field asks for them, from facts that the
caller has loaded, so this needs no database.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from app.channels.segments import utf16_length
from app.message_templates import wording
from app.message_templates.links import Purpose, make_link
from app.message_templates.render import Field, clean, unknown_field

LINK_LONGEST = 200
OWN = "contact.fields."
"""Before the names that a workspace has given to fields of its own."""
OWN_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Person:
    """What a template may say of a contact."""

    id: str | None = None
    first_name: str = ""
    last_name: str = ""
    phone: str | None = None
    email: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Visit:
    """What a template may say of an appointment."""

    starts_at: datetime
    id: str | None = None
    public_id: str = ""
    event_name: str | None = None
    service: str | None = None
    staff: str | None = None
    location: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that a text can be made from. ``now`` is when it is sent; ``zone`` the appointment's, else the
    workspace's: all times are told in it (resolution D18).
    """

    now: datetime
    zone: ZoneInfo
    business_name: str | None = None
    channel: str | None = None
    person: Person | None = None
    visit: Visit | None = None


Read = Callable[[Facts], str | None]


@dataclass(frozen=True, slots=True)
class Spec:
    """A field: an example or its meaning, the longest value in UTF-16 units, and how to find the value."""

    meaning: str
    longest: int
    read: Read


def _person(read: Callable[[Person], str | None]) -> Read:
    return lambda facts: read(facts.person) if facts.person else None


def _visit(read: Callable[[Visit], str | None]) -> Read:
    return lambda facts: read(facts.visit) if facts.visit else None


def _time(write: Callable[[datetime, datetime], str | None]) -> Read:
    """Of the start and the present, both on the appointment's own clock."""

    def read(facts: Facts) -> str | None:
        if facts.visit is None:
            return None
        return write(facts.visit.starts_at.astimezone(facts.zone), facts.now.astimezone(facts.zone))

    return read


def _left(write: Callable[[timedelta], str | None]) -> Read:
    """Of the time until the start. Two times on one zone's clock would be subtracted as the clock shows them."""

    def read(facts: Facts) -> str | None:
        if facts.visit is None:
            return None
        return write(facts.visit.starts_at.astimezone(UTC) - facts.now.astimezone(UTC))

    return read


def _link(purpose: Purpose) -> Read:
    def read(facts: Facts) -> str | None:
        if purpose is Purpose.UNSUBSCRIBE:
            person = facts.person
            return make_link(purpose, person.id, facts.channel) if person and person.id else None
        return make_link(purpose, facts.visit.id) if facts.visit and facts.visit.id else None

    return read


FIELDS: dict[str, Spec] = {
    "contact.first_name": Spec("Alex", 100, _person(lambda one: one.first_name)),
    "contact.last_name": Spec("Smith", 100, _person(lambda one: one.last_name)),
    "contact.name": Spec("Alex Smith", 201, _person(lambda one: f"{one.first_name} {one.last_name}")),
    "contact.phone": Spec("+61400000549", 64, _person(lambda one: one.phone)),
    "contact.email": Spec("alex@example.com", 254, _person(lambda one: one.email)),
    "appointment.day": Spec(
        "today, tomorrow or Monday 15 December, as it is when the message is sent",
        32,
        _time(lambda start, now: wording.day_word(start.date(), now.date())),
    ),
    "appointment.weekday": Spec("Monday", 9, _time(lambda start, _: wording.weekday(start))),
    "appointment.date": Spec("15 December 2025", 17, _time(lambda start, _: wording.calendar_date(start))),
    "appointment.time": Spec(
        "10:00 AM; `{{ appointment.time | 24h }}` is 10:00", 8, _time(lambda start, _: wording.clock_12(start))
    ),
    "appointment.time|24h": Spec("", 5, _time(lambda start, _: wording.clock_24(start))),
    "appointment.datetime": Spec(
        "Monday 15 December 2025 at 10:00 AM; `| 24h` is known here too",
        48,
        _time(lambda start, _: f"{_dated(start)} at {wording.clock_12(start)}"),
    ),
    "appointment.datetime|24h": Spec("", 45, _time(lambda start, _: f"{_dated(start)} at {wording.clock_24(start)}")),
    "appointment.time_until": Spec(
        "1 hour 30 minutes, as it is when the message is sent; nothing once the appointment has begun",
        24,
        _left(wording.span),
    ),
    "appointment.time_until_short": Spec("1hr 30min", 12, _left(wording.short_span)),
    "appointment.event_name": Spec("Initial consultation", 200, _visit(lambda one: one.event_name)),
    "appointment.service": Spec("Haircut", 200, _visit(lambda one: one.service)),
    "appointment.staff": Spec("Sam", 200, _visit(lambda one: one.staff)),
    "appointment.location": Spec("12 High Street", 300, _visit(lambda one: one.location)),
    "appointment.id": Spec("booking_123", 80, _visit(lambda one: one.public_id)),
    "business.name": Spec("the workspace's name", 200, lambda facts: facts.business_name),
    "links.confirm": Spec("where the appointment is confirmed", LINK_LONGEST, _link(Purpose.CONFIRM)),
    "links.cancel": Spec("where it is cancelled", LINK_LONGEST, _link(Purpose.CANCEL)),
    "links.manage": Spec("where it is moved", LINK_LONGEST, _link(Purpose.MANAGE)),
    "links.unsubscribe": Spec("where somebody opts out", LINK_LONGEST, _link(Purpose.UNSUBSCRIBE)),
}

ALIASES = {
    "first_name": "contact.first_name",
    "last_name": "contact.last_name",
    "name": "contact.name",
    "time_until": "appointment.time_until",
    "event_name": "appointment.event_name",
    "service_name": "appointment.service",
    "appointment.service_name": "appointment.service",
    "barber_name": "appointment.staff",
    "appointment.barber": "appointment.staff",
    "appointment.barber_name": "appointment.staff",
    "business_name": "business.name",
}
"""Short names, and those of seed 004."""


def _dated(start: datetime) -> str:
    return f"{wording.weekday(start)} {wording.calendar_date(start)}"


def check_field(wanted: Field) -> None:
    """Refuse a field that there is not.

    Raises:
        TemplateError: with the nearest name.
    """
    _spec(wanted)


def longest_value(wanted: Field) -> int:
    """The length in UTF-16 units to which a field's values are cut.

    Raises:
        TemplateError: there is no such field.
    """
    spec = _spec(wanted)
    return spec.longest if spec else OWN_LONGEST


def value_of(facts: Facts, wanted: Field) -> str | None:
    """The value of a field, cut to its longest; None where there is none.

    Raises:
        TemplateError: there is no such field.
    """
    spec = _spec(wanted)
    value = spec.read(facts) if spec else _own_field(facts, wanted.name)
    return _cut(clean(value), spec.longest if spec else OWN_LONGEST) if value else None


def _spec(wanted: Field) -> Spec | None:
    """None for a field of the workspace's own."""
    name = ALIASES.get(wanted.name, wanted.name)
    if name.startswith(OWN) and wanted.form is None and "." not in name.removeprefix(OWN):
        return None
    spec = FIELDS.get(f"{name}|{wanted.form}" if wanted.form else name)
    if spec is None:
        raise unknown_field(wanted, [*(known for known in FIELDS if "|" not in known), *ALIASES])
    return spec


def _own_field(facts: Facts, name: str) -> str | None:
    value = facts.person.fields.get(name.removeprefix(OWN)) if facts.person else None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value)


def _cut(value: str, longest: int) -> str:
    if utf16_length(value) <= longest:
        return value
    # A pair of surrogates is never parted: half of one at the end is dropped.
    return value.encode("utf-16-le")[: 2 * longest].decode("utf-16-le", "ignore")
