"""People through the API: added, found, changed; nobody sees another workspace's."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from app.contacts.models import Contact
from app.database import reading
from tests.answers import data_of, error_of, fields_of
from tests.people import CONTACTS, add, everybody, patch
from tests.world import PERSON, World

ANA = {"contactId": "client-7", "firstName": "Ana", "lastName": "Silva", "phone": PERSON, "email": "Ana@Example.COM"}


def stored() -> int:
    with reading() as session:
        return session.scalar(select(func.count()).select_from(Contact)) or 0


def test_a_person_is_added_and_read_back(world: World) -> None:
    made = add(
        world.salon,
        **ANA,
        timezone="Europe/Lisbon",
        tags=["vip", " vip ", "autumn"],
        fields={"tea": "green"},
        notes="N",
    )

    assert made == data_of(world.salon.get(f"{CONTACTS}/client-7"))
    assert made == {
        "contactId": "client-7",
        "name": "Ana Silva",
        "firstName": "Ana",
        "lastName": "Silva",
        "phone": PERSON,
        "email": "ana@example.com",
        "timezone": "Europe/Lisbon",
        "tags": ["vip", "autumn"],
        "fields": {"tea": "green"},
        "notes": "N",
        "optedOut": [],
        "createdAt": "2026-05-11T12:00:00.000+00:00",
        "updatedAt": "2026-05-11T12:00:00.000+00:00",
    }


@pytest.mark.parametrize(
    "name, first, last",
    [("Ana", "Ana", ""), ("Ana Maria Silva", "Ana", "Maria Silva"), ("  Ana  Silva ", "Ana", "Silva"), ("", "", "")],
)
def test_a_name_in_one_piece_is_divided_at_its_first_space(world: World, name: str, first: str, last: str) -> None:
    made = add(world.salon, name=name, phone=PERSON)

    assert (made["firstName"], made["lastName"]) == (first, last)
    assert made["contactId"].startswith("contact_")


def test_the_same_number_address_or_id_is_a_conflict_that_names_the_other(world: World) -> None:
    add(world.salon, **ANA)
    for body, fields in (
        ({"phone": PERSON}, {"phone"}),
        ({"email": "ANA@example.com"}, {"email"}),
        ({"contactId": "client-7", "phone": "+12345678902"}, {"contactId"}),
        ({"phone": PERSON, "email": "ana@example.com"}, {"phone", "email"}),
    ):
        error = error_of(world.salon.post(CONTACTS, body), 409, "contact_exists")
        assert set(error["fields"]) == fields
        assert all("client-7" in text for texts in error["fields"].values() for text in texts)
    assert stored() == 1
    add(world.outsider, **ANA)  # another workspace knows its own people


REFUSED: dict[str, list[Any]] = {
    "phone": ["", "1", "12345678901", "+0123456", "+1 234", "+12345678901\n", "\uff0b12345678901", True, 1, [], {}],
    "email": [
        "",
        "a",
        "@",
        "a@b",
        "a@@b.c",
        "a b@c.de",
        "a@b.c\n",
        "a@b..c",
        "<a@b.cd>",
        "a" * 65 + "@b.cd",
        1,
        "a\u0007@b.cd",
    ],
    "contactId": ["", "a b", "a/b", "import", "export", "x" * 129, 7, True],
    "firstName": [None, 1, "x" * 201, "a\nb", "\u202ea", "a\0"],
    "lastName": [None, [], "x" * 201, "\ud800"],
    "name": [1, "x" * 201],
    "timezone": ["", "Mars/Olympus", "europe/berlin", "../etc/passwd", "localtime", 1, "+02:00"],
    "tags": [None, "vip", [""], ["a,b"], ["a;b"], ["x" * 51], [1], [None], [str(n) for n in range(51)], ["a\0"], {}],
    "fields": [
        None,
        [],
        {"": "x"},
        {"1a": "x"},
        {"a b": "x"},
        {"a": 1},
        {"a": None},
        {"a": "x" * 501},
        {"a" * 51: "x"},
    ],
    "notes": [None, 1, "x" * 5001, "a\0b"],
    "workspaceId": ["", "a b", 1],
    "surname": ["Silva"],
}


@pytest.mark.parametrize("field", REFUSED)
def test_a_wrong_value_is_refused_by_the_name_of_its_field(world: World, field: str) -> None:
    for value in REFUSED[field]:
        body = {"phone": PERSON, "email": "ana@example.com", field: value}
        found = {name.split(".")[0] for name in fields_of(world.salon.post(CONTACTS, body))}
        assert found == {field}, ascii(value)[:60]
    assert stored() == 0


def test_one_address_at_least_is_needed(world: World) -> None:
    for body in ({}, {"firstName": "Ana"}, {"phone": None, "email": None}):
        assert fields_of(world.salon.post(CONTACTS, body)) == {"phone", "email"}
    assert fields_of(world.salon.post(CONTACTS, {"phone": PERSON, "name": "A B", "firstName": "A"})) == {"name"}
    assert stored() == 0


def test_a_number_is_judged_as_strictly_as_the_installation_says(make_world: Callable[..., World]) -> None:
    world = make_world(phone_strictness="valid")

    assert fields_of(world.salon.post(CONTACTS, {"phone": "+6140000054"})) == {"phone"}
    add(world.salon, contactId="a", phone="+61400000549")
    assert fields_of(patch(world.salon, "a", phone="+6140000054")) == {"phone"}


def test_what_is_no_json_or_too_large_is_refused(world: World) -> None:
    error_of(world.salon.post_raw(CONTACTS, b"\xff"), 400, "malformed")
    error_of(world.salon.post_raw(CONTACTS, b"a=b", "text/plain"), 415)
    error_of(world.salon.post(CONTACTS, {"phone": PERSON, "notes": "x" * 10_000_000}), 413)
    assert stored() == 0


def test_a_change_touches_only_what_it_names(world: World) -> None:
    add(world.salon, **ANA, tags=["vip"], fields={"tea": "green"}, timezone="Europe/Lisbon")
    world.clock.advance(minutes=1)

    changed = data_of(patch(world.salon, "client-7", lastName="Costa", tags=["a"], timezone=None, email=None))

    assert (changed["name"], changed["tags"], changed["fields"]) == ("Ana Costa", ["a"], {"tea": "green"})
    assert (changed["timezone"], changed["email"], changed["phone"]) == (None, None, PERSON)
    assert (changed["createdAt"][11:16], changed["updatedAt"][11:16]) == ("12:00", "12:01")
    assert data_of(world.salon.get(f"{CONTACTS}/client-7")) == changed


def test_a_change_to_somebody_else_s_address_is_a_conflict(world: World) -> None:
    add(world.salon, **ANA)
    add(world.salon, contactId="client-8", phone="+12345678902", email="bo@example.com")

    for changes in ({"phone": PERSON}, {"email": "ana@example.com"}):
        error = error_of(patch(world.salon, "client-8", **changes), 409, "contact_exists")
        assert set(error["fields"]) == set(changes)
    data_of(patch(world.salon, "client-8", phone="+12345678902"))  # one's own


def test_the_only_address_cannot_be_taken_away(world: World) -> None:
    add(world.salon, contactId="a", phone=PERSON)

    assert fields_of(patch(world.salon, "a", phone=None)) == {"phone"}
    assert fields_of(patch(world.salon, "a", email=None, phone=None)) == {"phone"}
    data_of(patch(world.salon, "a", phone=None, email="ana@example.com"))


@pytest.mark.parametrize("field", sorted(set(REFUSED) - {"name", "contactId"}))
def test_a_wrong_change_is_refused_by_the_name_of_its_field(world: World, field: str) -> None:
    before = add(world.salon, **ANA)
    for value in REFUSED[field]:
        found = {name.split(".")[0] for name in fields_of(patch(world.salon, "client-7", **{field: value}))}
        assert found == {field}, ascii(value)[:60]
    for field in ("contactId", "name", "createdAt"):
        assert fields_of(patch(world.salon, "client-7", **{field: "x"})) == {field}
    assert data_of(world.salon.get(f"{CONTACTS}/client-7")) == before


def test_people_are_found_by_name_number_address_and_tag(world: World) -> None:
    add(world.salon, **ANA, tags=["vip"])
    add(world.salon, contactId="bo", name="Bo 100%_Nut", email="bo@example.com", tags=["vip", "new"])
    add(world.salon, contactId="cy", phone="+12345678903", tags=["vipers"])
    add(world.outsider, contactId="not-ours", name="Ana", phone=PERSON, tags=["vip"])

    def found(**query: str) -> list[str]:
        return [one["contactId"] for one in data_of(world.salon.get(CONTACTS, **query))["contacts"]]

    assert found() == ["cy", "bo", "client-7"]
    assert found(search="silva ANA") == ["client-7"]
    assert found(search="ana bo") == []
    assert found(search="example.com") == ["bo", "client-7"]
    assert found(search="678903") == ["cy"]
    assert found(search="0%_n") == ["bo"]
    assert found(search="%") == ["bo"]
    assert found(tag="vip") == ["bo", "client-7"]
    assert found(tag="VIP") == []
    assert found(tag="vip", search="ana") == ["client-7"]
    assert found(search="' OR 1=1 --") == []


def test_pages_hold_everybody_once(world: World) -> None:
    for n in range(5):
        add(world.salon, contactId=f"c{n}", phone=f"+1234567890{n}")
    seen, cursor = [], None
    for _ in range(3):
        page = data_of(world.salon.get(CONTACTS, limit="2", **({"cursor": cursor} if cursor else {})))
        seen += [one["contactId"] for one in page["contacts"]]
        cursor = page["nextCursor"]
    assert (seen, cursor) == (["c4", "c3", "c2", "c1", "c0"], None)


def test_a_wrong_query_names_its_parameter(world: World) -> None:
    for query in (
        {"limit": "0"},
        {"limit": "201"},
        {"limit": "x"},
        {"cursor": "x"},
        {"search": ""},
        {"tag": "a,b"},
        {"x": "y"},
    ):
        assert fields_of(world.salon.get(CONTACTS, **query)) == set(query)


def test_an_outsider_finds_nothing_and_changes_nothing(world: World) -> None:
    made = add(world.salon, **ANA)
    path = f"{CONTACTS}/client-7"

    for method, below, body in (
        ("GET", "", None),
        ("PATCH", "", {"firstName": "Eve"}),
        ("GET", "/consents", None),
        ("POST", "/consents", {"kind": "marketing", "source": "x"}),
        ("DELETE", "/consents/" + "0" * 32, None),
    ):
        error_of(world.outsider.call(method, path + below, body), 404, "not_found")
    error_of(world.outsider.call("PATCH", path, {"workspaceId": "ws_salon", "firstName": "Eve"}), 404)
    error_of(world.outsider.post(CONTACTS, {"workspaceId": "ws_salon", "phone": PERSON}), 403)
    error_of(world.outsider.get(CONTACTS, workspaceId="ws_salon"), 404)
    assert everybody(world.outsider) == []
    assert data_of(world.salon.get(path)) == made


def test_a_repeated_request_adds_one_person(world: World) -> None:
    first = world.salon.post(CONTACTS, ANA, Idempotency_Key="k")
    again = world.salon.post(CONTACTS, ANA, Idempotency_Key="k")

    assert data_of(first, 201) == data_of(again, 201)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert stored() == 1


def test_a_dry_run_stores_and_changes_nothing(world: World) -> None:
    tried = data_of(world.salon.post(CONTACTS, {"phone": PERSON}, X_Dry_Run="true"))
    assert (tried["contactId"], tried["phone"], tried["dryRun"]) == (None, PERSON, True)
    assert stored() == 0
    made = add(world.salon, **ANA)

    error_of(world.salon.post(CONTACTS, ANA, X_Dry_Run="true"), 409)
    path = f"{CONTACTS}/client-7"
    tried = data_of(world.salon.call("PATCH", path, {"firstName": "Bo"}, X_Dry_Run="true"))
    assert (tried["contactId"], tried["firstName"]) == ("client-7", "Bo")
    assert data_of(world.salon.get(path)) == made
