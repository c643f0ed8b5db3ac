"""What a new plan does to the reminders of the old one: a pure decision, made once per reminder type and channel.

A reminder that has gone out stays as it is. Where its time has moved since, the person is reminded again, for it was
of another time (complaint of every booking tool that does not). Nothing that has not gone out keeps its old time.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from app.messages.states import ACCEPTED, IN_FLIGHT, Reason, Status
from app.reminders.planner import Planned

VIA = "-via-"
"""In the job id of a reminder that takes the next channel (``app.messages.fallback``)."""


def archive_mark(revision: int) -> str:
    """What a reminder of a revision gets behind its job id when a later one takes that."""
    return f"-r{revision}"


@dataclass(frozen=True, slots=True)
class Existing:
    """A reminder of the present plan as it stands in the database."""

    id: str
    job_id: str
    reminder_type: str
    channel: str
    to_address: str
    status: Status
    planned_for: datetime
    """The time that the rule gave it, before quiet hours and the like."""
    due_at: datetime
    revision: int
    plan_revision: int
    sender: str
    kind: str
    valid_until: datetime
    fallback: str | None
    appointment_id: str

    def is_as(self, planned: Planned, sender: str) -> bool:
        """Whether a plan wants it as it is."""
        wanted = planned.due_at, planned.valid_until, planned.kind, fallback_text(planned), sender
        return (self.due_at, self.valid_until, self.kind, self.fallback, self.sender) == wanted

    @property
    def is_archived(self) -> bool:
        """Whether a later reminder has taken its name."""
        return self.job_id.endswith(archive_mark(self.plan_revision))

    @property
    def is_under_way(self) -> bool:
        """On its way, or waiting to go out on the next channel after a failure: no rule will make it again."""
        return self.status in IN_FLIGHT or (self.status is Status.SCHEDULED and VIA in self.job_id)

    def lasting_as(self, planned: Planned) -> Planned:
        """What is planned, of use for as long as this one."""
        return replace(planned, valid_until=self.valid_until)


@dataclass(slots=True)
class Changes:
    """Lists of what to do; every reminder of either plan is in exactly one of them."""

    kept: list[Existing] = field(default_factory=list)
    """Nothing changes but the plan that they belong to; those that are over are among them."""
    waiting: list[tuple[Existing, Planned]] = field(default_factory=list)
    """They wait for the same time as before; how long they are of use may be another."""
    moved: list[tuple[Existing, Planned]] = field(default_factory=list)
    dropped: list[tuple[Existing, Planned | None]] = field(default_factory=list)
    """They wait and must not go out: with the reason that the plan gives, or because it has them no more."""
    sent: list[Existing] = field(default_factory=list)
    """They have gone out, and need not again."""
    fenced: list[Existing] = field(default_factory=list)
    """They are on their way with the old plan's text: whatever comes of this try, there is no further one."""
    added: list[Planned] = field(default_factory=list)
    replaced: list[Existing] = field(default_factory=list)
    """They are over, and an added one takes their name."""
    recorded: list[Planned] = field(default_factory=list)
    """They will not be sent, and say why."""

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.moved or self.dropped or self.added or self.recorded)


def match(
    existing: Iterable[Existing],
    planned: Sequence[Planned],
    addresses: Mapping[str, str | None],
    senders: Mapping[str, str],
    once: Container[str],
    now: datetime,
) -> Changes:
    """Compare the old plan's reminders with the new plan.

    ``addresses``: the person's, by channel; ``senders``: ours, empty where there is none. ``once``: the reminder types
    that are about the booking and not about the time (the confirmation), which are not sent again when the time moves.
    """
    wanted = {(one.reminder_type, one.channel): one for one in planned}
    changes = Changes()
    for row in existing:
        one = wanted.pop((row.reminder_type, row.channel), None)
        if row.status is Status.SCHEDULED:
            sender = senders.get(row.channel, "")
            _settle_waiting(changes, row, one, addresses.get(row.channel), sender, now)
        else:
            _settle_begun(changes, row, one, row.reminder_type in once)
    for one in wanted.values():
        (changes.added if one.reason is None else changes.recorded).append(one)
    return changes


def _settle_waiting(
    changes: Changes, row: Existing, planned: Planned | None, address: str | None, sender: str, now: datetime
) -> None:
    if planned is None:
        changes.dropped.append((row, planned))
        return
    # The rule's own time has passed, and it waits for a worker or for the end of the quiet hours: that is not late.
    is_same = planned.planned_for == row.planned_for
    is_held = is_same and planned.reason is Reason.BOOKED_LATE and min(planned.planned_for, row.due_at) <= now
    is_due = is_same and row.due_at <= now
    if planned.reason is not None and not is_held:
        changes.dropped.append((row, planned))
    elif address == row.to_address and row.is_as(planned, sender):
        changes.kept.append(row)
    elif address == row.to_address and (is_held or is_due or row.is_as(row.lasting_as(planned), sender)):
        changes.waiting.append((row, planned))
    else:
        changes.moved.append((row, planned))


def _settle_begun(changes: Changes, row: Existing, planned: Planned | None, once: bool) -> None:
    """Of a reminder that was tried, or is over: a new one where the time is another one now."""
    skipped = row.status is Status.SKIPPED
    if (
        planned is not None
        and planned.reason is None
        and not once
        and (skipped or planned.planned_for != row.planned_for)
    ):
        changes.added.append(planned)
        changes.replaced.append(row)
    if row.status in IN_FLIGHT:
        changes.fenced.append(row)
    elif row.status in ACCEPTED:
        changes.sent.append(row)
    elif row not in changes.replaced:
        changes.kept.append(row)


def still_ahead(existing: Iterable[Existing], planned: Iterable[Planned], now: datetime) -> list[Planned]:
    """What of a new plan counts where the appointment is the same and only the settings are not.

    They are for what is still to come: nobody is reminded again of what was sent by the rules of before, and a new rule
    sends nothing for a time that has passed (a confirmation, or what was skipped before), to anybody.
    """
    status = {(row.reminder_type, row.channel): row.status for row in existing}
    return [
        one
        for one in planned
        if (state := status.get((one.reminder_type, one.channel))) is Status.SCHEDULED
        or (state in (None, Status.SKIPPED) and one.planned_for > now)
    ]


def fallback_text(planned: Planned) -> str | None:
    """The channels to turn to as a message has them."""
    return ",".join(planned.fallback) or None


def reason_of(planned: Planned | None) -> Reason:
    """Why a reminder that waited is dropped."""
    return planned.reason if planned is not None and planned.reason is not None else Reason.SUPERSEDED
