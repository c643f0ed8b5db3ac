"""A workspace's own texts: kept, judged when they are saved, and shown before anybody gets them."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from app.database import reading, writing
from app.message_templates.models import MessageTemplate
from app.messages.models import Message
from app.workspaces.models import Workspace
from tests.answers import data_of
from tests.features.hostile import NO_TEXT, WORKSPACES
from tests.planned import make_appointment, make_contact
from tests.together import together
from tests.world import PERSON, World

URL = "/api/templates"
BODY = "Hi {{ contact.first_name }}, see you {{ appointment.day }}."


def put(world: World, path: str = "24h/sms", **changes: Any) -> Any:
    return world.salon.call("PUT", f"{URL}/{path}", {"body": BODY} | changes)


def stored(world: World) -> int:
    with reading() as session:
        found = session.scalar(select(func.count()).select_from(MessageTemplate))
        return int(found or 0) + len(world.messages())


def test_a_text_is_written_read_replaced_and_deleted(world: World) -> None:
    first = data_of(put(world))
    assert (first["kind"], first["channel"], first["body"], first["isDefault"]) == ("24h", "sms", BODY, False)
    assert (first["missingField"], first["eventType"], first["contentVariables"]) == ("skip", None, {})

    world.clock.advance(hours=1)
    again = data_of(put(world, body="Other", missingField="blank"))
    assert (again["body"], again["missingField"]) == ("Other", "blank")
    assert again["updatedAt"] > first["updatedAt"]
    assert data_of(world.salon.get(f"{URL}/24h/sms")) == again

    gone = data_of(world.salon.call("DELETE", f"{URL}/24h/sms"))
    assert gone == {"kind": "24h", "channel": "sms", "eventType": None, "deleted": True}
    assert data_of(world.salon.get(f"{URL}/24h/sms"))["isDefault"] is True
    assert world.salon.call("DELETE", f"{URL}/24h/sms").status_code == 404


def test_all_of_a_text_is_kept_when_it_is_replaced(world: World) -> None:
    values = {"body": "b", "contentSid": "HX" + "a" * 32, "contentVariables": {"1": "{{ contact.name }}"}}
    put(world, "24h/whatsapp")
    saved = data_of(put(world, "24h/whatsapp", **values, missingField="blank"))

    assert {name: saved[name] for name in values} == values
    assert data_of(world.salon.get(f"{URL}/24h/whatsapp")) == saved


def test_there_is_a_text_for_each_type_of_event(world: World) -> None:
    data_of(put(world, body="General"))
    data_of(put(world, body="For colour", eventType="colour"))

    def body(**query: str) -> Any:
        return data_of(world.salon.get(f"{URL}/24h/sms", **query))["body"]

    assert (body(), body(eventType="colour"), body(eventType="perm")) == ("General", "For colour", "General")
    data_of(world.salon.client.delete(f"{URL}/24h/sms?eventType=colour", headers=world.salon._headers({})))
    assert body(eventType="colour") == "General"


def test_the_list_has_one_s_own_texts_the_defaults_and_the_fields(world: World) -> None:
    put(world, "24h/sms")
    put(world, "my-kind/email", subject="S")
    listed = data_of(world.salon.get(URL))

    keys = [(one["kind"], one["channel"]) for one in listed["templates"]]
    assert len(keys) == len(set(keys))
    own = {key for key, one in zip(keys, listed["templates"], strict=True) if not one["isDefault"]}
    assert own == {("24h", "sms"), ("my-kind", "email")}
    assert {"confirmation", "24h", "1h", "2h", "reminder", "cancellation", "rescheduled"} <= {kind for kind, _ in keys}
    assert {"contact.first_name", "appointment.time_until", "links.cancel"} <= {one["name"] for one in listed["fields"]}


def test_seed_000_s_name_of_a_kind_means_the_same(world: World) -> None:
    assert data_of(put(world, "24hr/sms"))["kind"] == "24h"
    assert data_of(world.salon.get(f"{URL}/24hr/sms"))["body"] == BODY


def test_no_other_workspace_sees_or_touches_it(world: World) -> None:
    put(world)
    assert data_of(world.outsider.get(f"{URL}/24h/sms"))["isDefault"] is True
    assert all(one["isDefault"] for one in data_of(world.outsider.get(URL))["templates"])
    assert world.outsider.get(URL, workspaceId="ws_salon").status_code == 404
    assert world.outsider.get(f"{URL}/24h/sms", workspaceId="ws_salon").status_code == 404
    assert world.outsider.call("DELETE", f"{URL}/24h/sms").status_code == 404
    assert world.outsider.call("DELETE", f"{URL}/24h/sms?workspaceId=ws_salon").status_code == 404
    stolen = world.outsider.call("PUT", f"{URL}/24h/sms", {"body": "x", "workspaceId": "ws_salon"})
    assert stolen.status_code == 403
    contact_id, body = make_contact(), {"kind": "24h", "channel": "sms", "workspaceId": "ws_salon"}
    appointment = make_appointment(contact_id, world.clock.now() + timedelta(days=1), public_id="booking_1")
    assert appointment
    for path in ("preview", "test-send"):
        to = {"to": PERSON} if path == "test-send" else {}
        assert world.outsider.post(f"{URL}/{path}", body | to).status_code in (403, 404)
        foreign = {"kind": "24h", "channel": "sms", "appointmentId": "booking_1"} | to
        assert world.outsider.post(f"{URL}/{path}", foreign).status_code == 404
        foreign = {"kind": "24h", "channel": "sms", "contactId": f"contact_{contact_id}"} | to
        assert world.outsider.post(f"{URL}/{path}", foreign).status_code == 404
    assert data_of(world.salon.get(f"{URL}/24h/sms"))["body"] == BODY


def test_a_dry_run_writes_and_deletes_nothing(world: World) -> None:
    headers = {"X_Dry_Run": "true"}
    tried = world.salon.call("PUT", f"{URL}/24h/sms", {"body": BODY}, **headers)
    assert (tried.status_code, tried.json["data"]["dryRun"]) == (200, True)
    assert stored(world) == 0
    put(world)
    assert world.salon.call("DELETE", f"{URL}/24h/sms", **headers).status_code == 200
    assert stored(world) == 1


def test_writers_at_the_same_moment_leave_one_text(world: World) -> None:
    answers = together(world.app, [lambda n=n: put(world, body=f"Text {n}").status_code for n in range(6)])  # type: ignore[misc]

    assert answers == [200] * 6
    assert stored(world) == 1


@pytest.mark.parametrize(
    "body, words",
    [
        ("Hi {{ contact.frist_name }}", "contact.frist_name (at character 4) is not a field that we know"),
        ("Hi {{ contact.frist_name }}", "do you mean contact.first_name?"),
        ("{{ contact.hair }}", "is not a field that we know"),
        ("Hi {{ contact.first_name", "the field that begins at character 4 is not closed"),
        ("{{ contact.first_name.__class__.__mro__ }}", "is not a field that we know"),
        ("{{ config }} {% for x in y %}", "config (at character 1)"),
        ("{{ appointment.time | strftime }}", "after |"),
        ("{{ contact.name | 24h }}", "is not a field that we know"),
        ("x" * 1601, "may come to 1,601 characters"),
        ("\U0001f600" * 801, "may come to 1,602 characters"),
        ("{{ appointment.location }}" * 6, "may come to 1,800 characters"),
        ("{{" * 50_000, "is not closed"),
    ],
)
def test_what_is_wrong_with_a_text_is_said_when_it_is_saved(world: World, body: str, words: str) -> None:
    for answer in (
        put(world, body=body),
        world.salon.post(f"{URL}/preview", {"kind": "24h", "channel": "sms", "body": body}),
    ):
        assert answer.status_code == 422, answer.text
        assert words in answer.json["error"]["fields"]["body"][0]
    assert stored(world) == 0


PUT_REFUSED: dict[str, list[Any]] = {
    "body": [*NO_TEXT, "", " \n", "a" * 100_001, ["x"]],
    "subject": [*NO_TEXT[1:], "", "S"],
    "contentSid": ["HX", "hx" + "0" * 32, "HX" + "0" * 33, 1, "HX" + "0" * 32],
    "contentVariables": [{"x": "y"}, {"1": 1}, {"1": ""}, {"1234": "a"}, {"1": "a"}, [], "x", {"1": "{{ x }}"}],
    "missingField": [*NO_TEXT, "", "SKIP", "ignore"],
    "eventType": [*NO_TEXT[1:], "", "x" * 101],
    "workspaceId": WORKSPACES[1:],
    "surprise": [1],
}


@pytest.mark.parametrize("name", PUT_REFUSED)
def test_a_hostile_field_is_refused_by_its_name_and_nothing_is_stored(world: World, name: str) -> None:
    for bad in PUT_REFUSED[name]:
        answer = put(world, **{name: bad})
        assert answer.status_code in (403, 422), (bad, answer.text)
        if answer.status_code == 422:
            assert any(field.split(".")[0] == name for field in answer.json["error"]["fields"]), (bad, answer.text)
    assert stored(world) == 0


@pytest.mark.parametrize("kind", ["-x", "UPPER", "x" * 65, "a b", "\u00e4", "%00", "a.b", "\U0001f600"])
def test_a_kind_has_a_plain_name(world: World, kind: str) -> None:
    assert put(world, f"{kind}/sms").status_code in (404, 422)
    assert put(world, "24h/fax").status_code == 404
    assert stored(world) == 0


def test_an_email_needs_a_subject_of_one_line(world: World) -> None:
    assert put(world, "24h/email").json["error"]["fields"] == {"subject": ["is required for an email"]}
    for bad in ("a\nBcc: x@example.com", "a\r", "x" * 251, "{{ nope }}", " "):
        answer = put(world, "24h/email", subject=bad)
        assert (answer.status_code, list(answer.json["error"]["fields"])) == (422, ["subject"]), bad
    assert data_of(put(world, "24h/email", subject="{{ contact.name }}: " + "x" * 200))["subject"]
    assert data_of(put(world, "1h/email", subject="S", body="x" * 90_000))


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"null", b'{"body": NaN}', b'{"body": "a", "body": "b"}', b"\xff"])
def test_a_malformed_body_is_refused(world: World, raw: bytes) -> None:
    headers = world.salon._headers({})
    assert world.salon.client.put(f"{URL}/24h/sms", data=raw, headers=headers).status_code == 400
    assert world.salon.client.post(f"{URL}/preview", data=raw, headers=headers).status_code == 400


def test_ten_megabytes_are_too_many(world: World) -> None:
    for path in ("preview", "test-send"):
        body = {"kind": "24h", "channel": "sms", "body": "{{" * 5_000_000}
        assert world.salon.post(f"{URL}/{path}", body).status_code == 413
    assert put(world, body="x" * 10_000_000).status_code == 413


class TestPreview:
    def show(self, world: World, **changes: Any) -> dict[str, Any]:
        return data_of(world.salon.post(f"{URL}/preview", {"kind": "24h", "channel": "sms"} | changes))

    def test_without_an_appointment_it_is_made_with_sample_data(self, world: World) -> None:
        shown = self.show(world)

        assert (shown["body"], shown["sampleData"], shown["isDefault"]) == ("Your appt is tomorrow!", True, True)
        assert (shown["encoding"], shown["segments"], shown["characters"]) == ("GSM-7", 1, 22)
        assert (shown["missingFields"], shown["wouldBeSkipped"]) == ([], False)

    def test_with_an_appointment_it_shows_what_its_person_would_get(self, world: World) -> None:
        starts_at = world.clock.now() + timedelta(hours=15)
        make_appointment(make_contact(), starts_at, public_id="booking_123", service="Haircut")
        put(world, "reminder/sms", body="{{ contact.name }}: {{ appointment.service }} {{ appointment.time }}")

        shown = self.show(world, kind="reminder", appointmentId="booking_123")
        assert (shown["body"], shown["sampleData"]) == ("Ada Lovelace: Haircut 1:00 PM", False)
        at = self.show(world, appointmentId="booking_123", at="2026-05-11T20:00:00-10:00")
        assert at["body"] == "Your appt is today!"
        begun = self.show(world, appointmentId="booking_123", at="2026-06-11T20:00:00-10:00")
        assert "already_begun" in [one["code"] for one in begun["warnings"]]

    def test_fields_without_a_value_are_named(self, world: World) -> None:
        make_contact(public_id="client_7", first_name="")
        shown = self.show(world, contactId="client_7", body="Hi {{ contact.first_name }}{{ appointment.day }}!")

        assert shown["missingFields"] == ["contact.first_name", "appointment.day"]
        assert (shown["body"], shown["wouldBeSkipped"]) == ("Hi !", True)

    def test_characters_that_make_it_longer_are_pointed_out(self, world: World) -> None:
        shown = self.show(world, body="It\u2019s \u201ctomorrow\u201d \u2013 na\u00efve \U0001f600\u2026")

        assert (shown["encoding"], shown["segments"]) == ("UCS-2", 1)
        found = [(one["character"], one["index"], one["suggestion"]) for one in shown["nonGsmCharacters"]]
        assert found == [
            ("\u2019", 2, "'"),
            ("\u201c", 5, '"'),
            ("\u201d", 14, '"'),
            ("\u2013", 16, "-"),
            ("\u00ef", 20, "i"),
            ("\U0001f600", 24, None),
            ("\u2026", 25, "..."),
        ]
        assert shown["nonGsmCharacters"][0]["name"] == "RIGHT SINGLE QUOTATION MARK"
        assert "unicode" in [one["code"] for one in shown["warnings"]]

    def test_what_carriers_and_purses_dislike_is_said(self, world: World) -> None:
        with writing() as session:
            session.execute(update(Workspace).where(Workspace.id == "ws_salon").values(name="Shear Delight"))

        def codes(body: str) -> set[str]:
            return {one["code"] for one in self.show(world, body=body)["warnings"]}

        assert codes("Shear Delight: see you!") == set()
        assert codes("See you!") == {"no_business_name"}
        assert codes("{{ business.name }} https://bit.ly/abc") == {"link_shortener"}
        assert codes("{{ business.name }} https://habit.ly/abc") == set()
        assert codes("{{ business.name }} " + "x" * 500) == {"many_segments"}
        assert codes("{{ business.name }} {{ links.cancel }}") == {"local_link"}

    @pytest.mark.parametrize(
        "prices, estimate",
        [
            ({"currency": "AUD", "sms": 0.0515}, {"amount": 0.103, "currency": "AUD"}),
            ({"currency": "AUD", "sms": 0}, {"amount": 0, "currency": "AUD"}),
            ({"currency": "AUD", "email": 1}, None),
            ({"sms": 1}, None),
            ({"currency": "AUD", "sms": "1"}, None),
            ({"currency": "AUD", "sms": True}, None),
            ({"currency": "AUD", "sms": -1}, None),
            ("cheap", None),
            (None, None),
        ],
    )
    def test_the_price_is_the_workspace_s_own(self, world: World, prices: Any, estimate: Any) -> None:
        with writing() as session:
            settings = {"prices": prices} if prices is not None else {}
            session.execute(update(Workspace).where(Workspace.id == "ws_salon").values(settings=settings))
        shown = self.show(world, body="x" * 200)

        assert shown["priceEstimate"] == estimate
        assert (shown["priceNote"] is None) == (estimate is not None)

    def test_other_channels_have_no_segments(self, world: World) -> None:
        email = self.show(world, channel="email")
        assert (email["subject"], email["segments"], email["encoding"]) == ("Your appt is tomorrow!", None, None)
        whatsapp = self.show(world, channel="whatsapp", body="\u2013")
        assert (whatsapp["segments"], whatsapp["nonGsmCharacters"]) == (None, [])

    def test_it_stores_and_sends_nothing(self, world: World) -> None:
        self.show(world)
        world.work()
        assert stored(world) == 0
        assert world.provider.posted == []

    @pytest.mark.parametrize(
        "changes",
        [
            {"kind": None},
            {"kind": "A"},
            {"kind": "a\0"},
            {"channel": "fax"},
            {"channel": True},
            {"subject": "S"},
            {"at": "2026-05-11T16:00:00"},
            {"at": "2026-02-29T16:00:00Z"},
            {"at": "9999-12-31T23:59:59Z"},
            {"at": 1},
            {"appointmentId": "a/b"},
            {"appointmentId": "x" * 81},
            {"contactId": "\ud800"},
            {"contactId": ["a"]},
            {"eventType": ""},
            {"surprise": 1},
        ],
        ids=str,
    )
    def test_bad_input_is_refused_by_its_name(self, world: World, changes: dict[str, Any]) -> None:
        body = {"kind": "24h", "channel": "sms"} | changes
        for path, to in (("preview", {}), ("test-send", {"to": PERSON})):
            answer = world.salon.post(f"{URL}/{path}", body | to)
            assert answer.status_code == 422, answer.text
            assert set(answer.json["error"]["fields"]) & set(changes)
        assert stored(world) == 0

    def test_unknown_things_are_not_found(self, world: World) -> None:
        for name in ("appointmentId", "contactId"):
            answer = world.salon.post(f"{URL}/preview", {"kind": "24h", "channel": "sms", name: "nothing"})
            assert answer.status_code == 404


class TestTestSend:
    def send(self, world: World, **changes: Any) -> Any:
        body = {"kind": "24h", "channel": "sms", "to": PERSON}
        return world.salon.post(f"{URL}/test-send", body | changes)

    def test_the_finished_text_goes_out_as_any_message(self, world: World) -> None:
        answer = self.send(world, body="Hi {{ contact.first_name }}")
        sent = data_of(answer, 202)
        assert sent["status"] == "processing"
        world.work()

        assert [record.body for record in world.provider.log] == ["Hi Alex"]
        assert world.salon.status(sent["jobId"])["status"] == "completed"

    def test_a_repeated_request_sends_once_and_a_dry_run_never(self, world: World) -> None:
        body = {"kind": "24h", "channel": "sms", "to": PERSON}
        first = world.salon.post(f"{URL}/test-send", body, Idempotency_Key="k")
        second = world.salon.post(f"{URL}/test-send", body, Idempotency_Key="k")
        assert first.json == second.json
        assert world.salon.post(f"{URL}/test-send", body, X_Dry_Run="true").json["data"]["jobId"] is None
        assert len(world.messages()) == 1

    def test_whatsapp_takes_the_number_with_or_without_its_prefix(self, world: World) -> None:
        for to in (PERSON, f"whatsapp:{PERSON}"):
            data_of(self.send(world, channel="whatsapp", to=to, fromNumber="whatsapp:+19876543210"), 202)
        assert {one.to_address for one in world.messages()} == {f"whatsapp:{PERSON}"}

    @pytest.mark.parametrize(
        "channel, to",
        [
            ("sms", f"whatsapp:{PERSON}"),
            ("sms", "ada@example.com"),
            ("sms", "12345678901"),
            ("whatsapp", "whatsapp:1"),
            ("email", PERSON),
            ("email", "ada@"),
            ("email", "ada@example.com\nBcc: x@example.com"),
            ("email", "@example.com"),
            ("sms", None),
            ("sms", "x" * 321),
        ],
    )
    def test_an_address_belongs_to_its_channel(self, world: World, channel: str, to: Any) -> None:
        answer = self.send(world, channel=channel, to=to)
        assert (answer.status_code, list(answer.json["error"]["fields"])) == (422, ["to"]), answer.text
        assert stored(world) == 0

    def test_a_blank_text_is_not_sent(self, world: World) -> None:
        make_contact(public_id="client_7")
        answer = self.send(world, contactId="client_7", body="{{ appointment.day }}")
        assert answer.json["error"]["fields"] == {"body": ["is blank with these data"]}
        assert world.messages() == []


def test_a_text_of_one_s_own_reaches_messages_that_wait_already(world: World) -> None:
    from tests.planned import plan

    appointment_id = make_appointment(make_contact(), world.clock.now() + timedelta(hours=15))
    plan(world, appointment_id, world.clock.now() + timedelta(minutes=5), "24h")
    put(world)
    world.clock.advance(minutes=5)
    world.work()

    assert [record.body for record in world.provider.log] == ["Hi Ada, see you tomorrow."]
    with reading() as session:
        assert session.scalars(select(Message.status)).one() == "sent"
