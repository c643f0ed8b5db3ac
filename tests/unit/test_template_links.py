"""Links in messages: what they say, that nobody can make one, and that they carry nothing private."""

from typing import Any

import pytest

from app.ids import new_id
from app.message_templates.context import LINK_LONGEST
from app.message_templates.links import Link, Purpose, make_link, read_link
from tests.world import World

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
BASE = "http://127.0.0.1:3000/r/"


@pytest.mark.parametrize("purpose", Purpose)
@pytest.mark.parametrize("channel", [None, "sms", "whatsapp", "email"])
def test_a_link_says_what_it_is_for_and_whom_it_concerns(world: World, purpose: Purpose, channel: str | None) -> None:
    subject = new_id()
    link = make_link(purpose, subject, channel)

    assert link.startswith(BASE)
    assert len(link) < LINK_LONGEST - 100, "room for a long name of the site"
    assert read_link(link.removeprefix(BASE)) == Link(purpose, subject, channel)


def test_a_link_that_was_changed_in_any_character_is_none(world: World) -> None:
    token = make_link(Purpose.CANCEL, new_id()).removeprefix(BASE)
    for index, character in enumerate(token):
        other = "A" if character != "A" else "B"
        changed = token[:index] + other + token[index + 1 :]
        # The last character of base64 has bits that say nothing; then the token is the same one, spelt otherwise.
        assert read_link(changed) in (None, read_link(token) if index in (23, len(token) - 1) else None)


@pytest.mark.parametrize("token", ["", ".", "a", "a.b", "\u00e4.b", "x" * 100_000, "." * 1000, "AAAA.AAAA", "\0.\0"])
def test_what_is_no_token_is_none(world: World, token: str) -> None:
    assert read_link(token) is None


def test_another_key_s_links_are_none(make_world: Any) -> None:
    make_world(secret_key="one")
    token = make_link(Purpose.CANCEL, new_id())
    make_world(secret_key="two")

    assert read_link(token.removeprefix(BASE)) is None
