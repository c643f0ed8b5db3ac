"""Batches: one text to many people, with a minute to call it off."""

from collections import Counter
from datetime import datetime
from functools import partial
from typing import Any

from flask import Blueprint
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import clock, queue
from app.api import idempotency
from app.api.auth import Caller
from app.api.endpoint import LARGE, dump, endpoint
from app.api.fields import WorkspaceQuery, plain, time_text
from app.api.idempotency import Outcome
from app.channels.segments import count_segments
from app.database import reading
from app.ids import new_id
from app.messages import batch_schemas as schemas
from app.messages import batches, service
from app.messages.bulk_views import slow_senders
from app.messages.models import Batch
from app.messages.senders import SenderBook
from app.messages.views import after, at_given, valid_until

blueprint = Blueprint("batches", __name__, url_prefix="/api/batches")
TAG = "Batches"
UNDO_MINUTES = 1.0
"""How long a batch without a time waits, so that it can be called off."""
MAX_SKIPPED = 100
"""People whom an answer names."""
MAX_SHOWN_IDS = 100


@endpoint(
    blueprint,
    "POST",
    "",
    body=schemas.NewBatch,
    answer=schemas.BatchAccepted,
    status=202,
    creates=True,
    limit=LARGE,
    summary="Send one text to many people",
    tag=TAG,
)
def create_batch(caller: Caller, payload: schemas.NewBatch) -> Outcome:
    """Up to 10,000 contacts, in one transaction. Who has opted out, has no address or (for marketing) no consent is
    left out, with the reason. With neither time it is due in one minute; until ``undoUntil`` cancelling stops all of
    it.
    """
    workspace_id = caller.workspace(payload.workspace_id)

    def work(session: Session) -> Outcome:
        return _accept(session, workspace_id, payload, clock.now())

    return idempotency.once(workspace_id, "batches", idempotency.header_key(), partial(plain, payload), work)


def _accept(session: Session, workspace_id: str, payload: schemas.NewBatch, now: datetime) -> Outcome:
    book = SenderBook(session, workspace_id)
    if payload.scheduled_time is not None:
        due_at, due_text = at_given(payload.scheduled_time, now)
    else:
        due_at, due_text = after(payload.delay_minutes or UNDO_MINUTES, book.zone, now)
    people = batches.choose(
        session,
        workspace_id,
        channel=payload.channel,
        category=payload.category,
        tags=payload.segment.tags,
        contact_ids=payload.segment.contact_ids,
        now=now,
    )
    chosen = [person for person in people if person.left_out is None]
    batch = Batch(
        id=new_id(),
        workspace_id=workspace_id,
        name=payload.name,
        channel=payload.channel,
        category=payload.category,
        segment=_asked_for(payload.segment),
        total=len(chosen),
        due_at=due_at,
    )
    text = _text(session, batch, payload)
    batch.template_id = text.template_id
    session.add(batch)
    session.flush()
    sender = book.choose(chosen[0].address, payload.from_number) if chosen else ""
    ends = valid_until(payload.valid_until, due_at)
    drafts = batches.drafts(batch, text, chosen, sender=sender, due_text=due_text, valid_until=ends)
    warnings = slow_senders(session, book, drafts, now)
    stored = service.store(session, drafts)
    left_out = [person for person in people if person.left_out is not None]
    answer = schemas.BatchAccepted(
        batch_id=batch.id,
        name=batch.name,
        channel=payload.channel,
        category=payload.category,
        total=len(people),
        accepted=len(stored),
        skipped=[
            schemas.NotFor(contact_id=person.public_id, reason=person.left_out)
            for person in left_out[:MAX_SKIPPED]
            if person.left_out
        ],
        skipped_counts=Counter(person.left_out for person in left_out if person.left_out),
        segments=None if payload.channel == "email" else count_segments(text.body).segments * len(stored),
        scheduled_time=due_text,
        undo_until=due_text,
        warnings=warnings,
    )
    known = frozenset(person.public_id for person in left_out[:MAX_SKIPPED])
    return Outcome(dump(answer), lambda: service.announce(stored), existing_ids=known)


def _asked_for(segment: schemas.Segment) -> dict[str, Any]:
    """A segment as it is shown later. Of a long list of ids the messages themselves know the rest."""
    ids = segment.contact_ids
    if ids is None:
        return segment.model_dump(by_alias=True, exclude_none=True)
    return {"contactIds": ids[:MAX_SHOWN_IDS], "contactCount": len(ids)}


def _text(session: Session, batch: Batch, payload: schemas.NewBatch) -> batches.Text:
    if payload.body is not None:
        return batches.own_text(session, batch.workspace_id, batch.id, batch.channel, payload.body, payload.subject)
    return batches.template_text(
        session, batch.workspace_id, batch.channel, kind=payload.template_kind, template_id=payload.template_id
    )


@endpoint(
    blueprint,
    "GET",
    "",
    query=schemas.BatchQuery,
    answer=schemas.BatchPage,
    summary="The batches of a workspace",
    tag=TAG,
    errors=(404,),
)
def list_batches(caller: Caller, payload: schemas.BatchQuery) -> schemas.BatchPage:
    """Keyset pages, the latest batch first."""
    workspace_id = caller.existing_workspace(payload.workspace_id)
    query = select(Batch).where(Batch.workspace_id == workspace_id).order_by(Batch.id.desc()).limit(payload.limit + 1)
    if payload.cursor is not None:
        query = query.where(Batch.id < payload.cursor)
    with reading() as session:
        rows = list(session.scalars(query))
        page = rows[: payload.limit]
        by_batch = batches.counts(session, [row.id for row in page])
    return schemas.BatchPage(
        batches=[_state(row, by_batch[row.id]) for row in page],
        next_cursor=page[-1].id if len(rows) > payload.limit else None,
    )


@endpoint(
    blueprint,
    "GET",
    "/<batch_id>",
    query=WorkspaceQuery,
    answer=schemas.BatchState,
    summary="How a batch is doing",
    tag=TAG,
    errors=(404,),
)
def read_batch(caller: Caller, payload: WorkspaceQuery, batch_id: str) -> schemas.BatchState:
    """``completed`` once nothing of it waits any more; ``counts`` says how its messages ended."""
    workspace_id = caller.existing_workspace(payload.workspace_id)
    with reading() as session:
        batch = batches.find(session, workspace_id, batch_id)
        return _state(batch, batches.counts(session, [batch.id])[batch.id])


@endpoint(
    blueprint,
    "POST",
    "/<batch_id>/cancel",
    optional_body=schemas.BatchRef,
    answer=schemas.BatchCancelled,
    summary="Call a batch off",
    tag=TAG,
    errors=(404, 409),
)
def cancel_batch(caller: Caller, payload: schemas.BatchRef, batch_id: str) -> Outcome:
    """Everything that still waits is ``cancelled`` (``batch_cancelled``). Again gives the same answer. 409
    ``already_sent`` where nothing waits any more.
    """
    workspace_id = caller.existing_workspace(payload.workspace_id)

    def work(session: Session) -> Outcome:
        done = batches.cancel(session, workspace_id, batch_id)
        answer = schemas.BatchCancelled(batch_id=batch_id, stopped=done.stopped, already_gone=done.gone)
        return Outcome(dump(answer), lambda: queue.remove(done.dropped))

    return idempotency.carry_out(work)


def _state(batch: Batch, by_state: Counter[str]) -> schemas.BatchState:
    return schemas.BatchState.model_validate(
        {
            "batch_id": batch.id,
            "name": batch.name,
            "status": batches.status_of(batch, by_state, clock.now()),
            "channel": batch.channel,
            "category": batch.category,
            "segment": batch.segment,
            "total": batch.total,
            "counts": by_state,
            "scheduled_time": time_text(batch.due_at),
            "created_at": time_text(batch.created_at),
            "cancelled_at": time_text(batch.cancelled_at),
        },
        by_name=True,
    )
