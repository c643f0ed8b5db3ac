"""GET /api/messages/{id}/explain: why a message goes out when it does, or did not."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ConfigDict
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import clock
from app.api.auth import Caller
from app.api.body import ApiModel, example
from app.api.endpoint import endpoint
from app.api.fields import WorkspaceQuery
from app.appointments.models import Appointment
from app.channels import accounts
from app.channels.models import ProviderAccount
from app.channels.registry import providers
from app.contacts import service as contacts
from app.database import reading
from app.ids import message_id as public_id
from app.messages import examples, reading_views
from app.messages.explaining import Story, explain, facts
from app.messages.models import Attempt, Batch, DeliveryEvent, Message, Recurrence
from app.messages.states import Status
from app.workspaces.models import Workspace


class StepItem(ApiModel):
    """One thing that happened, was decided or is to come."""

    step: str
    text: str
    at: str | None


class Explanation(ApiModel):
    """A message's life in plain words."""

    model_config = ConfigDict(json_schema_extra=example(examples.EXPLANATION))

    message_id: str
    job_id: str
    state: reading_views.StatusWord
    reason: str | None
    timezone: str
    summary: str
    steps: list[StepItem]


@endpoint(
    reading_views.blueprint,
    "GET",
    "/<message_id>/explain",
    query=WorkspaceQuery,
    answer=Explanation,
    summary="Why a message goes out when it does, or did not",
    tag=reading_views.TAG,
    errors=(404,),
)
def explain_message(caller: Caller, payload: WorkspaceQuery, message_id: str) -> Explanation:
    """By message id (``msg_…``) or job id: every step in order, and one sentence that sums them up."""
    workspace_id = caller.existing_workspace(payload.workspace_id)
    with reading() as session:
        story = story_of(session, reading_views.find(session, workspace_id, message_id))
    steps, summary = explain(story)
    message = story.message
    items: list[Any] = [StepItem(**one) for one in facts(steps)]
    return Explanation(
        message_id=public_id(message.id),
        job_id=message.job_id,
        state=Status(message.status).value,
        reason=message.reason,
        timezone=story.zone.key,
        summary=summary,
        steps=items,
    )


def story_of(session: Session, message: Message, now: datetime | None = None) -> Story:
    """All that the database knows about a message; its times are told where the appointment takes place."""
    appointment = session.get(Appointment, message.appointment_id) if message.appointment_id else None
    recurrence = session.get(Recurrence, message.recurrence_id) if message.recurrence_id else None
    batch = session.get(Batch, message.batch_id) if message.batch_id else None
    zone = (appointment and appointment.timezone) or (recurrence and recurrence.timezone)
    opted_out = select(contacts.is_suppressed(message.workspace_id, message.channel, message.to_address))
    paused = _paused_account(session, message) if message.status == Status.SCHEDULED else None
    reports = select(DeliveryEvent).where(DeliveryEvent.message_id == message.id)
    return Story(
        message=message,
        attempts=session.scalars(
            select(Attempt).where(Attempt.message_id == message.id).order_by(Attempt.number)
        ).all(),
        reports=session.scalars(reports.order_by(DeliveryEvent.received_at, DeliveryEvent.id)).all(),
        zone=ZoneInfo(zone or session.get_one(Workspace, message.workspace_id).timezone),
        now=now or clock.now(),
        recurrence=f"{' and '.join(recurrence.crons)}, {recurrence.timezone}" if recurrence else None,
        batch=batch.name if batch else None,
        appointment=(appointment.public_id, appointment.starts_at) if appointment else None,
        is_superseded=bool(appointment and appointment.revision != message.plan_revision),
        has_opted_out=bool(session.scalar(opted_out)),
        paused=(paused.reason or "it is not known why") if paused else None,
    )


def _paused_account(session: Session, message: Message) -> ProviderAccount | None:
    provider = providers().get(message.channel)
    return accounts.paused_account(session, provider.account) if provider else None
