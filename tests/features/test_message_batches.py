"""One text to many people: who gets it, who does not and why, once each, and calling it off."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import func, select, update

from app.channels.base import Failure, FailureKind
from app.contacts import service as contacts
from app.database import reading, writing
from app.message_templates.models import MessageTemplate
from app.messages.models import Batch, Message
from tests.answers import data_of, error_of, fields_of
from tests.people import CONTACTS, add
from tests.world import SENDER, World

PATH = "/api/batches"


def batch(**changes: Any) -> dict[str, Any]:
    body = {"category": "informational", "body": "We are open", "segment": {"all": True}, "fromNumber": SENDER}
    return {name: value for name, value in (body | changes).items() if value is not ...}


def accept(world: World, **changes: Any) -> dict[str, Any]:
    return data_of(world.salon.post(PATH, batch(**changes)), 202)


def people(world: World, count: int, **fields: Any) -> None:
    for n in range(count):
        add(world.salon, contactId=f"c{n}", phone=f"+1234567890{n}", **fields)


def stored() -> tuple[int, int, int]:
    with reading() as session:
        tables = (Batch, Message, MessageTemplate)
        found = tuple(session.scalar(select(func.count()).select_from(table)) or 0 for table in tables)
    return found[0], found[1], found[2]


def state(world: World, batch_id: str) -> dict[str, Any]:
    return data_of(world.salon.get(f"{PATH}/{batch_id}"))


def test_everybody_gets_it_once_after_a_minute_for_undoing(world: World) -> None:
    people(world, 3)

    answer = accept(world, name="Autumn")

    assert answer == {
        "batchId": answer["batchId"],
        "name": "Autumn",
        "status": "scheduled",
        "channel": "sms",
        "category": "informational",
        "total": 3,
        "accepted": 3,
        "skipped": [],
        "skippedCounts": {},
        "segments": 3,
        "scheduledTime": "2026-05-11T12:01:00.000+00:00",
        "undoUntil": "2026-05-11T12:01:00.000+00:00",
    }
    assert state(world, answer["batchId"]) == {
        "batchId": answer["batchId"],
        "name": "Autumn",
        "status": "scheduled",
        "channel": "sms",
        "category": "informational",
        "segment": {"all": True},
        "total": 3,
        "counts": {"scheduled": 3},
        "scheduledTime": "2026-05-11T12:01:00.000+00:00",
        "createdAt": "2026-05-11T12:00:00.000+00:00",
        "cancelledAt": None,
    }
    world.clock.advance(seconds=59)
    world.work()
    assert world.provider.posted == []
    world.clock.advance(seconds=1)
    assert state(world, answer["batchId"])["status"] == "sending"
    world.live(10)
    assert sorted(message.to for message in world.provider.posted) == [f"+1234567890{n}" for n in range(3)]
    assert state(world, answer["batchId"])["status"] == "completed"


def test_the_rows_say_where_they_come_from(world: World) -> None:
    people(world, 1)
    batch_id = accept(world, body="Hello {{ contact.first_name }}")["batchId"]

    [message] = world.messages()
    with reading() as session:
        [template] = session.scalars(select(MessageTemplate)).all()
        contact = contacts.find(session, "ws_salon", "c0")
    assert (message.kind, message.template_id, message.batch_id) == ("batch", template.id, batch_id)
    assert (message.contact_id, message.job_id) == (contact.id, f"batch-{batch_id}-{contact.id}")
    assert message.body == template.body == "Hello {{ contact.first_name }}"
    assert (template.kind, template.channel, template.subject) == (f"batch-{batch_id}", "sms", None)


def test_whoever_must_not_get_it_is_left_out_with_the_reason(world: World) -> None:
    people(world, 3)
    add(world.salon, contactId="mail", email="m@example.com")
    add(world.outsider, contactId="not-ours", phone="+15550000009")
    data_of(world.salon.post(f"{CONTACTS}/c1/opt-out", {"channel": "sms"}))
    data_of(world.salon.post(f"{CONTACTS}/c2/opt-out", {"channel": "email"} | {"channel": "whatsapp"}))

    answer = accept(world, segment={"contactIds": ["c0", "c1", "c2", "mail", "not-ours", "c0"]})

    assert (answer["total"], answer["accepted"]) == (5, 2)
    assert {one["contactId"]: one["reason"] for one in answer["skipped"]} == {
        "c1": "opted_out",
        "mail": "no_address",
        "not-ours": "not_found",
    }
    assert answer["skippedCounts"] == {"opted_out": 1, "no_address": 1, "not_found": 1}
    assert sorted(message.to_address for message in world.messages()) == ["+12345678900", "+12345678902"]


def test_marketing_needs_a_consent_for_the_channel(world: World) -> None:
    people(world, 5)
    for person, consent in (
        ("c0", {"kind": "marketing"}),
        ("c1", {"kind": "marketing", "channel": "sms"}),
        ("c2", {"kind": "marketing", "channel": "email"}),
        ("c3", {"kind": "informational"}),
        ("c4", {"kind": "marketing", "givenAt": "2026-01-01T00:00:00Z", "expiresAt": "2026-05-11T12:00:00Z"}),
    ):
        data_of(world.salon.post(f"{CONTACTS}/{person}/consents", consent | {"source": "form"}), 201)

    answer = accept(world, category="marketing")

    assert {one["contactId"]: one["reason"] for one in answer["skipped"]} == dict.fromkeys(
        ("c2", "c3", "c4"), "no_consent"
    )
    assert accept(world)["accepted"] == 5


def test_people_are_chosen_by_any_of_the_tags(world: World) -> None:
    for n, tags in enumerate((["a"], ["b"], ["a", "b"], ["c"], [])):
        add(world.salon, contactId=f"c{n}", phone=f"+1234567890{n}", tags=tags)

    assert accept(world, segment={"tags": ["a", "b"]})["accepted"] == 3
    assert accept(world, segment={"tags": ["c"]})["accepted"] == 1
    assert accept(world, segment={"all": True})["accepted"] == 5
    assert fields_of(world.salon.post(PATH, batch(segment={"tags": ["d"]}))) == {"segment"}


@pytest.mark.parametrize("channel", ["whatsapp", "email"])
def test_other_channels_have_other_addresses(world: World, channel: str) -> None:
    add(world.salon, contactId="a", phone="+12345678900", email="a@example.com")
    add(world.salon, contactId="b", phone="+12345678901", email="b@example.com")
    data_of(world.salon.post(f"{CONTACTS}/b/opt-out", {"channel": channel}))
    sender = {"whatsapp": f"whatsapp:{SENDER}", "email": "salon@example.com"}[channel]
    more = {"subject": "News"} if channel == "email" else {}

    answer = accept(world, channel=channel, fromNumber=sender, **more)

    assert (answer["accepted"], answer["skippedCounts"]) == (1, {"opted_out": 1})
    [message] = world.messages()
    to = {"whatsapp": "whatsapp:+12345678900", "email": "a@example.com"}[channel]
    assert (message.channel, message.to_address, message.from_address) == (channel, to, sender)


def test_a_template_of_the_workspace_can_be_the_text(world: World) -> None:
    people(world, 1)
    with writing() as session:
        ours = MessageTemplate(workspace_id="ws_salon", kind="news", channel="sms", body="N {{ contact.name }}")
        mail = MessageTemplate(workspace_id="ws_salon", kind="news-mail", channel="email", body="x")
        theirs = MessageTemplate(workspace_id="ws_outsider", kind="their-news", channel="sms", body="x")
        session.add_all([ours, mail, theirs])
        session.flush()
        ids = [ours.id, mail.id, theirs.id]

    accept(world, body=..., templateKind="news")
    accept(world, body=..., templateId=ids[0])

    assert [(one.kind, one.template_id, one.body) for one in world.messages()] == [
        ("news", None, "N {{ contact.name }}"),
        ("news", ids[0], "N {{ contact.name }}"),
    ]
    for wrong in ({"templateKind": "their-news"}, {"templateKind": "news-mail"}):
        assert fields_of(world.salon.post(PATH, batch(body=..., **wrong))) == {"templateKind"}
    for wrong in (ids[1], ids[2], "0" * 32):
        assert fields_of(world.salon.post(PATH, batch(body=..., templateId=wrong))) == {"templateId"}
    assert stored() == (2, 2, 3)


REFUSED: list[tuple[dict[str, Any], set[str]]] = [
    ({"category": ...}, {"category"}),
    ({"category": "spam"}, {"category"}),
    ({"channel": "fax"}, {"channel"}),
    ({"body": ...}, {"templateKind", "templateId", "body"}),
    ({"templateKind": "news"}, {"templateKind", "templateId", "body"}),
    ({"body": ""}, {"body"}),
    ({"body": " \n"}, {"body"}),
    ({"body": "x" * 1601}, {"body"}),
    ({"body": "a\0b"}, {"body"}),
    ({"body": "\ud800"}, {"body"}),
    ({"body": 1}, {"body"}),
    ({"templateId": "x", "body": ...}, {"templateId"}),
    ({"subject": "News"}, {"subject"}),
    ({"channel": "email", "fromNumber": "a@example.com"}, {"subject"}),
    ({"channel": "email", "subject": "a\nb\0", "fromNumber": "a@example.com"}, {"subject"}),
    ({"segment": ...}, {"segment"}),
    ({"segment": {}}, {"segment"}),
    ({"segment": {"all": False}}, {"segment.all"}),
    ({"segment": {"all": True, "tags": ["a"]}}, {"segment"}),
    ({"segment": {"tags": []}}, {"segment.tags"}),
    ({"segment": {"tags": ["a;b"]}}, {"segment.tags.0"}),
    ({"segment": {"contactIds": ["a b"]}}, {"segment.contactIds.0"}),
    ({"segment": {"contactIds": ["x"] * 10_001}}, {"segment.contactIds"}),
    ({"segment": {"vip": True}}, {"segment.vip"}),
    ({"segment": []}, {"segment"}),
    ({"scheduledTime": "2026-05-11T12:00:00Z"}, {"scheduledTime"}),
    ({"scheduledTime": "2026-05-12T12:00:00"}, {"scheduledTime"}),
    ({"scheduledTime": "2026-02-29T12:00:00Z"}, {"scheduledTime"}),
    ({"scheduledTime": "9999-12-31T23:59:59Z"}, {"scheduledTime"}),
    ({"scheduledTime": "2026-05-12T12:00:00Z", "delayMinutes": 1}, {"scheduledTime", "delayMinutes"}),
    ({"delayMinutes": 0}, {"delayMinutes"}),
    ({"delayMinutes": True}, {"delayMinutes"}),
    ({"delayMinutes": 731 * 24 * 60 + 1}, {"delayMinutes"}),
    ({"validUntil": "2026-05-11T12:01:00Z"}, {"validUntil"}),
    ({"fromNumber": "12"}, {"fromNumber"}),
    ({"fromNumber": "+19876543210\n"}, {"fromNumber"}),
    ({"fromNumber": f"whatsapp:{SENDER}"}, {"fromNumber"}),
    ({"name": "x" * 201}, {"name"}),
    ({"name": 1}, {"name"}),
    ({"priority": 1}, {"priority"}),
]


def test_what_is_wrong_is_named_and_nothing_is_stored(world: World) -> None:
    people(world, 1)
    for changes, fields in REFUSED:
        found = fields_of(world.salon.post(PATH, batch(**changes)))
        assert found == fields, ascii(changes)[:80]
    error_of(world.salon.post_raw(PATH, b" " * 17_000_000), 413)
    error_of(world.salon.post_raw(PATH, b"{"), 400, "malformed")
    assert stored() == (0, 0, 0)


def test_calling_it_off_in_time_stops_all_of_it(world: World) -> None:
    people(world, 3)
    batch_id = accept(world)["batchId"]
    other = accept(world)["batchId"]
    path = f"{PATH}/{batch_id}/cancel"

    tried = data_of(world.salon.post(path, {}, X_Dry_Run="true"))
    assert (tried["stopped"], tried["batchId"], tried["dryRun"]) == (3, batch_id, True)
    answer = data_of(world.salon.call("POST", path))

    assert answer == {"batchId": batch_id, "status": "cancelled", "stopped": 3, "alreadyGone": 0}
    assert data_of(world.salon.post(path, {})) == answer
    assert len(world.scheduled()) == 3
    world.live(70)
    assert len(world.provider.posted) == 3
    assert {one.reason for one in world.messages() if one.batch_id == batch_id} == {"batch_cancelled"}
    now = state(world, batch_id)
    assert (now["status"], now["counts"], now["cancelledAt"]) == (
        "cancelled",
        {"cancelled": 3},
        "2026-05-11T12:00:00.000+00:00",
    )
    assert state(world, other)["status"] == "completed"


def test_calling_it_off_half_way_tells_what_was_gone(world: World) -> None:
    people(world, 4)
    batch_id = accept(world)["batchId"]
    [first, second, third, _fourth] = [one.id for one in world.messages()]
    with writing() as session:
        session.execute(update(Message).where(Message.id == first).values(status="sent"))
        session.execute(update(Message).where(Message.id == second).values(status="sending"))
        session.execute(update(Message).where(Message.id == third).values(status="skipped", reason="opted_out"))

    answer = data_of(world.salon.post(f"{PATH}/{batch_id}/cancel", {}))

    assert (answer["stopped"], answer["alreadyGone"]) == (1, 2)
    assert data_of(world.salon.post(f"{PATH}/{batch_id}/cancel", {})) == answer


def test_what_was_on_its_way_is_not_tried_again(world: World) -> None:
    people(world, 1)
    batch_id = accept(world)["batchId"]
    world.provider.script.append(Failure(FailureKind.TRANSIENT, "busy"))
    world.clock.advance(minutes=1)
    world.work()
    [message] = world.messages()
    assert (message.status, message.attempt) == ("scheduled", 1)
    with writing() as session:  # as if it had been on its way when the batch was called off
        session.execute(update(Message).values(status="sending"))
    data_of(world.salon.post(f"{PATH}/{batch_id}/cancel", {}))
    with writing() as session:
        session.execute(update(Message).values(status="scheduled"))

    world.live(10)

    [message] = world.messages()
    assert (message.status, message.reason, message.attempt) == ("failed", "batch_cancelled", 1)


def test_of_a_batch_that_is_over_nothing_can_be_called_off(world: World) -> None:
    people(world, 1)
    batch_id = accept(world)["batchId"]
    world.live(70)

    error_of(world.salon.post(f"{PATH}/{batch_id}/cancel", {}), 409, "already_sent")

    assert state(world, batch_id)["status"] == "completed"


def test_batches_are_listed_the_latest_first(world: World) -> None:
    people(world, 1)
    made = [accept(world, name=f"n{n}")["batchId"] for n in range(3)]

    first = data_of(world.salon.get(PATH, limit="2"))
    second = data_of(world.salon.get(PATH, limit="2", cursor=first["nextCursor"]))

    assert [one["batchId"] for one in first["batches"] + second["batches"]] == made[::-1]
    assert (first["batches"][0], second["nextCursor"]) == (state(world, made[2]), None)
    assert fields_of(world.salon.get(PATH, limit="0", cursor="x", q="y")) == {"limit", "cursor", "q"}


def test_an_outsider_sees_none_of_it(world: World) -> None:
    people(world, 1)
    batch_id = accept(world)["batchId"]

    error_of(world.outsider.post(PATH, batch(workspaceId="ws_salon")), 403, "forbidden")
    error_of(world.outsider.get(f"{PATH}/{batch_id}"), 404, "not_found")
    error_of(world.outsider.post(f"{PATH}/{batch_id}/cancel", {}), 404, "not_found")
    error_of(world.outsider.get(PATH, workspaceId="ws_salon"), 404)
    assert data_of(world.outsider.get(PATH))["batches"] == []
    assert state(world, batch_id)["status"] == "scheduled"


def test_a_dry_run_says_who_would_be_left_out(world: World) -> None:
    people(world, 2)
    data_of(world.salon.post(f"{CONTACTS}/c1/opt-out", {}))

    tried = data_of(world.salon.post(PATH, batch(), X_Dry_Run="true"))

    assert (tried["batchId"], tried["accepted"], tried["dryRun"]) == (None, 1, True)
    assert tried["skipped"] == [{"contactId": "c1", "reason": "opted_out"}]
    assert stored() == (0, 0, 0)


def test_of_equal_requests_at_once_one_makes_the_batch(world: World) -> None:
    people(world, 3)
    barrier = Barrier(8)
    tenants = [world.tenant("ws_salon") for _ in range(8)]

    def one(n: int) -> str:
        barrier.wait(10)
        return str(data_of(tenants[n].post(PATH, batch(), Idempotency_Key="k"), 202)["batchId"])

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(one, range(8)))) == 1
    assert stored() == (1, 3, 1)
    error_of(world.salon.post(PATH, batch(name="x"), Idempotency_Key="k"), 422, "idempotency_key_reused")


def test_a_sender_that_is_too_slow_is_told_beforehand(make_world: Any) -> None:
    world = make_world(sender_rate=0.1)
    people(world, 5)

    answer = accept(world, validUntil="2026-05-11T12:01:25Z")

    assert answer["accepted"] == 5
    [warning] = answer["warnings"]
    assert (warning["fromNumber"], warning["affected"]) == (SENDER, 2)


def test_ten_thousand_people_are_one_batch_and_one_more_is_too_many(world: World) -> None:
    text = "phone,tags\n" + "".join(f"+6140{n:07},list\n" for n in range(10_000))
    headers = world.salon._headers({"Content_Type": "text/csv"})
    assert world.salon.client.post(f"{CONTACTS}/import", data=text, headers=headers).status_code == 200

    assert accept(world, delayMinutes=120)["accepted"] == 10_000

    assert stored() == (1, 10_000, 1)
    add(world.salon, phone="+12345678900", tags=["list"])
    assert fields_of(world.salon.post(PATH, batch())) == {"segment"}
    ids = [f"nobody{n}" for n in range(10_000)]
    many = accept(world, segment={"contactIds": ids})
    assert state(world, many["batchId"])["segment"] == {"contactIds": ids[:100], "contactCount": 10_000}
    assert (many["accepted"], len(many["skipped"]), many["skippedCounts"]) == (0, 100, {"not_found": 10_000})
