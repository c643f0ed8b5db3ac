"""The routes that take and give lists of people as CSV."""

import hashlib

from flask import Response
from pydantic import ConfigDict, Field
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.api import idempotency
from app.api.auth import Caller
from app.api.body import ApiModel, example, read_upload
from app.api.endpoint import dump, endpoint
from app.api.fields import WorkspaceQuery, plain
from app.api.idempotency import Outcome
from app.contacts import csv_format, examples, importing, schemas, segments
from app.contacts.models import Contact
from app.contacts.views import TAG, blueprint
from app.database import reading
from app.errors import Conflict, invalid_field

CSV = "text/csv"
MAX_BYTES = 5 * 1024 * 1024
MAX_EXPORT = 100_000
MAX_SKIPPED = 100
"""Lines that an answer names."""


class ImportQuery(WorkspaceQuery):
    """How a list is taken in."""

    on_duplicate: importing.OnDuplicate = Field(
        "error",
        description="What is done with somebody who is known by id, number or address: nothing at all is stored, the "
        "line is skipped, or the contact is given what the line says (blank cells change nothing).",
    )
    consent: schemas.ConsentKind | None = Field(
        None, description="Everybody who is stored or changed has given this consent; its source is `import`."
    )


class ExportQuery(WorkspaceQuery):
    """Whom to give out: everybody, or those with a tag."""

    tag: schemas.Tag | None = None


class Imported(ApiModel):
    """What became of a list's rows; ``skippedLines`` names the first hundred."""

    model_config = ConfigDict(json_schema_extra=example(examples.IMPORTED))

    total: int
    created: int
    updated: int
    skipped: int
    skipped_lines: list[int]


@endpoint(
    blueprint,
    "POST",
    "/import",
    query=ImportQuery,
    upload=CSV,
    answer=Imported,
    creates=True,
    summary="Take in a list of people",
    tag=TAG,
    errors=(409,),
)
def import_contacts(caller: Caller, payload: ImportQuery) -> Outcome:
    """A CSV file in UTF-8 with the names of its columns in the first line; at most 5 MB and 20,000 rows. All of it is
    stored or nothing: 422 names each line and field at fault (``lines.7.phone``).
    """
    workspace_id = caller.workspace(payload.workspace_id)
    raw = read_upload(CSV, MAX_BYTES)
    rows = importing.judge(raw)

    def work(session: Session) -> Outcome:
        done = importing.store(session, workspace_id, rows, payload.on_duplicate, payload.consent)
        answer = Imported(
            total=len(rows),
            created=done.created,
            updated=done.updated,
            skipped=len(done.skipped),
            skipped_lines=done.skipped[:MAX_SKIPPED],
        )
        return Outcome(dump(answer))

    def compared() -> dict[str, str]:
        return plain(payload) | {"file": hashlib.sha256(raw).hexdigest()}

    try:
        return idempotency.once(workspace_id, "import", idempotency.header_key(), compared, work)
    except IntegrityError:
        raise Conflict(
            "One of them was stored by somebody else at the same time: send the list again.", code="contact_exists"
        ) from None


@endpoint(
    blueprint,
    "GET",
    "/export",
    query=ExportQuery,
    answer=None,
    download=CSV,
    summary="The people of a workspace as a list",
    tag=TAG,
    errors=(404,),
)
def export_contacts(caller: Caller, payload: ExportQuery) -> Response:
    """CSV as the import takes it. A cell that a spreadsheet would take for a formula, and every phone number, begins
    with an apostrophe, which the import takes away. At most 100,000 people.
    """
    workspace_id = caller.existing_workspace(payload.workspace_id)
    query = segments.of_workspace(workspace_id).order_by(Contact.id).limit(MAX_EXPORT + 1)
    with reading() as session:
        if payload.tag is not None:
            query = query.where(segments.has_any_tag(session, [payload.tag]))
        contacts = list(session.scalars(query))
    if len(contacts) > MAX_EXPORT:
        raise invalid_field("tag", f"is needed: there are more than {MAX_EXPORT} contacts")
    # Without a byte order mark Excel takes UTF-8 for its own old encoding.
    response = Response(f"\ufeff{csv_format.write(contacts)}", content_type=f"{CSV}; charset=utf-8")
    response.headers["Content-Disposition"] = 'attachment; filename="contacts.csv"'
    response.headers["Cache-Control"] = "no-store"
    return response
