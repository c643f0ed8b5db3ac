"""Many messages in one request, each judged on its own."""

from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from app import clock
from app.api import idempotency
from app.api.auth import Caller
from app.api.body import validate
from app.api.endpoint import LARGE, dump, endpoint
from app.api.idempotency import Outcome
from app.errors import ApiError
from app.ids import keyed_job_id, message_id
from app.messages import forecast, schemas, service
from app.messages.senders import SenderBook
from app.messages.service import Draft, Stored, time_text
from app.messages.views import TAG, after, at_given, trigger


@endpoint(
    trigger,
    "POST",
    "/schedule-bulk",
    body=schemas.ScheduleBulk,
    answer=schemas.BulkAnswer,
    status=202,
    creates=True,
    limit=LARGE,
    summary="Schedule up to 1,000 messages, each judged on its own",
    tag=TAG,
)
def schedule_bulk(caller: Caller, payload: schemas.ScheduleBulk) -> Outcome:
    """One transaction for all items that are good; a bad item has its error and spoils nothing."""
    workspace_id = caller.workspace(payload.workspace_id)
    key = idempotency.header_key()
    items = [_item(item) for item in payload.messages]

    def work(session: Session) -> Outcome:
        now = clock.now()
        book = SenderBook(session, workspace_id)
        verdicts: list[Draft | ApiError] = []
        for index, item in enumerate(items):
            job_id = keyed_job_id(workspace_id, "schedule-bulk", key, index) if key else None
            try:
                verdicts.append(_draft(item, payload.from_number, workspace_id, book, now, job_id))
            except ApiError as error:
                verdicts.append(error)
        drafts = [verdict for verdict in verdicts if isinstance(verdict, Draft)]
        warnings = slow_senders(session, book, drafts, now)
        stored = service.store(session, drafts)
        return Outcome(_answer(verdicts, stored, warnings), lambda: service.announce(stored))

    return idempotency.once(workspace_id, "schedule-bulk", key, partial(schemas.plain, payload), work)


def _item(item: object) -> schemas.BulkItem | ApiError:
    """What can be said of an item without the database."""
    try:
        checked = validate(schemas.BulkItem, item)
        service.check_recipient(checked.to)
    except ApiError as error:
        return error
    return checked


def _draft(
    item: schemas.BulkItem | ApiError,
    sender: str | None,
    workspace_id: str,
    book: SenderBook,
    now: datetime,
    job_id: str | None,
) -> Draft:
    if isinstance(item, ApiError):
        raise item
    if item.scheduled_time is not None:
        due_at, due_text = at_given(item.scheduled_time, now)
    else:
        due_at, due_text = after(item.delay_minutes or 0, book.zone, now)
    return Draft(
        workspace_id=workspace_id,
        to=item.to,
        sender=book.choose(item.to, item.from_number or sender),
        body=item.body,
        media_urls=item.media_url,
        due_at=due_at,
        due_text=due_text,
        valid_until=due_at + service.DEFAULT_VALIDITY,
        reference=item.reference,
        job_id=job_id,
    )


def slow_senders(session: Session, book: SenderBook, drafts: list[Draft], now: datetime) -> list[schemas.BulkWarning]:
    """What to say of senders that cannot carry all of it in time."""
    return [
        schemas.BulkWarning(
            from_number=slow.sender,
            message=f"{slow.sender} sends {slow.rate:g} segment{'' if slow.rate == 1 else 's'} a second, and is busy "
            f"with all that is due by then until {time_text(slow.last_slot, book.zone)}. {slow.affected} of these "
            "messages would be of no use any more when their turn comes, and will not go out. Spread them over more "
            "time or over more senders.",
            affected=slow.affected,
            last_slot=time_text(slow.last_slot, book.zone),
        )
        for slow in forecast.of_bulk(session, drafts, now)
    ]


def _answer(
    verdicts: list[Draft | ApiError], stored: list[Stored], warnings: list[schemas.BulkWarning]
) -> dict[str, Any]:
    """A `schemas.BulkAnswer` as it leaves: a thousand models would be made only to be taken apart again."""
    rows = iter(stored)
    results: list[dict[str, Any]] = []
    for index, verdict in enumerate(verdicts):
        if isinstance(verdict, ApiError):
            error = {"code": verdict.code, "message": verdict.message, "fields": verdict.fields}
            results.append({"index": index, "success": False, "error": error})
            continue
        row = next(rows)
        results.append(
            {
                "index": index,
                "success": True,
                "jobId": row.job_id,
                "messageId": message_id(row.id),
                "status": "scheduled",
                "scheduledTime": row.due_text,
                "reference": verdict.reference,
            }
        )
    answer = {"accepted": len(stored), "rejected": len(verdicts) - len(stored), "results": results}
    return answer | ({"warnings": [dump(warning) for warning in warnings]} if warnings else {})
