"""What the public booking form takes and answers."""

import re
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from app.api.body import ApiModel, about, example
from app.appointments import examples
from app.appointments.schemas import Day, TimeOfDay
from app.contacts.schemas import Email

_LINK = re.compile(r"://|www\.|[/@]|\w\.[a-z]{2,}", re.IGNORECASE)


def _no_link(name: str) -> str:
    """What a stranger types here goes into texts to a number that may be another's: no place for advertising."""
    if not name.isprintable():
        raise ValueError("must be a name in one line")
    if _LINK.search(name):
        raise ValueError("looks like a link; put a space after a dot")
    return name


def _moment(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("is not a day and time that exist") from None
    return text


def _ticked(value: object) -> object:
    return {"on": True, "true": True, "1": True}.get(value, value) if isinstance(value, str) else value


PersonName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80), AfterValidator(_no_link)
]
Moment = Annotated[
    str,
    StringConstraints(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?$"
    ),
    AfterValidator(_moment),
]
Choice = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Typed = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40)]
Notes = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000)]
Ticked = Annotated[bool, BeforeValidator(_ticked), Field(strict=True)]


class Request(ApiModel):
    """Seed 000's fields. Phone numbers may be typed as at home; a time without an offset is the workspace's."""

    model_config = ConfigDict(json_schema_extra=example(examples.FORM_REQUEST))

    name: PersonName
    email: Email | None = None
    phone: Typed | None = None
    day: Day | None = Field(None, alias="date")
    time: TimeOfDay | None = None
    appointment_date_time: Moment | None = None
    service: Choice | None = None
    staff: Choice | None = None
    notes: Notes | None = None
    consent: Ticked = False

    @model_validator(mode="after")
    def _reachable_at_one_time(self) -> "Request":
        if self.phone is None and self.email is None:
            raise about(("phone",), "is needed, unless an email address is given")
        if self.appointment_date_time is not None and (self.day, self.time) != (None, None):
            raise about(("appointmentDateTime",), "give either appointmentDateTime or date and time")
        if self.appointment_date_time is None and self.day is None:
            raise about(("date",), "is required")
        if self.appointment_date_time is None and self.time is None:
            raise about(("time",), "is required")
        return self


class Received(ApiModel):
    """The appointment that was made. Nothing in it tells whether the person was known."""

    model_config = ConfigDict(json_schema_extra=example(examples.FORM_RECEIVED))

    appointment_id: str
    appointment_date_time: str
    date: str
    time: str
    timezone: str
    service: str | None
    staff: str | None
    status: str
