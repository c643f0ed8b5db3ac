"""Choosing people: all of a workspace, those with a tag, those with an id."""

from collections.abc import Sequence

from sqlalchemy import Select, exists, func, select
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement

from app.contacts.models import Contact


def of_workspace(workspace_id: str) -> Select[Contact]:
    """Everybody whom a workspace knows."""
    return select(Contact).where(Contact.workspace_id == workspace_id, Contact.erased_at.is_(None))


def has_any_tag(session: Session, tags: Sequence[str]) -> ColumnElement[bool]:
    """The condition "has one of these tags", spelt exactly so."""
    if session.get_bind().dialect.name == "sqlite":
        each = func.json_each(Contact.tags).table_valued("value")
    else:
        each = func.jsonb_array_elements_text(Contact.tags).table_valued("value")
    return exists(select(each.c.value).where(each.c.value.in_(tags)).correlate(Contact))
