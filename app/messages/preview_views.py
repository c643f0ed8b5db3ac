"""The routes under /api/templates that show what a text looks like, and send it to whoever writes it."""

import re
from functools import partial
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints
from sqlalchemy.orm import Session

from app import clock
from app.api import idempotency
from app.api.auth import Caller
from app.api.body import ApiModel, example
from app.api.endpoint import dump, endpoint
from app.api.fields import Time, WorkspaceQuery, plain
from app.api.idempotency import Outcome
from app.channels.phone import WHATSAPP, channel_of, check_address
from app.database import reading
from app.errors import invalid_field
from app.extensions import settings
from app.ids import APPOINTMENT_ID, CONTACT_ID, keyed_job_id, message_id
from app.message_templates import examples
from app.message_templates.schemas import Body, Channel, EventType, Kind, Subject
from app.message_templates.service import canonical_kind
from app.message_templates.views import TAG, blueprint
from app.messages import previews, service
from app.messages.previews import Preview, Wanted, WarningCode
from app.messages.schemas import ADDRESS_PATTERN
from app.messages.senders import SenderBook
from app.messages.service import Draft, time_text

NO_PRICE = "This workspace has not said what a message costs (its setting `prices`)."


class PreviewTemplate(WorkspaceQuery):
    """A kind's text, or a ``body`` of your own, with the data of an appointment or contact, else with made-up ones."""

    model_config = ConfigDict(json_schema_extra=example(examples.PREVIEW), arbitrary_types_allowed=True)

    kind: Kind
    channel: Channel
    body: Body | None = Field(None, description="In place of the stored text.")
    subject: Subject | None = None
    event_type: EventType | None = None
    appointment_id: Annotated[str, StringConstraints(pattern=f"^{APPOINTMENT_ID.pattern}$")] | None = None
    contact_id: Annotated[str, StringConstraints(pattern=f"^{CONTACT_ID.pattern}$")] | None = None
    at: Time | None = Field(None, description="When it would be sent. Default: now.")


def _sender(value: str) -> str:
    if channel_of(value) != "email" and not re.fullmatch(ADDRESS_PATTERN, value):
        raise ValueError("must be a number in E.164 form, for WhatsApp after whatsapp:, or an email address")
    return value


class SendTest(PreviewTemplate):
    """The same, and where to send it."""

    model_config = ConfigDict(json_schema_extra=example(examples.TEST_SEND))

    to: Annotated[str, StringConstraints(min_length=3, max_length=320)] = Field(
        description="Your own number in E.164 form, or your address for an email."
    )
    from_number: Annotated[str, StringConstraints(max_length=320), AfterValidator(_sender)] | None = Field(
        None, description="As for any message: one of the workspace's senders."
    )


class ForeignCharacter(ApiModel):
    """A character that makes an SMS longer: which, where in the body (from 0), and what to write in its place."""

    character: str
    name: str
    index: int
    suggestion: str | None


class PriceItem(ApiModel):
    """By the workspace's own prices."""

    amount: float
    currency: str


class WarningItem(ApiModel):
    """Something to think about."""

    code: WarningCode
    message: str


class PreviewAnswer(ApiModel):
    """The finished text. ``encoding`` and ``segments`` are null where a channel has none."""

    model_config = ConfigDict(json_schema_extra=example(examples.PREVIEWED))

    kind: str
    channel: Channel
    subject: str | None
    body: str
    content_sid: str | None
    content_variables: dict[str, str] | None
    sample_data: bool
    is_default: bool
    characters: int
    encoding: Literal["GSM-7", "UCS-2"] | None
    segments: int | None
    non_gsm_characters: list[ForeignCharacter]
    missing_fields: list[str]
    would_be_skipped: bool = Field(description="A field has no value, and the template says `skip`.")
    price_estimate: PriceItem | None
    price_note: str | None
    warnings: list[WarningItem]


class TestSent(ApiModel):
    """Accepted as any message."""

    model_config = ConfigDict(json_schema_extra=example(examples.TEST_SENT))

    job_id: str
    status: Literal["processing"]
    message_id: str
    body: str


@endpoint(
    blueprint,
    "POST",
    "/preview",
    body=PreviewTemplate,
    answer=PreviewAnswer,
    summary="See what a text looks like",
    tag=TAG,
    errors=(404,),
)
def preview_template(caller: Caller, payload: PreviewTemplate) -> PreviewAnswer:
    """With its segments, what makes it longer than it need be, its price, and what carriers dislike. Stores nothing."""
    workspace_id = caller.existing_workspace(payload.workspace_id)
    with reading() as session:
        return _answer(payload, _preview(session, workspace_id, payload))


@endpoint(
    blueprint,
    "POST",
    "/test-send",
    body=SendTest,
    answer=TestSent,
    status=202,
    creates=True,
    summary="Send a text to yourself",
    tag=TAG,
    errors=(404,),
)
def test_send_template(caller: Caller, payload: SendTest) -> Outcome:
    """The finished text goes out as any message does: opt-outs and the sender's turn count. A field without a value is
    left blank.
    """
    workspace_id = caller.workspace(payload.workspace_id)
    to = _recipient(payload)
    key = idempotency.header_key()
    job_id = keyed_job_id(workspace_id, "test-send", key) if key else None

    def work(session: Session) -> Outcome:
        shown = _preview(session, workspace_id, payload)
        if not shown.composed.body:
            raise invalid_field("body", "is blank with these data")
        book = SenderBook(session, workspace_id)
        now = clock.now()
        draft = Draft(
            workspace_id=workspace_id,
            to=to,
            sender=book.choose(to, payload.from_number),
            body=shown.composed.body,
            subject=shown.composed.subject,
            due_at=now,
            due_text=time_text(now, book.zone),
            valid_until=now + service.DEFAULT_VALIDITY,
            job_id=job_id,
        )
        stored = service.store(session, [draft])
        answer = TestSent(
            job_id=stored[0].job_id, status="processing", message_id=message_id(stored[0].id), body=draft.body
        )
        return Outcome(dump(answer), lambda: service.announce(stored))

    return idempotency.once(workspace_id, "test-send", key, partial(plain, payload), work)


def _preview(session: Session, workspace_id: str, payload: PreviewTemplate) -> Preview:
    if payload.subject is not None and (payload.channel != "email" or payload.body is None):
        raise invalid_field("subject", "belongs to the body of an email")
    wanted = Wanted(
        kind=canonical_kind(payload.kind),
        channel=payload.channel,
        body=payload.body,
        subject=payload.subject,
        appointment_id=payload.appointment_id,
        contact_id=payload.contact_id,
        event_type=payload.event_type,
        at=payload.at.at if payload.at else None,
    )
    return previews.preview(session, workspace_id, wanted, clock.now(), settings().base_url)


def _recipient(payload: SendTest) -> str:
    """The address as its channel writes it.

    Raises:
        Invalid: it is none of this channel.
    """
    if payload.channel == "email":
        name, at, domain = payload.to.rpartition("@")
        bad = any(not one.isprintable() or one.isspace() for one in payload.to)
        if bad or not (name and at and "." in domain.strip(".")):
            raise invalid_field("to", "must be an email address")
        return payload.to
    to = payload.to
    if payload.channel == "whatsapp":
        to = f"{WHATSAPP}{to.removeprefix(WHATSAPP)}"
    problem = check_address(to, settings().phone_strictness)
    if problem or to.startswith(WHATSAPP) != (payload.channel == "whatsapp"):
        raise invalid_field("to", problem or "must be a number without whatsapp: before it")
    return to


def _answer(payload: PreviewTemplate, shown: Preview) -> PreviewAnswer:
    composed, price = shown.composed, shown.price
    return PreviewAnswer(
        kind=canonical_kind(payload.kind),
        channel=payload.channel,
        subject=composed.subject,
        body=composed.body,
        content_sid=shown.text.content_sid,
        content_variables=composed.content_variables,
        sample_data=shown.sample,
        is_default=shown.text.id is None and payload.body is None,
        characters=shown.characters,
        encoding=shown.counted.encoding if shown.counted else None,
        segments=shown.counted.segments if shown.counted else None,
        non_gsm_characters=[
            ForeignCharacter(character=one.character, name=one.name, index=one.index, suggestion=one.suggestion)
            for one in shown.foreign
        ],
        missing_fields=list(composed.missing),
        would_be_skipped=shown.would_be_skipped,
        price_estimate=PriceItem(amount=float(price.amount), currency=price.currency) if price else None,
        price_note=None if price else NO_PRICE,
        warnings=[WarningItem(code=code, message=message) for code, message in shown.warnings],
    )
