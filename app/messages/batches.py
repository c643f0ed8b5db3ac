"""Batches: one text to many people, accepted together and called off together.

Whoever must not get it is left out when it is accepted, with the reason. A person is in a batch once: the message's job
id is made of the two, and the unique index on it holds whatever happens.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Row, func, literal, select, true, update
from sqlalchemy.orm import Session

from app import clock, queue
from app.channels.phone import WHATSAPP
from app.contacts import consents, segments
from app.contacts import service as contacts
from app.contacts.models import Contact
from app.errors import Conflict, NotFound, invalid_field
from app.ids import new_id
from app.message_templates.models import MessageTemplate
from app.messages.models import Batch, Message
from app.messages.service import Draft, Origin
from app.messages.states import ACCEPTED, IN_FLIGHT, Reason, Status

MAX_CONTACTS = 10_000
OWN_TEXT = "batch"
"""The kind of a message whose text was given with its batch."""

NotForReason = Literal["opted_out", "no_address", "no_consent", "not_found"]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in the segment: where to reach them, or why they are left out."""

    id: str
    public_id: str
    address: str
    left_out: NotForReason | None


@dataclass(frozen=True, slots=True)
class Text:
    """What a batch says: a kind of template, or a certain one; ``body`` stands in until a message is written."""

    kind: str
    template_id: str | None
    body: str


def choose(
    session: Session,
    workspace_id: str,
    *,
    channel: str,
    category: str,
    tags: Sequence[str] | None = None,
    contact_ids: Sequence[str] | None = None,
    now: datetime,
) -> list[Person]:
    """Everybody in a segment (by tags, by ids, or all), with who is left out and why, in one query.

    Raises:
        Invalid: nobody is in it, or more than `MAX_CONTACTS` are.
    """
    address: ColumnElement[Any] = {
        "sms": Contact.phone,
        "whatsapp": literal(WHATSAPP) + Contact.phone,
        "email": Contact.email,
    }[channel]  # type: ignore[assignment]
    consent = consents.in_force(Contact.id, "marketing", channel, now) if category == "marketing" else true()
    query = (
        segments.of_workspace(workspace_id)
        .with_only_columns(
            Contact.id,
            Contact.public_id,
            address.label("address"),
            contacts.is_suppressed(workspace_id, channel, address).label("opted_out"),
            consent.label("consents"),
        )
        .order_by(Contact.id)
        .limit(MAX_CONTACTS + 1)
    )
    if tags is not None:
        query = query.where(segments.has_any_tag(session, tags))
    if contact_ids is not None:
        query = query.where(Contact.public_id.in_(set(contact_ids)))
    rows = session.execute(query).all()
    found = {row.public_id for row in rows}
    unknown = [one for one in dict.fromkeys(contact_ids or ()) if one not in found]
    if len(rows) > MAX_CONTACTS:
        raise invalid_field("segment", f"has more than {MAX_CONTACTS} contacts; divide it")
    if not rows and not unknown:
        raise invalid_field("segment", "has nobody in it")
    people = [Person(row.id, row.public_id, row.address or "", _left_out(row)) for row in rows]
    return people + [Person("", one, "", "not_found") for one in unknown]


def _left_out(row: Row[Any]) -> NotForReason | None:
    if not row.address:
        return "no_address"
    if row.opted_out:
        return "opted_out"
    return None if row.consents else "no_consent"


def own_text(session: Session, workspace_id: str, batch_id: str, channel: str, body: str, subject: str | None) -> Text:
    """Keep the text that was given with a batch as a template of its own."""
    template = MessageTemplate(
        id=new_id(), workspace_id=workspace_id, kind=f"batch-{batch_id}", channel=channel, body=body, subject=subject
    )
    session.add(template)
    session.flush()
    return Text(OWN_TEXT, template.id, body)


def template_text(
    session: Session, workspace_id: str, channel: str, *, kind: str | None = None, template_id: str | None = None
) -> Text:
    """A template of the workspace: a certain one, or that of a kind.

    Raises:
        Invalid: it has no such template for this channel.
    """
    same = (MessageTemplate.workspace_id == workspace_id, MessageTemplate.channel == channel)
    if template_id is not None:
        named = session.scalar(select(MessageTemplate).where(*same, MessageTemplate.id == template_id))
        if named is None:
            raise invalid_field("templateId", f"is not a template of this workspace for {channel}")
        return Text(named.kind, named.id, named.body)
    usual = session.scalar(
        select(MessageTemplate).where(*same, MessageTemplate.kind == kind, MessageTemplate.event_type == "")
    )
    if usual is None:
        raise invalid_field("templateKind", f"is not one of which this workspace has a template for {channel}")
    return Text(usual.kind, None, usual.body)


def drafts(
    batch: Batch, text: Text, people: Sequence[Person], *, sender: str, due_text: str, valid_until: datetime
) -> list[Draft]:
    """The messages of a batch, one for each person."""
    return [
        Draft(
            workspace_id=batch.workspace_id,
            to=person.address,
            sender=sender,
            body=text.body,
            due_at=batch.due_at,
            due_text=due_text,
            valid_until=valid_until,
            job_id=f"batch-{batch.id}-{person.id}",
            origin=Origin(kind=text.kind, template_id=text.template_id, contact_id=person.id, batch_id=batch.id),
        )
        for person in people
    ]


def find(session: Session, workspace_id: str, batch_id: str, *, lock: bool = False) -> Batch:
    """A batch by its id.

    Raises:
        NotFound: no such batch in this workspace.
    """
    query = select(Batch).where(Batch.id == batch_id, Batch.workspace_id == workspace_id)
    batch = session.scalar(query.with_for_update() if lock else query)
    if batch is None:
        raise NotFound("There is no such batch in this workspace.")
    return batch


def counts(session: Session, batch_ids: Sequence[str]) -> dict[str, Counter[str]]:
    """The messages of some batches by state."""
    found: dict[str, Counter[str]] = {batch_id: Counter() for batch_id in batch_ids}
    rows = session.execute(
        select(Message.batch_id, Message.status, func.count())
        .where(Message.batch_id.in_(batch_ids))
        .group_by(Message.batch_id, Message.status)
    )
    for batch_id, status, number in rows:
        found[batch_id or ""][status] = number
    return found


BatchStatus = Literal["scheduled", "sending", "completed", "cancelled"]


def status_of(batch: Batch, by_state: Counter[str], now: datetime) -> BatchStatus:
    """Where a batch stands: it is completed once nothing of it waits any more, however each message ended."""
    if batch.status == "cancelled":
        return "cancelled"
    if by_state[Status.SCHEDULED] or any(by_state[state] for state in IN_FLIGHT):
        return "scheduled" if batch.due_at > now else "sending"
    return "completed"


@dataclass(frozen=True, slots=True)
class CalledOff:
    """What cancelling stopped, what had gone or was going, and the RQ jobs to remove."""

    stopped: int
    gone: int
    dropped: list[str]


def cancel(session: Session, workspace_id: str, batch_id: str) -> CalledOff:
    """Call off everything of a batch that still waits; again gives the same answer.

    What is being sent right now is not stopped, but is not tried again either: the claim looks at the batch.

    Raises:
        NotFound: no such batch. Conflict: nothing of it waits any more.
    """
    now = clock.now()
    batch = find(session, workspace_id, batch_id, lock=True)
    if status_of(batch, counts(session, [batch_id])[batch_id], now) == "completed":
        raise Conflict("All of this batch has gone out, or is over.", code="already_sent")
    batch.status, batch.cancelled_at = "cancelled", batch.cancelled_at or now
    session.flush()
    rows = session.execute(
        update(Message)
        .where(Message.batch_id == batch_id, Message.status == Status.SCHEDULED)
        .values(status=Status.CANCELLED, reason=Reason.BATCH_CANCELLED, finished_at=now)
        .returning(Message.id, Message.revision)
    ).all()
    stopped = session.scalar(
        select(func.count())
        .select_from(Message)
        .where(Message.batch_id == batch_id, Message.reason == Reason.BATCH_CANCELLED)
    )
    by_state = counts(session, [batch_id])[batch_id]
    gone = sum(by_state[state] for state in ACCEPTED | IN_FLIGHT)
    return CalledOff(stopped or 0, gone, [queue.send_nudge(row.id, row.revision, None).job_id for row in rows])
