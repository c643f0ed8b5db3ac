"""Commands for whoever runs the installation: ``flask --app app.wsgi COMMAND``."""

import secrets

import click
from argon2 import PasswordHasher
from flask import Flask
from flask.cli import AppGroup, with_appcontext
from sqlalchemy import select

from app import clock
from app.channels.phone import channel_of, check_address
from app.database import reading, writing
from app.extensions import settings
from app.ids import new_id
from app.workspaces import service
from app.workspaces.models import User

keys = AppGroup("keys", help="API keys.")
senders = AppGroup("senders", help="Numbers that a workspace may send from.")

DEFAULT_EMAIL = "owner@bellhop.local"


@keys.command("create")
@click.argument("workspace_id")
@click.option("--name", default="", help="What the key is for.")
@with_appcontext
def create_key(workspace_id: str, name: str) -> None:
    """Make a key for WORKSPACE_ID (created if it is new) and print it; it is shown only now."""
    click.echo(service.create_key(workspace_id, name))


@keys.command("revoke")
@click.argument("workspace_id")
@click.argument("prefix")
@with_appcontext
def revoke_key(workspace_id: str, prefix: str) -> None:
    """Revoke the keys of WORKSPACE_ID that begin with PREFIX (8 characters)."""
    click.echo(f"{service.revoke_key(workspace_id, prefix)} revoked")


@senders.command("add")
@click.argument("workspace_id")
@click.argument("address")
@with_appcontext
def add_sender(workspace_id: str, address: str) -> None:
    """Let WORKSPACE_ID send from ADDRESS (+E.164, or whatsapp:+E.164)."""
    problem = check_address(address, "e164")
    if problem:
        raise click.BadParameter(problem)
    with writing() as session:
        service.ensure_workspace(session, workspace_id)
        service.add_sender(session, workspace_id, channel_of(address), address)
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
        session.add(
            User(
                id=new_id(),
                email=email,
                password_hash=PasswordHasher().hash(password),
                is_operator=True,
                created_at=clock.now(),
            )
        )
    shown = "the password in ADMIN_PASSWORD" if config.admin_password else password
    click.echo(f"Login: {email} / {shown}")


def init_cli(app: Flask) -> None:
    """Add the commands to ``flask``."""
    for command in (keys, senders, bootstrap):
        app.cli.add_command(command)
