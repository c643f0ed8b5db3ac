"""Lists of people in and out: all or nothing, each fault with its line, and out again as they came in."""

import io
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from time import perf_counter
from typing import Any

import pytest
from werkzeug.test import TestResponse

from app import clock
from app.contacts import consents, importing, service
from app.database import reading
from tests.answers import data_of, error_of, fields_of
from tests.people import CONTACTS, add, everybody
from tests.world import PERSON, Tenant, World

IMPORT, EXPORT = f"{CONTACTS}/import", f"{CONTACTS}/export"
LIST = """\
Phone;First name;Surname;E-Mail;Tags;field:tea;notes;id
+61 400 000 549;Ana;Silva;ANA@example.com;vip, autumn;green;"two
lines";client-7
;Bo;;bo@example.com;;;;
"""


def send(tenant: Tenant, text: str | bytes, query: str = "", kind: str = "text/csv", **headers: str) -> TestResponse:
    raw = text if isinstance(text, bytes) else text.encode()
    given = {"Content_Type": kind} | headers
    return tenant.client.post(f"{IMPORT}{query}", data=raw, headers=tenant._headers(given))


def numbers(count: int, start: int = 0) -> str:
    return "phone,name,tags\n" + "".join(f"+6140{n:07},Person {n},list\n" for n in range(start, start + count))


def test_a_list_becomes_contacts(world: World) -> None:
    answer = data_of(send(world.salon, LIST))

    assert answer == {"total": 2, "created": 2, "updated": 0, "skipped": 0, "skippedLines": []}
    ana = data_of(world.salon.get(f"{CONTACTS}/client-7"))
    assert (ana["name"], ana["phone"], ana["email"]) == ("Ana Silva", "+61400000549", "ana@example.com")
    assert (ana["tags"], ana["fields"], ana["notes"]) == (["vip", "autumn"], {"tea": "green"}, "two\nlines")
    [bo] = data_of(world.salon.get(CONTACTS, search="bo"))["contacts"]
    assert (bo["name"], bo["phone"], bo["tags"], bo["fields"]) == ("Bo", None, [], {})


def test_a_form_does_as_well(world: World) -> None:
    form = {"file": (io.BytesIO(LIST.encode()), "people.csv")}
    headers = {"Authorization": f"Bearer {world.salon.key}"}

    response = world.salon.client.post(IMPORT, data=form, headers=headers, content_type="multipart/form-data")

    assert data_of(response)["created"] == 2


def test_every_fault_has_its_line_and_nothing_is_stored(world: World) -> None:
    text = (
        "phone,email,name,timezone,tags,notes\n"
        '+61400000001,,"Ana\nSilva",,,"a\nb"\n'  # lines 2 to 4
        "0400 000 002,,Bo,,,\n"
        "+61400000003,not an address,Cy,,,\n"
        "+61400000004,,Di,Mars/Olympus,,\n"
        ",,Ed,,,\n"
        "+61400000001,,Twice,,,\n"
        f"+61400000005,,{'x' * 201},,{'y' * 51},\n"
        "6.14E+10,,Excel,,,\n"
        "+61400000006,,Fine,,,\n"
    )

    error = error_of(send(world.salon, text), 422, "invalid")

    assert set(error["fields"]) == {
        "lines.2.name",
        "lines.5.phone",
        "lines.6.email",
        "lines.7.timezone",
        "lines.8.phone",
        "lines.8.email",
        "lines.10.name",
        "lines.10.tags",
        "lines.11.phone",
    }
    assert error["message"] == "7 lines are not valid; nothing was stored."
    assert everybody(world.salon) == []


def test_the_same_person_twice_in_one_list_is_a_fault(world: World) -> None:
    text = "phone,email,id\n+61400000001,a@b.cd,x\n+61400000001,,y\n,A@B.CD,z\n+61400000002,,x\n"

    error = error_of(send(world.salon, text), 422)

    assert error["fields"] == {
        "lines.3.phone": ["is on line 2 already"],
        "lines.4.email": ["is on line 2 already"],
        "lines.5.contactId": ["is on line 2 already"],
    }


def test_an_answer_names_a_hundred_faults_and_counts_all(world: World) -> None:
    error = error_of(send(world.salon, "phone\n" + "1\n" * 5000), 422)

    assert len(error["fields"]) == 100
    assert error["message"].startswith("5000 lines are")


def test_whoever_is_known_already_is_a_fault_unless_said_otherwise(world: World) -> None:
    add(world.salon, contactId="ana", phone="+61400000549", firstName="Anna", tags=["old"], fields={"cup": "big"})
    add(world.outsider, contactId="other", email="bo@example.com")
    before = everybody(world.salon)

    error = error_of(send(world.salon, LIST), 422)
    assert error["fields"] == {"lines.2.phone": ["belongs to the contact ana"]}
    assert everybody(world.salon) == before

    answer = data_of(send(world.salon, LIST, "?onDuplicate=skip"))
    assert answer == {"total": 2, "created": 1, "updated": 0, "skipped": 1, "skippedLines": [2]}
    assert before[0] in everybody(world.salon)

    fields_of(send(world.salon, LIST, "?onDuplicate=overwrite"))


def test_an_update_changes_what_the_list_gives_and_nothing_else(world: World) -> None:
    add(
        world.salon,
        contactId="client-7",
        email="ana@example.com",
        firstName="Anna",
        timezone="Europe/Lisbon",
        fields={"cup": "big", "tea": "black"},
    )

    assert data_of(send(world.salon, LIST, "?onDuplicate=update"))["updated"] == 1

    ana = data_of(world.salon.get(f"{CONTACTS}/client-7"))
    assert (ana["name"], ana["phone"], ana["timezone"]) == ("Ana Silva", "+61400000549", "Europe/Lisbon")
    assert ana["fields"] == {"cup": "big", "tea": "green"}
    again = data_of(send(world.salon, "email,tags,notes\nana@example.com,,\n", "?onDuplicate=update"))
    assert again["updated"] == 1
    assert data_of(world.salon.get(f"{CONTACTS}/client-7"))["tags"] == ["vip", "autumn"]


@pytest.mark.parametrize(
    "text, field",
    [
        ("phone,email\n+61400000001,b@example.com\n", "lines.2.email"),
        ("phone,id\n+61400000001,b\n", "lines.2.phone"),
        ("phone,id\n+61400000001,new\n", "lines.2.contactId"),
        ("phone,id\n+61400000001,\n,a\n", "lines.3.phone"),
        ("phone,id,email\n+61400000001,,\n,a,new@example.com\n", "lines.3.contactId"),
    ],
)
def test_an_update_of_two_people_at_once_is_a_fault(world: World, text: str, field: str) -> None:
    add(world.salon, contactId="a", phone="+61400000001")
    add(world.salon, contactId="b", email="b@example.com")
    before = everybody(world.salon)

    found = fields_of(send(world.salon, text, "?onDuplicate=update"))

    assert field in found or found == {"lines.3.phone", "lines.3.email"}
    assert everybody(world.salon) == before


def test_what_was_given_out_comes_in_again(world: World) -> None:
    add(
        world.salon,
        contactId="client-7",
        firstName="=cmd|' /C calc'!A0",
        lastName="'+x",
        phone=PERSON,
        tags=["=vip", "b c"],
        fields={"tea": '@green, "hot"', "x": "-1"},
        notes="\t=1\r\n;two",
        timezone="Europe/Lisbon",
    )
    add(world.salon, name="Zoë Ñ", email="zoe@example.com")
    response = world.salon.get(EXPORT)

    assert (response.status_code, response.content_type) == (200, "text/csv; charset=utf-8")
    assert response.headers["Content-Disposition"] == 'attachment; filename="contacts.csv"'
    assert f"'{PERSON}" in response.text
    assert data_of(send(world.outsider, response.data))["created"] == 2
    plain = [{name: one[name] for name in set(one) - {"createdAt"}} for one in everybody(world.salon)]
    others = [{name: one[name] for name in set(one) - {"createdAt"}} for one in everybody(world.outsider)]
    by_id = lambda one: str(one["contactId"])  # noqa: E731
    assert sorted(plain, key=by_id) == sorted(others, key=by_id)
    assert data_of(send(world.salon, response.data, "?onDuplicate=update"))["updated"] == 2
    assert world.salon.get(EXPORT).data == response.data


def test_those_with_a_tag_can_be_given_out_alone(world: World) -> None:
    add(world.salon, contactId="a", phone=PERSON, tags=["vip"])
    add(world.salon, contactId="b", email="b@example.com")

    assert world.salon.get(EXPORT, tag="vip").text.splitlines()[1:] == [f"a,,,'{PERSON},,,vip,"]
    assert len(world.salon.get(EXPORT).text.splitlines()) == 3
    assert fields_of(world.salon.get(EXPORT, tag="")) == {"tag"}
    assert fields_of(world.salon.get(EXPORT, format="xlsx")) == {"format"}


def test_a_dry_run_says_what_would_be(world: World) -> None:
    tried = data_of(send(world.salon, LIST, X_Dry_Run="true"))

    assert (tried["created"], tried["dryRun"]) == (2, True)
    assert everybody(world.salon) == []
    error_of(send(world.salon, "phone\n1\n", X_Dry_Run="true"), 422)


def test_a_repeated_request_stores_once(world: World) -> None:
    first = data_of(send(world.salon, LIST, Idempotency_Key="k"))

    assert data_of(send(world.salon, LIST, Idempotency_Key="k")) == first
    error_of(send(world.salon, LIST + "\n", Idempotency_Key="k"), 422, "idempotency_key_reused")
    assert len(everybody(world.salon)) == 2


def test_consent_can_come_with_the_list(world: World) -> None:
    add(world.salon, contactId="client-7", phone="+61400000549")
    data_of(send(world.salon, LIST, "?onDuplicate=update&consent=marketing"))

    for one in everybody(world.salon):
        [consent] = data_of(world.salon.get(f"{CONTACTS}/{one['contactId']}/consents"))["consents"]
        assert (consent["kind"], consent["channel"], consent["source"]) == ("marketing", None, "import")
    with reading() as session:
        ana = service.find(session, "ws_salon", "client-7")
        assert consents.has_consent(session, ana.id, "marketing", "sms", clock.now())
    assert fields_of(send(world.salon, LIST, "?consent=all")) == {"consent"}


HOSTILE: dict[str, tuple[Any, str, int]] = {
    "empty": (b"", "text/csv", 422),
    "only a header": (b"phone\n", "text/csv", 422),
    "NUL": (b"phone\n+614\0\n", "text/csv", 422),
    "half a surrogate": (b"phone,name\n+61400000549,\xed\xa0\x80\n", "text/csv", 422),
    "Windows-1252": ("phone,name\n+61400000549,Zo\xeb\n".encode("cp1252"), "text/csv", 422),
    "UTF-16": ("phone\n+61400000549\n".encode("utf-16"), "text/csv", 422),
    "a quotation mark": (b'phone\n"+61400000549\n', "text/csv", 422),
    "a million columns": (b"," * 1_000_000, "text/csv", 422),
    "too many rows": (b"phone\n" + b"+1\n" * 20_001, "text/csv", 422),
    "more than 5 MB": (b"phone\n" + b"x" * 5 * 1024 * 1024, "text/csv", 413),
    "10 MB": (b"phone\n" + b"x" * 10_000_000, "text/csv", 413),
    "JSON": (b"{}", "application/json", 415),
    "no type": (b"phone\n+61400000549\n", "", 415),
    "a workbook": (b"PK\x03\x04", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", 415),
    "a broken form": (b"--x\r\nnothing", "multipart/form-data; boundary=y", 422),
    "a form without end": (b"--x\r\nContent-Disposition: form-data; name=", "multipart/form-data", 422),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_list_is_refused(world: World, name: str) -> None:
    raw, kind, status = HOSTILE[name]

    error_of(send(world.salon, raw, kind=kind), status)

    assert everybody(world.salon) == []


def test_a_form_needs_its_file_and_nothing_else(world: World) -> None:
    def form(**fields: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {world.salon.key}"}
        return world.salon.client.post(IMPORT, data=fields, headers=headers, content_type="multipart/form-data")

    def file(text: bytes = LIST.encode()) -> tuple[io.BytesIO, str]:
        return io.BytesIO(text), "x.csv"

    assert fields_of(form(file="phone\n")) == {"file"}
    assert fields_of(form(list=file())) == {"list"}
    assert fields_of(form(file=file(), onDuplicate="skip")) == {"onDuplicate"}
    assert fields_of(form(file=[file(), file()])) == {"file"}
    start = b'--y\r\nContent-Disposition: form-data; name="file"; filename="x.csv"\r\n\r\n'
    for size in (5 * 1024 * 1024 + 1, 10_000_000):
        error_of(send(world.salon, start + b"x" * size + b"\r\n--y--", kind="multipart/form-data; boundary=y"), 413)
    assert everybody(world.salon) == []


def test_an_outsider_gets_nothing_and_brings_nothing(world: World) -> None:
    add(world.salon, phone=PERSON)

    error_of(send(world.outsider, LIST, "?workspaceId=ws_salon"), 403, "forbidden")
    error_of(world.outsider.get(EXPORT, workspaceId="ws_salon"), 404)
    assert world.outsider.get(EXPORT).text.count("\r\n") == 1
    assert len(everybody(world.salon)) == 1


def test_ten_thousand_take_seconds(world: World) -> None:
    text = numbers(10_000)
    begin = perf_counter()
    assert data_of(send(world.salon, text))["created"] == 10_000
    stored = perf_counter() - begin
    begin = perf_counter()
    assert data_of(send(world.salon, text.replace("Person", "Friend"), "?onDuplicate=update"))["updated"] == 10_000
    changed = perf_counter() - begin

    assert max(stored, changed) < 30  # on a busy machine; a few seconds otherwise
    assert len(world.salon.get(EXPORT).text.splitlines()) == 10_001


def test_of_two_equal_lists_at_once_each_person_is_stored_once(world: World) -> None:
    barrier = Barrier(2)

    def one(tenant: Tenant) -> int:
        barrier.wait(10)
        return send(tenant, numbers(50)).status_code

    with ThreadPoolExecutor(2) as threads:
        statuses = sorted(threads.map(one, [world.salon, world.tenant("ws_salon")]))

    assert statuses in ([200, 409], [200, 422])
    assert len(everybody(world.salon)) == 50


def test_somebody_stored_meanwhile_is_a_conflict(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    add(world.salon, phone="+61400000549")
    monkeypatch.setattr(importing._Known, "of", lambda *_: {})  # it was not there yet

    error_of(send(world.salon, LIST), 409, "contact_exists")

    assert len(everybody(world.salon)) == 1
