"""The commands for whoever runs the installation."""

from argon2 import PasswordHasher
from click.testing import Result
from sqlalchemy import select

from app.cli import init_cli
from app.database import reading
from app.workspaces.models import Membership, Sender, User, Workspace
from tests.world import World


def run(world: World, *arguments: str) -> Result:
    init_cli(world.app)
    return world.app.test_cli_runner().invoke(args=list(arguments))


def test_a_workspace_gets_its_zone_and_defaults(world: World) -> None:
    options = ("--timezone", "Australia/Sydney", "--default-sender", "+19876543210", "--on-unknown", "hold")

    assert run(world, "workspaces", "set", "ws_salon", *options).exit_code == 0

    with reading() as session:
        workspace = session.get_one(Workspace, "ws_salon")
    assert (workspace.timezone, workspace.default_sender, workspace.on_unknown) == (
        "Australia/Sydney",
        "+19876543210",
        "hold",
    )
    job_id = world.salon.delay(5)
    assert world.salon.status(job_id)["scheduledTime"].endswith("+10:00")


def test_wrong_values_are_refused_and_change_nothing(world: World) -> None:
    for arguments in (
        ("workspaces", "set", "ws_salon", "--timezone", "Mars/Olympus"),
        ("workspaces", "set", "ws_salon", "--default-sender", "12345"),
        ("workspaces", "set", "ws_salon", "--on-unknown", "pray"),
        ("workspaces", "set", "bad id"),
        ("keys", "create", "bad:id"),
        ("senders", "add", "bad id", "+19876543210"),
        ("senders", "add", "ws_salon", "12345"),
        ("senders", "add", "ws_salon", "hello@"),
        ("senders", "add", "ws_salon", "a@b@c"),
    ):
        assert run(world, *arguments).exit_code == 2, arguments

    with reading() as session:
        assert session.get_one(Workspace, "ws_salon").timezone == "UTC"
        assert set(session.scalars(select(Workspace.id))) == {"ws_salon", "ws_outsider"}


def test_a_sender_s_rate_is_set_and_changed_and_else_left_alone(world: World) -> None:
    for arguments, rate in ((("--rate", "3"), 3), ((), 3), (("--rate", "0"), 0)):
        assert run(world, "senders", "add", "ws_salon", "+19876543299", *arguments).exit_code == 0
        with reading() as session:
            assert session.scalars(select(Sender.rate).where(Sender.address == "+19876543299")).all() == [rate]
    assert run(world, "senders", "add", "ws_salon", "+19876543299", "--rate", "-1").exit_code == 2


def test_a_login_is_made_once_and_its_password_shown(world: World) -> None:
    result = run(world, "users", "add", "Ann@Example.com", "--workspace", "ws_salon")

    email, _, password = result.output.removeprefix("Login: ").strip().partition(" / ")
    with reading() as session:
        user = session.scalars(select(User)).one()
        memberships = [(one.user_id, one.workspace_id) for one in session.scalars(select(Membership))]
    assert (email, user.email, user.is_operator) == ("ann@example.com", "ann@example.com", False)
    assert PasswordHasher().verify(user.password_hash, password)
    assert memberships == [(user.id, "ws_salon")]
    assert run(world, "users", "add", "ann@example.com").exit_code == 2


def test_an_email_address_may_be_a_sender(world: World) -> None:
    assert run(world, "senders", "add", "ws_salon", "hello@salon.example").exit_code == 0
    with reading() as session:
        query = select(Sender.channel).where(Sender.address == "hello@salon.example")
        assert session.scalars(query).all() == ["email"]
