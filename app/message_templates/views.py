"""The routes under /api/templates that keep texts; ``app.messages.preview_views`` shows what becomes of them."""

from typing import cast

from flask import Blueprint
from sqlalchemy.orm import Session

from app.api import idempotency
from app.api.auth import Caller
from app.api.endpoint import dump, endpoint
from app.api.fields import WorkspaceQuery, time_text
from app.api.idempotency import Outcome
from app.database import reading
from app.errors import NotFound, invalid_field
from app.message_templates import schemas, service
from app.message_templates.context import FIELDS, OWN
from app.message_templates.defaults import DEFAULTS, Text
from app.message_templates.models import MessageTemplate
from app.workspaces.service import ensure_workspace

blueprint = Blueprint("templates", __name__, url_prefix="/api/templates")
TAG = "Templates"
ONE = "/<kind>/<any(sms, whatsapp, email):channel>"


@endpoint(
    blueprint,
    "GET",
    "",
    query=WorkspaceQuery,
    answer=schemas.TemplateList,
    summary="The texts of a workspace",
    tag=TAG,
    errors=(404,),
)
def list_templates(caller: Caller, payload: WorkspaceQuery) -> schemas.TemplateList:
    """Your own texts, and Bellhop's where you have none; with all merge fields."""
    with reading() as session:
        own = service.own_templates(session, caller.existing_workspace(payload.workspace_id))
    items = [_own_item(one) for one in own]
    replaced = {(one.kind, one.channel) for one in own if not one.event_type}
    items += [_default_item(kind, channel) for kind, channel in DEFAULTS if (kind, channel) not in replaced]
    fields = [schemas.FieldItem(name=name, example=spec.meaning) for name, spec in FIELDS.items() if "|" not in name]
    fields.append(schemas.FieldItem(name=f"{OWN}NAME", example="a field of your own of the contact"))
    return schemas.TemplateList(templates=items, fields=fields)


@endpoint(
    blueprint,
    "GET",
    ONE,
    query=schemas.TemplateRef,
    answer=schemas.TemplateItem,
    summary="The text of a kind and channel",
    tag=TAG,
    errors=(404,),
)
def read_template(caller: Caller, payload: schemas.TemplateRef, kind: str, channel: str) -> schemas.TemplateItem:
    """The text that a message of this kind would be written from; 404 where there is neither yours nor a default."""
    workspace_id = caller.existing_workspace(payload.workspace_id)
    kind = service.canonical_kind(kind)
    with reading() as session:
        for event_type in dict.fromkeys((payload.event_type or "", "")):
            if (own := service.find(session, workspace_id, kind, channel, event_type)) is not None:
                return _own_item(own)
    if (kind, channel) not in DEFAULTS:
        raise NotFound("There is no template of this kind and channel; such messages take the text of `reminder`.")
    return _default_item(kind, channel)


@endpoint(
    blueprint,
    "PUT",
    ONE,
    body=schemas.SaveTemplate,
    answer=schemas.TemplateItem,
    summary="Write a text of your own",
    tag=TAG,
    errors=(403, 404),
)
def save_template(caller: Caller, payload: schemas.SaveTemplate, kind: str, channel: str) -> Outcome:
    """Creates or replaces. Messages that wait already take the new text: each is written when it is sent."""
    workspace_id = caller.workspace(payload.workspace_id)
    kind = service.canonical_kind(kind)
    if not schemas.KIND.fullmatch(kind):
        raise invalid_field("kind", "must be 1 to 64 small letters, digits, - and _, and begin with a letter or digit")
    _check_fits(payload, channel)
    service.check(channel, payload.body, payload.subject, payload.content_variables)
    values = payload.model_dump(by_alias=False, exclude={"workspace_id", "event_type"})

    def work(session: Session) -> Outcome:
        ensure_workspace(session, workspace_id)
        saved = service.save(session, workspace_id, kind, channel, payload.event_type or "", values)
        return Outcome(dump(_own_item(saved)))

    return idempotency.carry_out(work)


def _check_fits(payload: schemas.SaveTemplate, channel: str) -> None:
    """Raises: Invalid: a field that this channel does not have, or lacks."""
    if channel == "email" and payload.subject is None:
        raise invalid_field("subject", "is required for an email")
    if channel != "email" and payload.subject is not None:
        raise invalid_field("subject", "is for emails only")
    if channel != "whatsapp" and payload.content_sid is not None:
        raise invalid_field("contentSid", "is for WhatsApp only")
    if payload.content_variables and payload.content_sid is None:
        raise invalid_field("contentVariables", "belong to a contentSid, of WhatsApp")


@endpoint(
    blueprint,
    "DELETE",
    ONE,
    query=schemas.TemplateRef,
    answer=schemas.Deleted,
    summary="Go back to the default text",
    tag=TAG,
    errors=(404,),
)
def delete_template(caller: Caller, payload: schemas.TemplateRef, kind: str, channel: str) -> Outcome:
    """Deletes your own text of exactly this kind, channel and event type."""
    workspace_id = caller.existing_workspace(payload.workspace_id)
    kind = service.canonical_kind(kind)

    deleted = schemas.Deleted(
        kind=kind, channel=cast(schemas.Channel, channel), event_type=payload.event_type, deleted=True
    )

    def work(session: Session) -> Outcome:
        service.remove(session, workspace_id, kind, channel, payload.event_type or "")
        return Outcome(dump(deleted))

    return idempotency.carry_out(work)


def _own_item(one: MessageTemplate) -> schemas.TemplateItem:
    return _item(one.kind, one.channel, service.as_text(one), one.event_type, time_text(one.updated_at))


def _default_item(kind: str, channel: str) -> schemas.TemplateItem:
    return _item(kind, channel, DEFAULTS[kind, channel])


def _item(
    kind: str, channel: str, text: Text, event_type: str = "", updated_at: str | None = None
) -> schemas.TemplateItem:
    return schemas.TemplateItem(
        kind=kind,
        channel=cast(schemas.Channel, channel),
        event_type=event_type or None,
        subject=text.subject,
        body=text.body,
        content_sid=text.content_sid,
        content_variables=dict(text.content_variables),
        missing_field=cast(schemas.MissingField, text.missing_field),
        is_default=text.id is None,
        updated_at=updated_at,
    )
