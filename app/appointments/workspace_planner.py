"""What the plans of a workspace follow from, and planned reminders as the messages that they will be."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from app.appointments.matching import fallback_text
from app.appointments.models import Appointment
from app.channels import registry
from app.channels.phone import addresses_by_channel
from app.contacts.models import Contact
from app.messages.senders import SenderBook
from app.messages.service import Draft, Origin, time_text
from app.messages.states import Reason
from app.reminders import settings as reminder_settings
from app.reminders import tracker
from app.reminders.planner import Facts, Planned, plan
from app.reminders.policy import Policy

RETRY_POLICY = "reminder"
DEFAULT_POLICY = {"booking": "every-2h"}
"""By the door that an appointment came in by: seed 004's bookings are reminded every two hours; else ``classic``."""


class Planner:
    """What the plans of one workspace follow from; read once for any number of appointments."""

    def __init__(self, session: Session, workspace_id: str, settings: reminder_settings.Settings | None = None) -> None:
        """``settings``: others than the workspace's, to try them out."""
        self._session = session
        self._book = SenderBook(session, workspace_id)
        self._settings = settings or reminder_settings.load(session, workspace_id)
        self._zone = self._book.zone
        self._channels = registry.available_channels()
        self._senders: dict[str, str | Reason] = {}

    @property
    def settings(self) -> reminder_settings.Settings:
        """The workspace's reminder settings."""
        return self._settings

    def zone_of(self, appointment: Appointment) -> ZoneInfo:
        """Where the appointment takes place."""
        return ZoneInfo(appointment.timezone) if appointment.timezone else self._zone

    def recipient_zone(self, contact: Contact) -> ZoneInfo:
        """Where the person is: quiet hours are read there."""
        return ZoneInfo(contact.timezone) if contact.timezone else self._zone

    def policy_of(self, appointment: Appointment) -> Policy:
        """The appointment's own policy, else its event type's, the workspace's, or that of the door it came in by."""
        default = DEFAULT_POLICY.get(appointment.source, "classic")
        return reminder_settings.policy_for(self._settings, appointment.event_type, appointment.policy, default)

    def addresses(self, appointment: Appointment) -> dict[str, str | None]:
        """Where the person can be reached, by channel; None where we do not know."""
        known = addresses_by_channel(appointment.phone, appointment.email)
        return {channel: address for channel, address in known.items() if channel in self._channels}

    def senders(self, appointment: Appointment) -> dict[str, str]:
        """Whom the person hears from, by channel; empty where the workspace has no sender for it."""
        found = {channel: self._sender(channel, to) for channel, to in self.addresses(appointment).items() if to}
        return {channel: "" if isinstance(sender, Reason) else sender for channel, sender in found.items()}

    def plan(
        self, appointment: Appointment, contact: Contact, now: datetime, marked: Collection[tuple[str, str]] = ()
    ) -> list[Planned]:
        """The appointment's reminders as they should be now."""
        zone = self.zone_of(appointment)
        facts = Facts(
            appointment_id=appointment.public_id,
            starts_at=appointment.starts_at,
            booked_at=appointment.booked_at,
            event_zone=zone,
            recipient_zone=self.recipient_zone(contact),
            addresses=self.addresses(appointment),
        )
        planned = plan(facts, self.policy_of(appointment), self._settings.preferences, now)
        return [
            one.skipped(Reason.ALREADY_MARKED)
            if one.reason is None and tracker.is_marked(marked, one.reminder_type, one.channel)
            else one
            for one in planned
        ]

    def draft(self, appointment: Appointment, planned: Planned) -> Draft:
        """A planned reminder as the message that it will be; its text is written when it is sent."""
        address = self.addresses(appointment).get(planned.channel) or ""
        sender = self._sender(planned.channel, address) if address else ""
        reason = planned.reason or (sender if isinstance(sender, Reason) else None)
        return Draft(
            workspace_id=appointment.workspace_id,
            to=address,
            channel=planned.channel,
            sender="" if isinstance(sender, Reason) else sender,
            body="",
            due_at=planned.due_at,
            due_text=time_text(planned.due_at, self.zone_of(appointment)),
            valid_until=planned.valid_until,
            job_id=planned.job_id,
            retry_policy=RETRY_POLICY,
            skipped=reason,
            origin=Origin(
                kind=planned.kind,
                contact_id=appointment.contact_id,
                appointment_id=appointment.id,
                plan_revision=appointment.revision,
                reminder_type=planned.reminder_type,
                plan=explanation(planned),
                fallback=fallback_text(planned),
            ),
        )

    def _sender(self, channel: str, address: str) -> str | Reason:
        """Depends on the channel only, as nobody asks for a certain one."""
        if channel not in self._senders:
            # That the workspace has none must not keep anybody from booking.
            self._senders[channel] = self._book.choose_any(address) or Reason.CHANNEL_UNAVAILABLE
        return self._senders[channel]


def confirmations(policy: Policy) -> frozenset[str]:
    """The reminder types that are about the booking and not about the time."""
    return frozenset(rule.reminder_type for rule in policy.rules if rule.type == "at_booking")


def explanation(planned: Planned) -> dict[str, Any]:
    """How a due time came about, as it is stored beside the message."""
    return {
        "plannedFor": planned.planned_for.isoformat(),
        "quiet": planned.quiet,
        "steps": [dict(step) for step in planned.steps],
    }
