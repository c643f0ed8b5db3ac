"""What a new plan does to the reminders of the old one."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.appointments.matching import Changes, Existing, match
from app.messages.states import ACCEPTED, IN_FLIGHT, Reason, Status
from app.reminders.planner import Planned

NOON = datetime(2026, 5, 11, 12, 0, tzinfo=UTC)
PHONE = "+12345678901"
SENDER = "+19876543210"
ONCE = {"confirmation"}


def existing(kind: str = "24h", status: Status = Status.SCHEDULED, hours: int = 24, **values: object) -> Existing:
    fields = {
        "id": f"row-{kind}",
        "job_id": f"reminder-{kind}",
        "reminder_type": kind,
        "channel": "sms",
        "to_address": PHONE,
        "status": status,
        "planned_for": NOON + timedelta(hours=hours),
        "due_at": NOON + timedelta(hours=hours),
        "revision": 0,
        "plan_revision": 1,
        "sender": SENDER,
        "kind": kind,
        "valid_until": NOON + timedelta(hours=hours + 1),
        "fallback": None,
        "appointment_id": "uuid-123",
    }
    return Existing(**(fields | values))  # type: ignore[arg-type]


def planned(kind: str = "24h", hours: int = 24, reason: Reason | None = None) -> Planned:
    due_at = NOON + timedelta(hours=hours)
    return Planned(
        reminder_type=kind,
        kind=kind,
        channel="sms",
        job_id=f"reminder-{kind}",
        planned_for=due_at,
        due_at=due_at,
        valid_until=due_at + timedelta(hours=1),
        reason=reason,
        steps=(),
        fallback=(),
    )


def compare(rows: list[Existing], plan: list[Planned], phone: str = PHONE) -> Changes:
    return match(rows, plan, {"sms": phone}, {"sms": SENDER}, ONCE, NOON)


def test_what_waits_moves_with_its_time() -> None:
    row, one = existing(), planned(hours=48)
    assert compare([row], [one]).moved == [(row, one)]


def test_what_waits_for_the_same_time_and_address_stays() -> None:
    assert compare([existing()], [planned()]).kept == [existing()]


def test_what_waits_for_the_same_time_may_be_of_use_for_another() -> None:
    row = existing(valid_until=NOON + timedelta(hours=30))
    assert compare([row], [planned()]).waiting == [(row, planned())]


def test_a_new_number_moves_what_waits() -> None:
    assert len(compare([existing()], [planned()], phone="+19999999999").moved) == 1


def test_what_waits_and_is_not_planned_any_more_is_dropped() -> None:
    assert compare([existing()], []).dropped == [(existing(), None)]
    late = planned(reason=Reason.BOOKED_LATE)
    assert compare([existing()], [late]).dropped == [(existing(), late)]


def test_what_was_sent_for_another_time_is_sent_again_for_the_new_one() -> None:
    changes = compare([existing(status=Status.DELIVERED)], [planned(hours=48)])
    assert changes.added == [planned(hours=48)]
    assert changes.sent == changes.replaced == [existing(status=Status.DELIVERED)]


def test_what_was_sent_for_the_same_time_is_not_sent_again() -> None:
    changes = compare([existing(status=Status.SENT)], [planned()])
    assert changes.added == []
    assert changes.sent == [existing(status=Status.SENT)]


def test_a_confirmation_is_not_sent_again_because_the_time_moves() -> None:
    row = existing("confirmation", Status.SENT, hours=0)
    assert compare([row], [planned("confirmation", hours=1)]).added == []


def test_what_is_on_its_way_is_fenced_and_sent_anew_for_the_new_time() -> None:
    row = existing(status=Status.UNKNOWN)
    changes = compare([row], [planned(hours=48)])
    assert changes.fenced == [row]
    assert changes.added == [planned(hours=48)]


def test_what_failed_is_tried_for_a_new_time_only() -> None:
    row = existing(status=Status.FAILED)
    assert compare([row], [planned()]).kept == [row]
    assert compare([row], [planned(hours=48)]).added == [planned(hours=48)]


def test_what_was_skipped_is_sent_if_it_can_be_now() -> None:
    row = existing(status=Status.SKIPPED)
    assert compare([row], [planned()]).added == [planned()]


ROWS = st.lists(
    st.builds(
        existing,
        kind=st.sampled_from(["confirmation", "24h", "1h", "every-1", "every-2"]),
        status=st.sampled_from(list(Status)),
        hours=st.integers(-3, 3),
    ),
    unique_by=lambda row: row.reminder_type,
)
PLANS = st.lists(
    st.builds(
        planned,
        kind=st.sampled_from(["confirmation", "24h", "1h", "every-1", "every-3"]),
        hours=st.integers(-3, 3),
        reason=st.sampled_from([None, Reason.BOOKED_LATE, Reason.QUIET_HOURS]),
    ),
    unique_by=lambda one: one.reminder_type,
)


@given(rows=ROWS, plan=PLANS)
def test_every_reminder_of_either_plan_is_dealt_with_once(rows: list[Existing], plan: list[Planned]) -> None:
    changes = compare(rows, plan)
    dealt = [
        *changes.kept,
        *(row for row, _ in changes.waiting),
        *(row for row, _ in changes.moved),
        *(row for row, _ in changes.dropped),
    ]
    dealt += [*changes.sent, *changes.fenced]
    dealt += [row for row in changes.replaced if row not in changes.sent and row not in changes.fenced]
    assert sorted(row.reminder_type for row in dealt) == sorted(row.reminder_type for row in rows)
    assert not [row for row in changes.kept if row.status in IN_FLIGHT or row.status in ACCEPTED]
    waiting = {row.reminder_type for row in rows if row.status is Status.SCHEDULED}
    assert not waiting & {one.reminder_type for one in changes.added}, "never two for one"
    assert all(one.reason is None for one in changes.added)
    assert all(one.reason is not None for one in changes.recorded)
    named = {one.reminder_type for one in (*changes.added, *changes.recorded)}
    assert named <= {one.reminder_type for one in plan}
