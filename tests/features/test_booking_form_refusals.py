"""What the public form lets nobody do: hostile input in both encodings, forged and old forms, other sites, floods."""

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.answers import error_of, fields_of
from tests.features.hostile import ADDRESSES, NO_TEXT, in_digits
from tests.forms import FILLED, PAGE, appointments, client_of, everything, open_form, send, send_json, switch_on
from tests.world import World

LONG = "x" * 5000
XSS = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'; DROP TABLE contacts; --", "{{ 7 * 7 }}"]
BAD_TEXTS = ["", " ", "a\0b", "\0", LONG, "\ud800"]
DAYS = ["", "x", "2026-02-29", "2026-13-01", "2026-5-15", "15.05.2026", "0000-01-01", "0001-01-01", "9999-12-31"]
DAYS += ["2026-05-10", "2027-05-15", "2026-05-15T10:00", "2026-05-15\n", in_digits("\uff10", "2026-05-15")]


def is_bad_number(text: str) -> bool:
    """Neither empty, nor a good number that is only written with more than the API's numbers have."""
    return bool(text.strip()) and len(text) < 100 and "234567890" not in re.sub(r"\D", "", text)


BAD: dict[str, list[str]] = {
    "name": [*BAD_TEXTS, "Win at evil.com", "https://evil.example", "www.evil", "a@b", "Anna\nBo", "x" * 81],
    "phone": [text for text in ADDRESSES if isinstance(text, str) and is_bad_number(text)]
    + ["+12345678901x", "tel:+12345678901", in_digits("\u0660", "015123456789"), "+1 900 555 0123", "0900 1234567"]
    + ["030 12345678", "+33612345678", "+447012345678", "110", "0151 23456789 ext 5", LONG],
    "email": ["x", "a@b", "@example.com", "a b@example.com", "a@example.com\0", "a@example.com\nBcc: b@c.de", LONG],
    "date": DAYS,
    "time": ["", "x", "24:00", "10", "10:60", "10:00:00.5", "10:00Z", "10:00+02:00", "-1:00", "08:59", "17:01", LONG],
    "service": ["", "Massage", "haircut", "a\0b", LONG],
    "staff": ["Nobody", "a\0b", LONG],
    "notes": ["a\0b", "x" * 1001],
    "unknown": ["x"],
    "workspaceId": ["ws_outsider"],
}
OPEN = {"services": ["Haircut"], "staff": ["Bo"], "openFrom": "09:00", "openUntil": "17:00"}
GOOD = {"service": "Haircut", "email": "anna@example.com"}


def storable(value: str) -> bool:
    return not any(0xD800 <= ord(sign) < 0xE000 for sign in value)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_value_is_422_in_both_encodings_and_stores_nothing(world: World, name: str) -> None:
    switch_on(**OPEN, perAddress=100_000)
    client = client_of(world)
    app_limits_off(world.app)
    token = open_form(client)
    for value in BAD[name]:
        assert name in fields_of(send_json(client, **GOOD | {name: value})), value
        if storable(value):
            response = send(client, token=token, **GOOD | {name: value})
            needed = value.strip() or name in ("name", "date", "time", "service")
            assert response.status_code == (422 if needed else 303), (value, response.text)
            assert 'role="alert"' in response.text
    assert everything() == [0] * 5


@pytest.mark.parametrize("name", ["name", "phone", "email", "date", "time", "appointmentDateTime", "service", "notes"])
def test_json_of_the_wrong_type_is_422(world: World, name: str) -> None:
    switch_on(**OPEN)
    client = client_of(world)
    app_limits_off(world.app)
    optional = name not in ("name", "date", "time", "service")
    for value in NO_TEXT:
        if value is None and optional:
            continue
        assert name in fields_of(send_json(client, **GOOD | {name: value})), value
    assert name != "name" or "consent" in fields_of(send_json(client, **GOOD, consent=1))
    assert everything() == [0] * 5


def app_limits_off(app: Flask) -> None:
    """Some hundred tries in a minute are this test's, not a flood."""
    for limiter in app.extensions["limiter"]:
        limiter.enabled = False


def test_neither_number_nor_address_is_refused(world: World) -> None:
    switch_on()
    assert fields_of(send_json(client_of(world), phone=...)) == {"phone"}


def test_an_hour_that_the_clocks_leave_out_is_refused_with_a_sentence(world: World) -> None:
    switch_on(maxDaysAhead=730)
    refused = send(client_of(world), date="2027-03-28", time="02:30")
    assert refused.status_code == 422
    assert "does not exist on that day in Europe/Berlin: the clocks go forward" in refused.text
    assert fields_of(send_json(client_of(world), date="2027-03-28", time="02:30")) == {"time"}
    assert everything() == [0] * 5


def test_too_soon_and_too_far_are_refused(world: World) -> None:
    switch_on(minNoticeMinutes=60, maxDaysAhead=10)
    client = client_of(world)
    assert fields_of(send_json(client, date="2026-05-11", time="14:59")) == {"time"}
    assert fields_of(send_json(client, date="2026-05-21", time="14:01")) == {"date"}
    assert everything() == [0] * 5
    assert send_json(client, date="2026-05-11", time="15:00").status_code == 201
    assert send_json(client, date="2026-05-21", time="14:00").status_code == 201


MALFORMED: list[tuple[str, bytes, int]] = [
    ("application/json", b"", 400),
    ("application/json", b"[]", 400),
    ("application/json", b'{"name": "\xff"}', 400),
    ("application/json", b'{"name": "a", "name": "b"}', 400),
    ("application/json", b'{"name": "' + b"x" * 16_384 + b'"}', 413),
    ("application/x-www-form-urlencoded", b"name=%ff", 400),
    ("application/x-www-form-urlencoded", b"name=a&name=b", 400),
    ("application/x-www-form-urlencoded", b"&".join(b"a%d=1" % n for n in range(1000)), 400),
    ("application/x-www-form-urlencoded", b"name=" + b"x" * 16_384, 413),
    ("application/x-www-form-urlencoded", b"x" * 10_000_000, 413),
    ("application/x-www-form-urlencoded", b"", 403),
    ("multipart/form-data; boundary=x", b"--x--", 415),
    ("text/plain", b"{}", 415),
    ("", b"{}", 415),
]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_bodies_that_are_none(world: World) -> None:
    switch_on()
    client = client_of(world)
    for kind, body, status in MALFORMED:
        assert (client.post(PAGE, data=body, content_type=kind).status_code, kind, body[:20]) == (
            status,
            kind,
            body[:20],
        )
    assert everything() == [0] * 5


def test_what_people_type_is_shown_as_text(world: World) -> None:
    switch_on(services=XSS, consentText=XSS[0])
    client = client_of(world)
    for text in XSS:
        for name in ("name", "notes", "date", "phone", "service"):
            page = send(client, **{name: text}).text
            assert not re.search(r"<(script|img)", page), name
            assert "49" not in page or "{{ 7 * 7 }}" in page.replace("&#34;", '"')
    response = send(client, service=XSS[1], notes=XSS[0], consent="on")
    assert "<img" not in client.get(response.headers["Location"]).text


def test_a_form_needs_a_token_of_its_own(world: World) -> None:
    switch_on()
    switch_on("ws_outsider")
    client = client_of(world)
    token = open_form(client)
    foreign = open_form(client, "/book/ws_outsider")
    thanks = send(client).headers["Location"].rpartition("/")[2]
    before = everything()
    for wrong in (None, "x", "x.y.z", "\u00e4", token[:-1], token + "x", foreign, thanks):
        refused = send(client, token=wrong)
        assert refused.status_code == 403, wrong
        assert "Anna Muster" in refused.text, "what was typed is not lost"
    assert everything() == before


def test_a_form_that_lay_about_has_to_be_sent_again(world: World) -> None:
    switch_on()
    client = client_of(world)
    token = open_form(client)
    world.clock.advance(seconds=2 * 3600 + 1)
    late = send(client, token=token)
    assert late.status_code == 422
    assert "open for too long" in late.text
    assert everything() == [0] * 5
    world.clock.advance(seconds=-2)
    assert send(client, token=token).status_code == 303


def test_thanks_are_for_those_who_booked_there(world: World) -> None:
    switch_on()
    switch_on("ws_outsider")
    client = client_of(world)
    token = send(client).headers["Location"].rpartition("/")[2]
    for path in (f"/book/ws_outsider/thanks/{token}", f"{PAGE}/thanks/x", f"{PAGE}/thanks/{open_form(client)}"):
        assert client.get(path).status_code == 404
    world.clock.advance(seconds=24 * 3600 + 1)
    assert client.get(f"{PAGE}/thanks/{token}").status_code == 404


def test_a_field_that_people_do_not_see_catches_programs(world: World) -> None:
    switch_on()
    assert send(client_of(world), website="https://spam.example").status_code == 422
    assert everything() == [0] * 5


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://localhost.evil.example"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


def test_other_sites_are_refused_unless_they_are_listed(world: World) -> None:
    switch_on()
    client = client_of(world)
    for headers in FOREIGN:
        assert send(client, headers=headers).status_code == 403, headers
        error_of(send_json(client, headers=headers), 403, "forbidden")
    assert everything() == [0] * 5
    switch_on(origins=["https://salon.example"], perNumber=9)
    listed = {"Origin": "https://salon.example", "Sec-Fetch-Site": "cross-site"}
    response = send_json(client, headers=listed)
    assert response.status_code == 201
    assert response.headers["Access-Control-Allow-Origin"] == "https://salon.example"
    asked = client.options(PAGE, headers=listed | {"Access-Control-Request-Method": "POST"})
    assert asked.headers["Access-Control-Allow-Headers"] == "Content-Type, Idempotency-Key"
    for headers in ({"Origin": "https://evil.example"}, {}):
        assert "Access-Control-Allow-Origin" not in client.options(PAGE, headers=headers).headers
    own = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert send(client, headers=own, time="12:00").status_code == 303


def test_pages_are_guarded(world: World) -> None:
    switch_on(origins=["https://salon.example"])
    client = client_of(world)
    for response in (client.get(PAGE), send(client, name=None), client.get(f"{PAGE}/thanks/x")):
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")
        assert "frame-ancestors https://salon.example" in response.headers["Content-Security-Policy"]
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Robots-Tag"] == "noindex, nofollow"
        assert "Set-Cookie" not in response.headers
        assert "<script" not in response.text
    switch_on()
    assert client.get(PAGE).headers["X-Frame-Options"] == "DENY"


def refused_for(response: Any) -> float:
    """Hours until there is room again; Flask-Limiter takes part of a second off."""
    error_of(response, 429, "rate_limited")
    return round(int(response.headers["Retry-After"]) / 3600, 2)


def test_a_number_and_an_address_are_booked_for_so_often_and_no_more(world: World) -> None:
    switch_on(perNumber=2, perAddress=100)
    client = client_of(world)
    for hour in (9, 10):
        assert send_json(client, time=f"{hour:02}:00", email="anna@example.com").status_code == 201
        world.clock.advance(hours=1)
    assert refused_for(send_json(client, time="11:00")) == 22
    assert refused_for(send_json(client, time="11:00", phone="+49 151 23456789")) == 22
    assert refused_for(send_json(client, time="11:00", phone="0151 99999999", email="Anna@example.com")) == 22
    page = send(client, time="11:00")
    assert page.status_code == 429
    assert "Anna Muster" in page.text
    assert len(appointments()) == 2
    world.clock.advance(hours=22)
    assert send_json(client, time="11:00").status_code == 201


def test_a_workspace_takes_so_many_in_a_day_and_no_more(world: World) -> None:
    switch_on(perDay=2)
    switch_on("ws_outsider")
    client = client_of(world)
    for end in (1, 2):
        assert send_json(client, phone=f"0151 2345678{end}").status_code == 201
    assert refused_for(send_json(client, phone="0151 23456783")) == 24
    assert send_json(client, "/book/ws_outsider").status_code == 201
    assert len(appointments()) == 3


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("redis_is_there", [True, False])
def test_a_client_address_books_so_often_and_no_more(make_world: Any, redis_is_there: bool) -> None:
    away = {} if redis_is_there else {"redis_url": "redis://127.0.0.1:1/0"}
    world: World = make_world(trusted_proxies=1, **away)
    switch_on(perAddress=2)
    client = client_of(world)

    def book(address: str, end: int) -> Any:
        return send_json(client, phone=f"0151 234567{end}", headers={"X-Forwarded-For": f"6.6.6.6, {address}"})

    assert [book("2001:db8::1", 10 + n).status_code for n in range(2)] == [201, 201]
    assert refused_for(book("2001:db8::ffff", 12)) > 0, "one subscriber has all of a /64"
    assert book("203.0.113.1", 13).status_code == 201
    assert len(appointments()) == 3


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_tries_are_counted_too(world: World) -> None:
    switch_on()
    client = client_of(world)
    answers = [send_json(client, name="").status_code for _ in range(31)]
    assert answers == [422] * 30 + [429]
    page = send(client, token="x")
    assert page.status_code == 429
    assert page.mimetype == "text/html"


def test_equal_posts_at_once_make_one_contact_and_keep_to_the_limit(world: World) -> None:
    switch_on(perNumber=3)

    def book(client: FlaskClient) -> int:
        with world.app.app_context():
            return client.post(PAGE, json=FILLED | {"email": "anna@example.com"}).status_code

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(book, [client_of(world) for _ in range(8)]))
    assert answers == [201] * 3 + [429] * 5
    assert len({contact.id for _, contact in appointments()}) == 1


def test_one_form_sent_at_once_is_one_booking(world: World) -> None:
    switch_on()
    token = open_form(client_of(world))

    def book(client: FlaskClient) -> int:
        with world.app.app_context():
            return send(client, token=token).status_code

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(book, [client_of(world) for _ in range(8)]))
    assert answers == [303] * 8
    assert len(appointments()) == 1
