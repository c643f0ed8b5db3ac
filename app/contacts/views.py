"""The routes about people and what they allow."""

from functools import partial
from typing import Any

from flask import Blueprint
from sqlalchemy import func, or_
from sqlalchemy.orm import Session

from app import clock
from app.api import idempotency
from app.api.auth import Caller
from app.api.endpoint import dump, endpoint
from app.api.fields import WorkspaceQuery, plain, time_text
from app.api.idempotency import Outcome
from app.contacts import consents, schemas, segments, service
from app.contacts.models import Consent, Contact
from app.database import reading

blueprint = Blueprint("contacts", __name__, url_prefix="/api/contacts")
TAG = "Contacts"
MAX_WORDS = 5


@endpoint(
    blueprint,
    "POST",
    "",
    body=schemas.NewContact,
    answer=schemas.ContactItem,
    status=201,
    creates=True,
    summary="Add a person",
    tag=TAG,
    errors=(409,),
)
def create_contact(caller: Caller, payload: schemas.NewContact) -> Outcome:
    """409 ``contact_exists`` where the id, the number or the address is another contact's: ``fields`` says whose."""
    workspace_id = caller.workspace(payload.workspace_id)
    service.check_phone(payload.phone)

    def work(session: Session) -> Outcome:
        contact = service.create(session, workspace_id, payload.contact_id, columns(payload))
        return Outcome(dump(shown(session, contact)))

    return idempotency.once(workspace_id, "contacts", idempotency.header_key(), partial(plain, payload), work)


def columns(payload: schemas.NewContact) -> dict[str, Any]:
    """A new contact's values by column."""
    first, last = service.split_name(payload.name) if payload.name else (payload.first_name, payload.last_name)
    return {
        "first_name": first,
        "last_name": last,
        "phone": payload.phone,
        "email": payload.email,
        "timezone": payload.timezone,
        "tags": payload.tags,
        "fields": payload.fields,
        "notes": payload.notes,
    }


@endpoint(
    blueprint,
    "GET",
    "",
    query=schemas.ContactQuery,
    answer=schemas.ContactPage,
    summary="The people of a workspace",
    tag=TAG,
    errors=(404,),
)
def list_contacts(caller: Caller, payload: schemas.ContactQuery) -> schemas.ContactPage:
    """Keyset pages, the latest contact first."""
    workspace_id = caller.existing_workspace(payload.workspace_id)
    query = segments.of_workspace(workspace_id).order_by(Contact.id.desc()).limit(payload.limit + 1)
    for word in (payload.search or "").lower().split()[:MAX_WORDS]:
        texts = (Contact.first_name, Contact.last_name, Contact.email, Contact.phone)
        query = query.where(or_(*(func.lower(text).contains(word, autoescape=True) for text in texts)))
    if payload.cursor is not None:
        query = query.where(Contact.id < payload.cursor)
    with reading() as session:
        if payload.tag is not None:
            query = query.where(segments.has_any_tag(session, [payload.tag]))
        rows = list(session.scalars(query))
        page = rows[: payload.limit]
        out = service.opted_out(session, workspace_id, page)
    return schemas.ContactPage(
        contacts=[_item(row, out[row.id]) for row in page],
        next_cursor=page[-1].id if len(rows) > payload.limit else None,
    )


@endpoint(
    blueprint,
    "GET",
    "/<id:contact_id>",
    query=WorkspaceQuery,
    answer=schemas.ContactItem,
    summary="One person",
    tag=TAG,
    errors=(404,),
)
def read_contact(caller: Caller, payload: WorkspaceQuery, contact_id: str) -> schemas.ContactItem:
    """By your own id or ours."""
    workspace_id = caller.existing_workspace(payload.workspace_id)
    with reading() as session:
        return shown(session, service.find(session, workspace_id, contact_id))


@endpoint(
    blueprint,
    "PATCH",
    "/<id:contact_id>",
    body=schemas.ContactChange,
    answer=schemas.ContactItem,
    summary="Change what is known of a person",
    tag=TAG,
    errors=(404, 409),
)
def change_contact(caller: Caller, payload: schemas.ContactChange, contact_id: str) -> Outcome:
    """What waits to be sent already keeps its number and address."""
    workspace_id = caller.existing_workspace(payload.workspace_id)
    values = {name: getattr(payload, name) for name in payload.model_fields_set - {"workspace_id"}}
    service.check_phone(payload.phone)

    def work(session: Session) -> Outcome:
        contact = service.find(session, workspace_id, contact_id, lock=True)
        return Outcome(dump(shown(session, service.change(session, contact, values))))

    return idempotency.carry_out(work)


@endpoint(
    blueprint,
    "POST",
    "/<id:contact_id>/consents",
    body=schemas.NewConsent,
    answer=schemas.ConsentItem,
    status=201,
    creates=True,
    summary="Put a consent on record",
    tag=TAG,
    errors=(404,),
)
def give_consent(caller: Caller, payload: schemas.NewConsent, contact_id: str) -> Outcome:
    """A consent neither lifts an opt-out nor is it needed for reminders."""
    workspace_id = caller.existing_workspace(payload.workspace_id)

    def work(session: Session) -> Outcome:
        contact = service.find(session, workspace_id, contact_id)
        consent = consents.give(
            session,
            contact,
            kind=payload.kind,
            channel=payload.channel,
            source=payload.source,
            given_at=payload.given_at.at if payload.given_at else None,
            expires_at=payload.expires_at.at if payload.expires_at else None,
        )
        return Outcome(dump(_consent(consent, contact)))

    def compared() -> Any:
        return plain(payload) | {"contactId": contact_id}

    return idempotency.once(workspace_id, "consents", idempotency.header_key(), compared, work)


@endpoint(
    blueprint,
    "GET",
    "/<id:contact_id>/consents",
    query=WorkspaceQuery,
    answer=schemas.ConsentList,
    summary="What a person has allowed",
    tag=TAG,
    errors=(404,),
)
def list_consents(caller: Caller, payload: WorkspaceQuery, contact_id: str) -> schemas.ConsentList:
    """Those that were revoked or have run out too; at most 1,000."""
    workspace_id = caller.existing_workspace(payload.workspace_id)
    with reading() as session:
        contact = service.find(session, workspace_id, contact_id)
        return schemas.ConsentList(consents=[_consent(one, contact) for one in consents.of_contact(session, contact)])


@endpoint(
    blueprint,
    "DELETE",
    "/<id:contact_id>/consents/<consent_id>",
    query=WorkspaceQuery,
    answer=schemas.ConsentItem,
    summary="Revoke a consent",
    tag=TAG,
    errors=(404,),
)
def revoke_consent(caller: Caller, payload: WorkspaceQuery, contact_id: str, consent_id: str) -> Outcome:
    """It stays on record, with the time at which it ended. Again gives the same answer."""
    workspace_id = caller.existing_workspace(payload.workspace_id)

    def work(session: Session) -> Outcome:
        contact = service.find(session, workspace_id, contact_id)
        return Outcome(dump(_consent(consents.revoke(session, contact, consent_id), contact)))

    return idempotency.carry_out(work)


def shown(session: Session, contact: Contact) -> schemas.ContactItem:
    """A contact as the API shows it."""
    return _item(contact, service.opted_out(session, contact.workspace_id, [contact])[contact.id])


def _item(contact: Contact, opted_out: list[str]) -> schemas.ContactItem:
    return schemas.ContactItem.model_validate(
        {
            "contact_id": contact.public_id,
            "name": service.full_name(contact),
            "first_name": contact.first_name,
            "last_name": contact.last_name,
            "phone": contact.phone,
            "email": contact.email,
            "timezone": contact.timezone,
            "tags": contact.tags,
            "fields": contact.fields,
            "notes": contact.notes,
            "opted_out": opted_out,
            "created_at": time_text(contact.created_at),
            "updated_at": time_text(contact.updated_at),
        },
        by_name=True,
    )


def _consent(consent: Consent, contact: Contact) -> schemas.ConsentItem:
    return schemas.ConsentItem.model_validate(
        {
            "consent_id": consent.id,
            "contact_id": contact.public_id,
            "kind": consent.kind,
            "channel": consent.channel,
            "source": consent.source,
            "given_at": time_text(consent.given_at),
            "expires_at": time_text(consent.expires_at),
            "revoked_at": time_text(consent.revoked_at),
            "in_force": consents.counts(consent, clock.now()),
        },
        by_name=True,
    )
