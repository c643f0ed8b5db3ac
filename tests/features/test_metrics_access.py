"""Who may see /metrics: this machine, and elsewhere whoever has METRICS_TOKEN."""

import pytest

from tests.answers import error_of

PUBLIC = {"public_base_url": "https://sms.example.com"}


@pytest.mark.parametrize(
    "settings, address, header, status",
    [
        ({}, "127.0.0.1", None, 200),
        ({}, "::1", None, 200),
        ({}, "10.0.0.1", None, 401),
        (PUBLIC, "127.0.0.1", None, 401),
        (PUBLIC, "127.0.0.1", "Bearer ", 401),
        (PUBLIC | {"metrics_token": "m" * 32}, "127.0.0.1", None, 401),
        (PUBLIC | {"metrics_token": "m" * 32}, "10.0.0.1", "Bearer wrong", 401),
        (PUBLIC | {"metrics_token": "m" * 32}, "10.0.0.1", "Bearer \xff", 401),
        (PUBLIC | {"metrics_token": "m" * 32}, "10.0.0.1", "Bearer " + "m" * 32, 200),
        ({"metrics_token": "m" * 32}, "10.0.0.1", "Bearer " + "m" * 32, 200),
        ({"host": "0.0.0.0", "secret_key": "x"}, "127.0.0.1", None, 401),
    ],
)
def test_from_elsewhere_a_token_is_needed(
    make_world, settings: dict[str, str], address: str, header: str | None, status: int
) -> None:
    world = make_world(**settings)
    headers = {"Authorization": header} if header else {}

    response = world.app.test_client().get("/metrics", headers=headers, environ_base={"REMOTE_ADDR": address})

    assert response.status_code == status
    assert status == 200 or error_of(response, 401, "unauthorized")


def test_an_api_key_does_not_open_it(make_world) -> None:
    world = make_world(**PUBLIC)
    error_of(world.salon.get("/metrics"), 401)
