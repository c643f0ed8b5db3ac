"""/metrics: Prometheus' text format, for those who may see it, about nobody in particular."""

from prometheus_client.parser import text_string_to_metric_families

from app import clock, queue
from tests.features import lives, signing
from tests.world import PERSON, SENDER, World

ACCEPTED, SENT, FAILED = "bellhop_messages_accepted", "bellhop_messages_sent", "bellhop_messages_failed"


def scrape(world: World) -> dict[str, dict[tuple[str, ...], float]]:
    """Sample values by sample name and label values, these in the order of their labels' names."""
    response = world.app.test_client().get("/metrics")
    assert response.status_code == 200
    assert response.content_type == "text/plain; version=0.0.4; charset=utf-8"
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(response.text):
        assert family.documentation
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(value for _, value in sorted(sample.labels.items()))] = sample.value
    return found


def test_every_promised_figure_is_there_before_anything_happens(world: World) -> None:
    text = world.app.test_client().get("/metrics").text
    world.redis.set(queue.HEARTBEAT_KEY, clock.now().timestamp() - 3)

    for name in (ACCEPTED, SENT, FAILED, "bellhop_attempts", "bellhop_delivery_reports"):
        assert f"# TYPE {name}_total counter" in text or f"# TYPE {name} counter" in text
    assert "# TYPE bellhop_lateness_seconds histogram" in text
    gauges = scrape(world)
    assert gauges["bellhop_queue_depth"][()] == 0
    assert gauges["bellhop_oldest_due_seconds"][()] == 0
    assert gauges["bellhop_due_messages"][()] == 0
    assert gauges["bellhop_unknown_messages"][()] == 0
    assert gauges["bellhop_provider_account_paused"][()] == 0
    assert gauges["bellhop_scheduler_heartbeat_age_seconds"][()] == 3
    assert gauges["bellhop_duplicate_acceptances_total"][()] == 0


def test_a_story_adds_up(world: World) -> None:
    lives.sent(world)
    lives.refused(world)
    lives.unknown(world)
    world.salon.delay(5)
    world.salon.send(to=f"whatsapp:{PERSON}", fromNumber=f"whatsapp:{SENDER}")
    world.clock.advance(seconds=7)

    seen = scrape(world)

    assert seen[f"{ACCEPTED}_total"] == {("sms",): 4, ("whatsapp",): 1}
    assert seen[f"{SENT}_total"] == {("sms", "twilio"): 1}
    assert seen[f"{FAILED}_total"] == {("21211", "rejected"): 1}
    assert seen["bellhop_attempts_total"] == {
        ("accepted", "twilio"): 1,
        ("permanent", "twilio"): 1,
        ("ambiguous", "twilio"): 1,
    }
    assert seen["bellhop_unknown_messages"][()] == 1
    assert seen["bellhop_due_messages"][()] == 1
    assert seen["bellhop_oldest_due_seconds"][()] == 7
    assert seen["bellhop_queue_depth"][()] == 1


def test_lateness_is_sent_minus_due(world: World) -> None:
    for seconds in (0, 2, 100):
        world.salon.send()
        world.clock.advance(seconds=seconds)
        world.work()

    seen = scrape(world)

    buckets = {bound: count for (bound,), count in seen["bellhop_lateness_seconds_bucket"].items()}
    assert (buckets["0.005"], buckets["2.5"], buckets["60"], buckets["300"], buckets["+Inf"]) == (1, 2, 2, 3, 3)
    assert seen["bellhop_lateness_seconds_sum"][()] == 102
    assert seen["bellhop_lateness_seconds_count"][()] == 3


def test_a_dry_run_and_a_refusal_count_for_nothing(world: World) -> None:
    world.salon.post("/api/trigger/send-sms", world.salon.text(), X_Dry_Run="true")
    world.salon.post("/api/trigger/send-sms", world.salon.text(to="x"))

    assert f"{ACCEPTED}_total" not in scrape(world)


def test_a_replayed_request_counts_once(world: World) -> None:
    for _ in range(3):
        world.salon.post("/api/trigger/send-sms", world.salon.text(), Idempotency_Key="k")

    assert scrape(world)[f"{ACCEPTED}_total"] == {("sms",): 1}


def test_no_label_names_a_workspace_or_a_person(make_world) -> None:
    world = make_world(twilio_auth_token=signing.TOKEN)
    for live in (lives.delivered, lives.undelivered, lives.refused, lives.exhausted, lives.unknown, lives.held):
        live(world)
    signing.post(world, signing.INBOUND, signing.text_from(PERSON, "STOP"))

    text = world.app.test_client().get("/metrics").text

    for secret in ("ws_", PERSON[1:], SENDER[1:], "+1", "whatsapp:", "Hello", world.salon.key):
        assert secret not in text


def test_without_redis_the_process_tells_what_it_knows(make_world) -> None:
    world = make_world(redis_url="redis://127.0.0.1:1/0")
    world.salon.send()

    seen = scrape(world)

    assert seen[f"{ACCEPTED}_total"] == {("sms",): 1}
    assert seen["bellhop_due_messages"][()] == 1
