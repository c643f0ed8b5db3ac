"""The routes about a workspace itself: its settings, what it has used, and who changed what."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import clock, events
from app.api import dry_run
from app.api.auth import Caller
from app.api.body import from_validation
from app.api.endpoint import endpoint
from app.channels.phone import channel_of
from app.database import reading, write
from app.errors import Invalid, NotFound, invalid_field
from app.extensions import settings as config
from app.messages import budget
from app.messages.budget import Cost, Limit
from app.workspaces import audit, preferences
from app.workspaces.api import schemas
from app.workspaces.models import AuditEntry, Usage, Workspace
from app.workspaces.service import get_workspace, senders_of

blueprint = Blueprint("workspaces", __name__, url_prefix="/api")
TAG = "Workspace"


@endpoint(
    blueprint,
    "GET",
    "/settings",
    query=schemas.Which,
    answer=schemas.Settings,
    summary="A workspace's settings",
    tag=TAG,
    errors=(404,),
)
def read_settings(caller: Caller, payload: schemas.Which) -> schemas.Settings:
    """How it is called, where it is, and what it has chosen for itself."""
    workspace_id = caller.existing_workspace(payload.workspace_id)
    with reading() as session:
        return _shown(_existing(get_workspace(session, workspace_id)))


@endpoint(
    blueprint,
    "PATCH",
    "/settings",
    body=schemas.Patch,
    answer=schemas.Settings,
    summary="Change a workspace's settings",
    tag=TAG,
    errors=(404,),
)
def change_settings(caller: Caller, payload: schemas.Patch) -> schemas.Settings:
    """Only what is named changes, also where others change something else at the same moment. Takes effect in every
    process within 30 seconds.
    """
    workspace_id = caller.existing_workspace(payload.workspace_id)
    patch = payload.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"workspace_id"})

    def work(session: Session) -> schemas.Settings:
        return _change(session, workspace_id, patch, caller.actor)

    keep = not dry_run.requested()
    changed = write(work, keep=keep)
    if keep:
        preferences.forget()
    return changed


_COLUMNS = {
    "name": "name",
    "timezone": "timezone",
    "defaultSender": "default_sender",
    "onUnknown": "on_unknown",
}


def _change(session: Session, workspace_id: str, patch: dict[str, Any], actor: str) -> schemas.Settings:
    # Not against those who only refer to it: messages are stored meanwhile.
    workspace = _existing(
        session.scalar(
            select(Workspace)
            .where(Workspace.id == workspace_id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
    )
    before = _shown(workspace).model_dump(by_alias=True)
    defaults = {"name": workspace_id, "timezone": "UTC", "defaultSender": None, "onUnknown": "resend"}
    for name, value in patch.items():
        if name in _COLUMNS:
            setattr(workspace, _COLUMNS[name], defaults[name] if value is None else value)
    if patch.get("defaultSender") is not None:
        _check_sender(session, workspace_id, patch["defaultSender"])
    sections = {name: value for name, value in patch.items() if name in preferences.NAMES}
    workspace.settings = preferences.merged(workspace.settings, sections)
    try:
        chosen = preferences.parse(workspace.settings)
    except ValidationError as error:
        raise from_validation(error) from None
    _check_prices(chosen)
    after = _shown(workspace)
    audit.record(
        session, workspace_id, actor, "settings.changed", workspace_id, before, after.model_dump(by_alias=True)
    )
    session.flush()
    if {"timezone", "defaultSender"} & patch.keys() and (after.timezone, after.default_sender) != (
        before["timezone"],
        before["defaultSender"],
    ):
        events.plan_inputs_changing.send(session=session, workspace_id=workspace_id)
    return after


def _check_sender(session: Session, workspace_id: str, sender: str) -> None:
    if sender not in senders_of(session, workspace_id) and sender != config().shared_sender(channel_of(sender)):
        raise invalid_field("defaultSender", "is not one of this workspace's senders")


def _check_prices(chosen: preferences.Preferences) -> None:
    """A limit on money that nothing counts against would be none.

    Raises:
        Invalid: there is one, and no currency or no price.
    """
    limits = chosen.caps.model_dump(by_alias=True, include={"daily_spend", "monthly_spend"}, exclude_none=True)
    prices = chosen.prices
    if limits and (prices.currency is None or (prices.sms or prices.whatsapp or prices.email) is None):
        message = "needs prices: their currency, and what an SMS, a WhatsApp message or an email costs"
        raise Invalid("A limit on money needs prices.", fields={f"caps.{name}": [message] for name in limits})


def _existing(workspace: Workspace | None) -> Workspace:
    if workspace is None:
        raise NotFound("There is no such workspace.")
    return workspace


def _shown(workspace: Workspace) -> schemas.Settings:
    chosen = preferences.parse(workspace.settings)
    on_unknown: Any = workspace.on_unknown
    return schemas.Settings(
        workspace_id=workspace.id,
        name=workspace.name,
        timezone=workspace.timezone,
        default_sender=workspace.default_sender,
        on_unknown=on_unknown,
        **{name: getattr(chosen, name) for name in preferences.Preferences.model_fields},
    )


@endpoint(
    blueprint,
    "GET",
    "/usage",
    query=schemas.Which,
    answer=schemas.UsageAnswer,
    summary="What is used of the caps",
    tag=TAG,
    errors=(404,),
)
def read_usage(caller: Caller, payload: schemas.Which) -> schemas.UsageAnswer:
    """Counted from when the first cap was set, before a message goes out; what did not go out is given back within
    seconds. Without caps nothing is counted.
    """
    workspace_id = caller.existing_workspace(payload.workspace_id)
    with reading() as session:
        workspace = _existing(get_workspace(session, workspace_id))
        zone, chosen = ZoneInfo(workspace.timezone), preferences.parse(workspace.settings)
        day, month = budget.periods(clock.now(), zone)
        usage = select(Usage).where(Usage.workspace_id == workspace_id, Usage.period.in_((day, month)))
        rows = {row.period: row for row in session.scalars(usage)}
    limits = budget.limits_of(chosen.caps, day, month)
    today, this_month = (
        _period(name, rows.get(name), limits[name], budget.next_start(name, zone), chosen.caps.any)
        for name in (day, month)
    )
    return schemas.UsageAnswer(counted=chosen.caps.any, currency=chosen.prices.currency, today=today, month=this_month)


def _period(period: str, row: Usage | None, limit: Limit, ends_at: datetime, counted: bool) -> schemas.Period:
    used = Cost(row.segments, row.spend) if row else Cost()
    return schemas.Period(
        period=period,
        segments=used.segments if counted else None,
        spend=_money(used.spend) if counted else None,
        max_segments=limit.segments,
        max_spend=_money(limit.spend),
        percent=limit.percent(used),
        warned=row is not None and row.warned_at is not None,
        reached=row is not None and row.reached_at is not None,
        ends_at=ends_at.isoformat(timespec="milliseconds"),
    )


def _money(amount: int | None) -> str | None:
    """Millionths as a decimal text, to the cent or as exactly as needed."""
    if amount is None:
        return None
    exact = Decimal(amount) / preferences.MILLION
    cents = exact.quantize(Decimal("0.01"))
    return str(cents) if cents == exact else f"{exact.normalize():f}"


@endpoint(
    blueprint,
    "GET",
    "/audit",
    query=schemas.AuditQuery,
    answer=schemas.AuditPage,
    summary="Who changed what",
    tag=TAG,
    errors=(404,),
)
def read_audit(caller: Caller, payload: schemas.AuditQuery) -> schemas.AuditPage:
    """Keyset pages, the latest change first. Phone numbers are masked, secrets are not in it."""
    workspace_id = caller.existing_workspace(payload.workspace_id)
    query = (
        select(AuditEntry)
        .where(AuditEntry.workspace_id == workspace_id)
        .order_by(AuditEntry.id.desc())
        .limit(payload.limit + 1)
    )
    if payload.cursor is not None:
        query = query.where(AuditEntry.id < payload.cursor)
    with reading() as session:
        rows = list(session.scalars(query))
    page = rows[: payload.limit]
    return schemas.AuditPage(
        entries=[
            schemas.Entry(
                id=row.id,
                at=row.at.isoformat(timespec="milliseconds"),
                actor=row.actor,
                action=row.action,
                subject=row.subject,
                before=row.before,
                after=row.after,
            )
            for row in page
        ],
        next_cursor=page[-1].id if len(rows) > payload.limit else None,
    )
