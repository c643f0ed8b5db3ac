"""Places in a worker: never more in hand than there is room for, and nobody waits for a place that is free."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from app import queue
from jobs.redis_jobs import Taken
from jobs.rooms import Rooms

SENDS, OTHERS = 8, 4
PLACES = {"send": 10, "others": 5}


def taken(number: int, name: str, function: str | None = queue.REFRESH) -> Taken:
    return Taken(name, f"job-{number}", f"execution-{number}", function, "x", 60)


def rooms(rung: list[int]) -> Rooms:
    return Rooms(("send", "upkeep", "reports"), SENDS, OTHERS, lambda: rung.append(1))


def free(made: Rooms) -> dict[str, int]:
    found = {"send": 0, "others": 0}
    for room in made.await_room(0):
        found["send" if room.queues == ("send",) else "others"] = room.free
    return found


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["send", "upkeep", "reports"]),
            st.sampled_from([queue.SEND, queue.REFRESH, None]),
            st.booleans(),
        ),
        max_size=60,
    )
)
def test_whatever_comes_and_goes_the_places_add_up(steps: Iterable[tuple[str, str | None, bool]]) -> None:
    """Whatever a job is, it has a place of the queue that it came from."""
    made = rooms([])
    held: dict[str, list[Taken]] = {"send": [], "others": []}
    for number, (name, function, comes) in enumerate(steps):
        kind = "send" if name == "send" else "others"
        if comes and free(made)[kind]:
            job = taken(number, name, function)
            made.enter([job])
            held[kind].append(job)
        elif held[kind]:
            job = held[kind].pop()
            made.leave([job])
            made.leave([job])  # twice is once
        assert free(made) == {kind: PLACES[kind] - len(jobs) for kind, jobs in held.items()}
        assert sorted(job.job_id for job in made.held()) == sorted(job.job_id for jobs in held.values() for job in jobs)


def test_a_full_room_is_not_waited_for_and_a_place_in_it_rings() -> None:
    rung: list[int] = []
    made = rooms(rung)
    others = [taken(number, "upkeep") for number in range(5)]
    made.enter(others)
    assert made.queues_with_room() == ["send"]
    made.leave(others[:1])
    assert rung == [1]
    assert made.queues_with_room() == ["send", "upkeep", "reports"]
    made.leave(others[1:])
    assert rung == [1]  # nobody was waiting for those


def test_a_worker_of_other_queues_has_no_places_for_sends() -> None:
    made = Rooms(("reports",), SENDS, OTHERS, lambda: None)
    assert [(room.queues, room.free) for room in made.await_room(0)] == [(("reports",), 5)]
    assert made.queues_with_room() == ["reports"]
