"""The routes about people that reach into what waits for them: opting out and in, and erasing."""

from sqlalchemy.orm import Session

from app import clock, queue
from app.api import idempotency
from app.api.auth import Caller
from app.api.endpoint import dump, endpoint
from app.api.fields import WorkspaceQuery
from app.api.idempotency import Outcome
from app.contacts import schemas, service
from app.contacts.views import TAG, blueprint
from app.messages.erasure import erase
from app.messages.opting_out import opt_in_contact, opt_out_contact


@endpoint(
    blueprint,
    "POST",
    "/<id:contact_id>/opt-out",
    optional_body=schemas.ChannelRef,
    answer=schemas.OptOutState,
    summary="Send a person nothing any more",
    tag=TAG,
    errors=(404,),
)
def opt_out(caller: Caller, payload: schemas.ChannelRef, contact_id: str) -> Outcome:
    """On one channel, or on every one that they can be reached by. What waits for them is ``cancelled`` with the reason
    ``opted_out``, as after a STOP. Again changes nothing.
    """
    workspace_id = caller.existing_workspace(payload.workspace_id)

    def work(session: Session) -> Outcome:
        contact = service.find(session, workspace_id, contact_id, lock=True)
        stored = opt_out_contact(session, contact, payload.channel)
        out = service.opted_out(session, workspace_id, [contact])[contact.id]

        def after_commit() -> None:
            for one in stored:
                one.announce()

        dropped = sum(len(one.dropped_jobs) for one in stored)
        state = schemas.OptOutState(contact_id=contact.public_id, opted_out=out, cancelled=dropped)
        return Outcome(dump(state), after_commit)

    return idempotency.carry_out(work)


@endpoint(
    blueprint,
    "POST",
    "/<id:contact_id>/opt-in",
    optional_body=schemas.ChannelRef,
    answer=schemas.OptOutState,
    summary="Allow messages to a person again",
    tag=TAG,
    errors=(404, 409),
)
def opt_in(caller: Caller, payload: schemas.ChannelRef, contact_id: str) -> Outcome:
    """What was called off stays called off. 409 ``said_stop`` where the person said STOP: only their START lifts it."""
    workspace_id = caller.existing_workspace(payload.workspace_id)

    def work(session: Session) -> Outcome:
        contact = service.find(session, workspace_id, contact_id, lock=True)
        opt_in_contact(session, contact, payload.channel)
        out = service.opted_out(session, workspace_id, [contact])[contact.id]
        return Outcome(dump(schemas.OptOutState(contact_id=contact.public_id, opted_out=out, cancelled=0)))

    return idempotency.carry_out(work)


@endpoint(
    blueprint,
    "DELETE",
    "/<id:contact_id>",
    query=WorkspaceQuery,
    answer=schemas.ErasedContact,
    summary="Erase a person",
    tag=TAG,
    errors=(404, 409),
)
def erase_contact(caller: Caller, payload: WorkspaceQuery, contact_id: str) -> Outcome:
    """Name, number, address, texts and consents go; past appointments and messages stay without them, and opt-outs
    stay in force. 409 ``appointments_ahead`` where appointments are to come, ``already_processing`` while something is
    being sent to them.
    """
    workspace_id = caller.existing_workspace(payload.workspace_id)

    def work(session: Session) -> Outcome:
        contact = service.find(session, workspace_id, contact_id, lock=True)
        done = erase(session, contact, clock.now())
        answer = schemas.ErasedContact(
            contact_id=contact_id,
            cancelled=len(done.dropped),
            kept_appointments=done.appointments,
            kept_messages=done.messages,
        )
        return Outcome(dump(answer), lambda: queue.remove(done.dropped))

    return idempotency.carry_out(work)
