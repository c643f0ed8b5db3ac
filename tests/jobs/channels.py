"""What the tests of several channels share: a double for each provider, and messages of any channel."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from app import clock
from app.channels.base import Hindsight, Provider
from app.channels.registry import Providers
from app.channels.testing import ScriptedProvider
from app.contacts.models import Contact
from app.database import writing
from app.messages import service
from app.messages.service import Draft, Origin
from tests.world import PERSON, SENDER, World

EMAIL = "jo@example.com"
SENDERS = {"sms": SENDER, "whatsapp": f"whatsapp:{SENDER}", "email": "hello@salon.example"}
REPEATABLE = Hindsight(searchable=False, repeatable=True)
SILENT = Hindsight(searchable=False, fetchable=False)


@dataclass
class Carriers:
    """The double of each channel."""

    sms: ScriptedProvider
    whatsapp: ScriptedProvider
    email: ScriptedProvider


def carriers(world: World, hindsight: Hindsight = SILENT, *, without: str = "") -> Carriers:
    """From now on each channel has a provider of its own; email's lets us find out no more than said."""
    made = Carriers(
        world.provider,
        ScriptedProvider(account="twilio:ACwhatsapp"),
        ScriptedProvider(name="mailer", account="mailer", hindsight=hindsight),
    )
    by_channel: dict[str, Provider] = {name: one for name, one in vars(made).items() if name != without}
    world.app.extensions.pop("bellhop.provider", None)
    world.app.extensions["bellhop.providers"] = None, Providers(by_channel)
    return made


def store(
    to: str = PERSON,
    *,
    workspace_id: str = "ws_salon",
    body: str = "Hello",
    subject: str | None = None,
    delay_s: float = 0,
    valid_s: float = 14_400,
    job_id: str | None = None,
    **origin: Any,
) -> str:
    """Ask for a message of whatever channel the address belongs to; returns the job id."""
    due_at = clock.now() + timedelta(seconds=delay_s)
    draft = Draft(
        workspace_id=workspace_id,
        to=to,
        sender=SENDERS[service.channel_of(to)],
        body=body,
        subject=subject,
        due_at=due_at,
        due_text=due_at.isoformat(),
        valid_until=due_at + timedelta(seconds=valid_s),
        job_id=job_id,
        origin=Origin(**{"kind": None} | origin) if origin else None,
    )
    with writing() as session:
        stored = service.store(session, [draft])
    service.announce(stored)
    return stored[0].job_id


def contact(phone: str | None = PERSON, email: str | None = EMAIL) -> str:
    """A person of the salon's; returns the row's id."""
    with writing() as session:
        made = Contact(workspace_id="ws_salon", public_id=f"contact-{phone}-{email}", phone=phone, email=email)
        session.add(made)
        session.flush()
        return made.id
