"""What all pages have in common: only the user's own workspaces, and only the addresses that are named here."""

from collections.abc import Iterable
from typing import Any

from flask import g, request
from flask_admin import BaseView
from flask_admin.contrib.sqla import ModelView
from flask_admin.form import BaseForm
from flask_admin.model.base import ViewArgs
from flask_login import current_user
from sqlalchemy import select

from app.database import db
from app.workspaces.models import Workspace

MAX_PAGE = 2_000
"""The database has to walk over everything before a page; what lies further back is found by searching."""
MAX_SEARCH = 128


def zones_of(workspace_ids: Iterable[str]) -> dict[str, str]:
    """The time zone of each workspace, read once per request."""
    known: dict[str, str] = g.setdefault("panel_zones", {})
    missing = set(workspace_ids) - known.keys()
    if missing:
        query = select(Workspace.id, Workspace.timezone).where(Workspace.id.in_(sorted(missing)))
        known.update((row.id, row.timezone) for row in db.session.execute(query))
    return known


class Page(BaseView):
    """A page of our own. The guard asks for the login; this is the second lock on the same door."""

    def is_accessible(self) -> bool:
        """Only for those who are logged in."""
        return bool(current_user.is_authenticated)

    def _run_view(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        """Call the view. Flask-Admin would call it again, differently, after a TypeError, and hide where that was."""
        return fn(self, *args, **kwargs)


class Rows(Page, ModelView):
    """Rows of a table, for reading.

    Flask-Admin gives each table eleven addresses (new, edit, delete, export, …). ``doors`` names the methods that
    are reachable; the others have no address at all.
    """

    can_create = can_edit = can_delete = can_export = False
    column_display_actions = False
    simple_list_pager = True  # no COUNT(*)
    can_set_page_size = False
    page_size = 25
    _urls: list[Any]
    doors = frozenset({"index_view"})
    keeps = frozenset[str]()
    """Names in the query string that paging keeps."""

    def __init__(self, model: type[Any], **options: Any) -> None:
        super().__init__(model, db, **options)

    def create_blueprint(self, admin: Any) -> Any:
        """Leave out every address that is not a door."""
        self._urls = [door for door in self._urls if door[1] in self.doors]
        return super().create_blueprint(admin)

    def scaffold_form(self) -> Any:
        """No forms: rows are changed through the services only."""
        return BaseForm

    def get_query(self) -> Any:
        """The rows that the user may see; everything else here builds on it."""
        return super().get_query().filter(current_user.sees(self.model.workspace_id))

    def get_count_query(self) -> Any:
        """The same for counting, which Flask-Admin keeps apart: a total would tell of other people's rows."""
        return super().get_count_query().filter(current_user.sees(self.model.workspace_id))

    def get_one(self, id: Any) -> Any:  # noqa: A002
        """One row, if the user may see it."""
        return self.get_query().filter(self.model.id == str(id)[:32]).one_or_none()

    def choose(self, query: Any, search: str) -> Any:
        """Narrow the query down to what was asked for, and put it in order."""
        raise NotImplementedError

    def get_list(
        self,
        page: int,
        sort_column: Any,
        sort_desc: Any,
        search: str | None,
        filters: Any,
        execute: bool = True,
        page_size: int | None = None,
    ) -> tuple[None, list[Any]]:
        """One page, and whether another one follows: one row more than is shown tells."""
        size = page_size or self.page_size
        query = self.choose(self.get_query(), (search or "").strip()[:MAX_SEARCH])
        rows = query.limit(size + 1).offset(page * size).all()
        self._template_args["zones"] = zones_of(row.workspace_id for row in rows)
        self._template_args["has_more"] = len(rows) > size and page < MAX_PAGE
        return None, rows[:size]

    def _get_list_extra_args(self) -> ViewArgs:
        """Read the query string; whatever is not expected there is dropped, since links are built from it."""
        return ViewArgs(
            page=min(max(request.args.get("page", 0, type=int), 0), MAX_PAGE),
            search=request.args.get("search"),
            filters=None,
            extra_args={name: value for name, value in request.args.items() if name in self.keeps},
        )
