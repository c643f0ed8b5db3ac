"""Commands for whoever runs the installation: ``flask --app app.wsgi COMMAND``."""

import secrets
from typing import Any
from zoneinfo import available_timezones

import click
from argon2 import PasswordHasher
from flask import Flask
from flask.cli import AppGroup, with_appcontext
from pydantic import ValidationError
from sqlalchemy import select

from app import clock
from app.channels.email_content import mailbox
from app.channels.phone import channel_of, check_address
from app.database import reading, writing
from app.extensions import settings
from app.ids import WORKSPACE_ID, new_id
from app.workspaces import audit, booking_form, service
from app.workspaces.models import Membership, User, Workspace

keys = AppGroup("keys", help="API keys.")
senders = AppGroup("senders", help="Numbers that a workspace may send from.")
forms = AppGroup("forms", help="Public booking forms.")
users = AppGroup("users", help="Logins for the panel.")
workspaces = AppGroup("workspaces", help="Tenants and their defaults.")

DEFAULT_EMAIL = "owner@bellhop.local"


@keys.command("create")
@click.argument("workspace_id")
@click.option("--name", default="", help="What the key is for.")
@with_appcontext
def create_key(workspace_id: str, name: str) -> None:
    """Make a key for WORKSPACE_ID (created if it is new) and print it; it is shown only now."""
    click.echo(service.create_key(_workspace_id(workspace_id), name))


@keys.command("revoke")
@click.argument("workspace_id")
@click.argument("prefix")
@with_appcontext
def revoke_key(workspace_id: str, prefix: str) -> None:
    """Revoke the keys of WORKSPACE_ID that begin with PREFIX (8 characters)."""
    revoked = service.revoke_key(workspace_id, prefix)
    if not revoked:
        raise click.ClickException(f"{workspace_id} has no key that begins with {prefix}")
    click.echo(f"{revoked} revoked")


@workspaces.command("set")
@click.argument("workspace_id")
@click.option("--name", help="What it is called in the panel.")
@click.option("--timezone", help="IANA name, such as Europe/Berlin; times are shown in it.")
@click.option("--default-sender", help="Used where a request names no fromNumber.")
@click.option("--on-unknown", type=click.Choice(["resend", "hold"]), help="What becomes of a message that may be lost.")
@with_appcontext
def set_workspace(workspace_id: str, **values: str | None) -> None:
    """Create WORKSPACE_ID if it is new, and change what is given."""
    chosen = {key: value for key, value in values.items() if value is not None}
    if "timezone" in chosen and chosen["timezone"] not in available_timezones():
        raise click.BadParameter(f"{chosen['timezone']} is not a time zone")
    _check_address(chosen.get("default_sender"))
    with writing() as session:
        service.ensure_workspace(session, _workspace_id(workspace_id))
        workspace = session.get_one(Workspace, workspace_id)
        before = {key: getattr(workspace, key) for key in chosen}
        for key, value in chosen.items():
            setattr(workspace, key, value)
        audit.record(session, workspace_id, audit.SYSTEM, "settings.changed", workspace_id, before, chosen)
    click.echo(f"{workspace_id}: {', '.join(f'{key}={value}' for key, value in chosen.items()) or 'exists'}")


@forms.command("on")
@click.argument("workspace_id")
@click.option("--country", "countries", multiple=True, help="Whose mobile numbers are taken, such as DE; repeatable.")
@click.option("--service", "services", multiple=True, help="What can be booked; repeatable.")
@click.option("--staff", multiple=True, help="With whom; repeatable.")
@click.option("--origin", "origins", multiple=True, help="Another site that may post to it; repeatable.")
@click.option("--open-from", help="The first time of day, such as 09:00.")
@click.option("--open-until", help="The last time of day, such as 17:00.")
@click.option("--consent-text", help="What a person has to agree to.")
@with_appcontext
def switch_form_on(workspace_id: str, **values: Any) -> None:
    """Show WORKSPACE_ID's booking form at /book/WORKSPACE_ID, changed as given."""
    _workspace_id(workspace_id)
    with writing() as session:
        service.ensure_workspace(session, workspace_id)
        present = booking_form.booking_form(session.get_one(Workspace, workspace_id)).model_dump(by_alias=False)
        chosen = {name: value for name, value in values.items() if value}
        try:
            form = booking_form.BookingForm(**present | chosen | {"enabled": True})
        except ValidationError as error:
            raise click.BadParameter("; ".join(f"{item['loc']}: {item['msg']}" for item in error.errors())) from None
        booking_form.store(session, workspace_id, form)
    click.echo(f"{settings().base_url}/book/{workspace_id}")


@forms.command("off")
@click.argument("workspace_id")
@with_appcontext
def switch_form_off(workspace_id: str) -> None:
    """Show WORKSPACE_ID's booking form no longer; what it was set to is kept."""
    with writing() as session:
        workspace = session.get(Workspace, _workspace_id(workspace_id))
        if workspace is None:
            raise click.BadParameter(f"there is no workspace {workspace_id}")
        form = booking_form.booking_form(workspace).model_copy(update={"enabled": False})
        booking_form.store(session, workspace_id, form)
    click.echo(f"{workspace_id} has no booking form")


@users.command("add")
@click.argument("email")
@click.option("--workspace", "workspace_ids", multiple=True, help="A workspace that they own; may be repeated.")
@click.option("--operator", is_flag=True, help="Sees every workspace, the queues and rq-dashboard.")
@with_appcontext
def add_user(email: str, workspace_ids: tuple[str, ...], operator: bool) -> None:
    """Make a login for the panel and print its password; it is shown only now."""
    password = secrets.token_urlsafe(12)
    with writing() as session:
        user = _user(email, password, operator=operator)
        if session.scalar(select(User.id).where(User.email == user.email)) is not None:
            raise click.BadParameter(f"{user.email} has a login already")
        session.add(user)
        session.flush()
        for workspace_id in workspace_ids:
            service.ensure_workspace(session, _workspace_id(workspace_id))
            session.add(Membership(user_id=user.id, workspace_id=workspace_id, role="owner"))
    click.echo(f"Login: {user.email} / {password}")


@senders.command("add")
@click.argument("workspace_id")
@click.argument("address")
@click.option(
    "--rate",
    type=click.IntRange(0, 10_000),
    help="Segments a second, where not SENDER_RATE and the like; 0 is no pacing.",
)
@with_appcontext
def add_sender(workspace_id: str, address: str, rate: int | None) -> None:
    """Let WORKSPACE_ID send from ADDRESS (+E.164, whatsapp:+E.164 or an email address); again, to change its rate."""
    _check_address(address)
    with writing() as session:
        service.ensure_workspace(session, _workspace_id(workspace_id))
        service.add_sender(session, workspace_id, channel_of(address), address, rate)
    click.echo(f"{workspace_id} may send from {address}")


@click.command("bootstrap")
@with_appcontext
def bootstrap() -> None:
    """Create what the settings name and the database lacks: API_KEY_BOOTSTRAP's key, and the first login.

    Prints the login where its password was generated, once.
    """
    config = settings()
    if config.api_key_bootstrap:
        workspace_id, _, key = config.api_key_bootstrap.get_secret_value().partition(":")
        service.store_key(workspace_id, key, "bootstrap")
    with reading() as session:
        if session.scalar(select(User.id).limit(1)) is not None:
            return
    email = (config.admin_email or DEFAULT_EMAIL).strip().lower()
    password = config.admin_password.get_secret_value() if config.admin_password else secrets.token_urlsafe(12)
    with writing() as session:
        session.add(_user(email, password, operator=True))
    shown = "the password in ADMIN_PASSWORD" if config.admin_password else password
    click.echo(f"Login: {email} / {shown}")


def _user(email: str, password: str, *, operator: bool) -> User:
    return User(
        id=new_id(),
        email=email.strip().lower(),
        password_hash=PasswordHasher().hash(password),
        is_operator=operator,
        created_at=clock.now(),
    )


def _workspace_id(text: str) -> str:
    if not WORKSPACE_ID.fullmatch(text):
        raise click.BadParameter("a workspace id has 1 to 64 letters, digits and _ . @ -")
    return text


def _check_address(address: str | None) -> None:
    if address is None:
        return
    problem = check_address(address, "e164")
    if channel_of(address) == "email":
        try:
            mailbox(address)
            problem = None
        except ValueError as error:
            problem = str(error)
    if problem:
        raise click.BadParameter(problem)


def init_cli(app: Flask) -> None:
    """Add the commands to ``flask``."""
    for command in (keys, senders, forms, users, workspaces, bootstrap):
        app.cli.add_command(command)
