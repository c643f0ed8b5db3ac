"""A booking finds its person by number or address, and makes one where there is none (seed 000, step A)."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import select

from app.contacts import service
from app.contacts.models import Contact
from app.database import reading, write, writing
from app.errors import Conflict
from tests.people import add
from tests.world import PERSON, World

ANA = {"name": "Ana Silva", "phone": PERSON, "email": "ana@example.com"}


def meet(**facts: Any) -> Contact:
    with writing() as session:
        return service.find_or_create(session, "ws_salon", **{"phone": None, "email": None} | facts)


def people() -> list[Contact]:
    with reading() as session:
        return list(session.scalars(select(Contact).order_by(Contact.id)))


def test_somebody_new_is_made_once(world: World) -> None:
    made = meet(**ANA, timezone="Europe/Lisbon")

    assert (made.first_name, made.last_name, made.phone, made.email) == ("Ana", "Silva", PERSON, "ana@example.com")
    assert (made.public_id, made.timezone, made.tags, made.fields) == (f"contact_{made.id}", "Europe/Lisbon", [], {})
    for again in (ANA, {"phone": PERSON}, {"email": "ANA@example.com"}, ANA | {"email": "other@example.com"}):
        assert meet(**again).id == made.id
    assert len(people()) == 1


def test_what_is_known_is_never_overwritten(world: World) -> None:
    add(world.salon, contactId="ana", name="Ana Silva", phone=PERSON, email="ana@example.com")

    found = meet(name="Eve", phone=PERSON, email="eve@example.com", timezone="Europe/Paris", public_id="eve")
    by_email = meet(name="Eve", phone="+15550000001", email="ana@example.com")

    assert found.id == by_email.id
    [ana] = people()
    assert (ana.public_id, ana.first_name, ana.phone, ana.email) == ("ana", "Ana", PERSON, "ana@example.com")
    assert ana.timezone == "Europe/Paris"  # it was not known


def test_what_is_not_known_is_filled_in(world: World) -> None:
    add(world.salon, contactId="by-phone", phone=PERSON)
    add(world.salon, contactId="by-email", lastName="Nut", email="bo@example.com")

    meet(**ANA)
    meet(name="Bo Tree", email="bo@example.com", phone="+15550000001")

    ana, bo = people()
    assert (ana.first_name, ana.last_name, ana.email) == ("Ana", "Silva", "ana@example.com")
    assert (bo.first_name, bo.last_name, bo.phone) == ("", "Nut", "+15550000001")


def test_where_number_and_address_are_two_people_s_it_is_the_number_s_untouched(world: World) -> None:
    add(world.salon, contactId="a", phone=PERSON)
    add(world.salon, contactId="b", email="ana@example.com")

    assert meet(**ANA, timezone="Europe/Lisbon").public_id == "a"

    a, b = people()
    assert (a.first_name, a.email, a.timezone) == ("", None, None)
    assert (b.first_name, b.phone) == ("", None)


def test_workspaces_know_their_own_people_only(world: World) -> None:
    add(world.outsider, **ANA)
    meet(**ANA)

    assert {one.workspace_id for one in people()} == {"ws_salon", "ws_outsider"}


def test_an_id_that_is_somebody_else_s_makes_nobody(world: World) -> None:
    add(world.salon, contactId="ana", phone="+15550000001")

    with pytest.raises(Conflict) as caught:
        meet(**ANA, public_id="ana")
    assert set(caught.value.fields) == {"contactId"}
    assert len(people()) == 1


def test_of_twenty_at_once_one_makes_the_person_and_all_get_it(world: World) -> None:
    barrier = Barrier(20)

    def one(n: int) -> str:
        facts = {"phone": PERSON} if n % 3 else ANA
        with world.app.app_context():
            barrier.wait(10)
            return write(
                lambda session: service.find_or_create(session, "ws_salon", **{"phone": None, "email": None} | facts).id
            )

    with ThreadPoolExecutor(20) as threads:
        found = list(threads.map(one, range(20)))

    [ana] = people()
    assert set(found) == {ana.id}
    assert (ana.first_name, ana.email) == ("Ana", "ana@example.com")
