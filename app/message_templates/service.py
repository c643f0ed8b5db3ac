"""Which text a message is written from, and the workspaces' own texts."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from app import clock
from app.channels.segments import BODY_LIMITS, utf16_length
from app.database import insert_ignore
from app.errors import Invalid, NotFound
from app.message_templates import context
from app.message_templates.context import Facts
from app.message_templates.defaults import DEFAULTS, FALLBACK, Text
from app.message_templates.models import MessageTemplate
from app.message_templates.render import Field, TemplateError, fields_of, longest, render

SUBJECT_LIMIT = 250
"""Characters; RFC 5322 allows 998 in a line, and mail programs show some 70."""


@dataclass(frozen=True, slots=True)
class Composed:
    """A finished message. ``missing``: the fields that had no value and were left blank."""

    body: str
    subject: str | None
    content_variables: dict[str, str] | None
    missing: tuple[str, ...]

    def too_long(self, channel: str) -> bool:
        """Whether the channel does not take it. A text that was checked when it was saved cannot come to this."""
        return utf16_length(self.body) > BODY_LIMITS[channel]


def compose(text: Text, facts: Facts) -> Composed:
    """Put facts into a template.

    Raises:
        TemplateError: it is none, or names a field that there is not.
    """

    def value(field: Field) -> str | None:
        return context.value_of(facts, field)

    body = render(text.body, value)
    subject = render(text.subject, value) if text.subject is not None else None
    variables = {number: render(str(one), value) for number, one in text.content_variables.items()}
    parts = [body, *([subject] if subject else []), *variables.values()]
    return Composed(
        body=body.text,
        subject=subject.text[:SUBJECT_LIMIT] if subject else None,
        content_variables={number: one.text for number, one in variables.items()} or None,
        missing=tuple(dict.fromkeys(name for part in parts for name in part.missing)),
    )


def canonical_kind(kind: str) -> str:
    """Seed 000's ``24hr`` is ``24h``."""
    return re.sub(r"^(\d+)hrs?$", r"\1h", kind)


def check(channel: str, body: str, subject: str | None = None, variables: Mapping[str, str] | None = None) -> None:
    """Whether texts are templates, and fit the channel even with the longest values.

    Raises:
        Invalid: naming the field, the place in it and, of a merge field that there is not, the nearest name.
    """
    # Of a subject only the words count: a long value costs nothing there, and is cut off.
    texts: list[tuple[str, str, int, Callable[[Field], int]]] = [
        ("body", body, BODY_LIMITS[channel], context.longest_value)
    ]
    if subject is not None:
        texts.append(("subject", subject, SUBJECT_LIMIT, lambda _: 0))
    for number, one in (variables or {}).items():
        texts.append((f"contentVariables.{number}", one, BODY_LIMITS[channel], context.longest_value))
    problems = {
        name: [problem] for name, text, limit, limit_of in texts if (problem := _problem(text, limit, limit_of))
    }
    if problems:
        raise Invalid("; ".join(f"{name}: {found[0]}" for name, found in problems.items()), fields=problems)


def _problem(text: str, limit: int, limit_of: Callable[[Field], int]) -> str | None:
    try:
        for field in fields_of(text):
            context.check_field(field)
        most = longest(text, limit_of)
    except TemplateError as error:
        return str(error)
    return f"may come to {most:,} characters with the longest values; {limit:,} are allowed" if most > limit else None


class Book:
    """The texts that some workspaces have written themselves, to choose from.

    Of a kind and channel the workspace's own for the appointment's type of event wins, then its own for all, then the
    default text. A kind without a default text is looked for likewise, and then takes the texts of ``reminder``.
    """

    def __init__(self, templates: Iterable[MessageTemplate]) -> None:
        self._by_key: dict[tuple[str, str, str, str], Text] = {}
        self._by_id: dict[tuple[str, str], Text] = {}
        for one in templates:
            text = as_text(one)
            self._by_key[one.workspace_id, one.kind, one.channel, one.event_type] = text
            self._by_id[one.workspace_id, one.id] = text

    def choose(self, workspace_id: str, kind: str, channel: str, event_type: str | None = None) -> Text:
        """The text of a kind and channel."""
        for wanted in (kind,) if (kind, channel) in DEFAULTS else (kind, FALLBACK):
            for event in (event_type, "") if event_type else ("",):
                own = self._by_key.get((workspace_id, wanted, channel, event))
                if own is not None:
                    return own
        return DEFAULTS.get((kind, channel)) or DEFAULTS[FALLBACK, channel]

    def certain(self, workspace_id: str, template_id: str) -> Text | None:
        """One of the workspace's, by its id."""
        return self._by_id.get((workspace_id, template_id))


def book(session: Session, workspace_ids: Sequence[str], kinds: Sequence[str], ids: Sequence[str] = ()) -> Book:
    """The own texts of workspaces, as far as these kinds or ids may need them: one query."""
    wanted = or_(MessageTemplate.kind.in_({*kinds, FALLBACK}), MessageTemplate.id.in_(ids))
    own = select(MessageTemplate).where(MessageTemplate.workspace_id.in_(set(workspace_ids)), wanted)
    return Book(session.scalars(own))


def as_text(template: MessageTemplate) -> Text:
    """A stored template's text."""
    return Text(
        body=template.body,
        subject=template.subject,
        content_sid=template.content_sid,
        content_variables=template.content_variables,
        missing_field=template.missing_field,
        id=template.id,
    )


def own_templates(session: Session, workspace_id: str) -> list[MessageTemplate]:
    """All that a workspace has written itself, but for the texts of single batches."""
    query = (
        select(MessageTemplate)
        .where(MessageTemplate.workspace_id == workspace_id, ~MessageTemplate.kind.startswith("batch-"))
        .order_by(MessageTemplate.kind, MessageTemplate.channel, MessageTemplate.event_type)
    )
    return list(session.scalars(query))


def find(session: Session, workspace_id: str, kind: str, channel: str, event_type: str) -> MessageTemplate | None:
    """A workspace's own text of exactly this kind, channel and type of event."""
    return session.scalar(select(MessageTemplate).where(*_is(workspace_id, kind, channel, event_type)))


def save(
    session: Session, workspace_id: str, kind: str, channel: str, event_type: str, values: Mapping[str, Any]
) -> MessageTemplate:
    """Create or replace a workspace's text; ``values`` are the other columns, already checked."""
    now = clock.now()
    key = {"workspace_id": workspace_id, "kind": kind, "channel": channel, "event_type": event_type}
    row = {**key, **values, "created_at": now, "updated_at": now}
    if not insert_ignore(session, MessageTemplate, [row], returning=MessageTemplate.id):
        same = _is(workspace_id, kind, channel, event_type)
        session.execute(update(MessageTemplate).where(*same).values(**values, updated_at=now))
    saved = find(session, workspace_id, kind, channel, event_type)
    if saved is None:
        raise NotFound("Somebody deleted this template at the same moment.")
    return saved


def remove(session: Session, workspace_id: str, kind: str, channel: str, event_type: str) -> None:
    """Delete a workspace's own text, so that the default one is used again.

    Raises:
        NotFound: it has none.
    """
    same = _is(workspace_id, kind, channel, event_type)
    if session.scalar(delete(MessageTemplate).where(*same).returning(MessageTemplate.id)) is None:
        raise NotFound("This workspace has no template of its own of this kind and channel.")


def _is(workspace_id: str, kind: str, channel: str, event_type: str) -> tuple[Any, ...]:
    return (
        MessageTemplate.workspace_id == workspace_id,
        MessageTemplate.kind == kind,
        MessageTemplate.channel == channel,
        MessageTemplate.event_type == event_type,
    )
