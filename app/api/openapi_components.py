"""What the operations of the OpenAPI document have in common: errors, headers, parameters and the way to sign in."""

import inspect
from collections.abc import Iterable
from typing import Any

from app import errors as kinds
from app.api import dry_run, idempotency
from app.api.errors import envelope

JSON = "application/json"
DESCRIPTION = """\
Texts to people at the right moment: now, in five minutes, on Tuesday at 16:00, every Monday.

Every answer is `{"success": true, "data": …}` or `{"success": false, "error": {"code", "message", "fields"}}`."""

ERRORS: dict[int, kinds.ApiError] = {
    error.status: error
    for error in (
        kinds.Malformed("The body must be a JSON object."),
        kinds.Unauthorized("This API key is not valid."),
        kinds.Forbidden("This key belongs to another workspace."),
        kinds.NotFound("There is no such job in this workspace."),
        kinds.Conflict("The message has already been sent.", code="already_sent"),
        kinds.TooLarge("The body is larger than 262144 bytes."),
        kinds.UnsupportedMediaType("Send JSON, with the header Content-Type: application/json."),
        kinds.invalid_field("scheduledTime", "is in the past"),
        kinds.TooManyRequests("Too many requests; try again later."),
        kinds.Unavailable("The database does not answer; try again in a moment."),
    )
}
_ERROR_SCHEMA = {
    "type": "object",
    "description": "What went wrong; `fields` says for each field at fault what to mend.",
    "required": ["success", "error"],
    "additionalProperties": False,
    "properties": {
        "success": {"const": False},
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "additionalProperties": False,
            "properties": {
                "code": {"type": "string", "description": "Stable, for programs."},
                "message": {"type": "string", "description": "A sentence, for people."},
                "fields": {
                    "type": "object",
                    "additionalProperties": {"type": "array", "items": {"type": "string"}},
                },
            },
        },
    },
}
_HEADERS = {
    "X-Request-Id": ("Names this request in our log; yours, if you sent one.", "string"),
    "RateLimit-Limit": ("Requests that the key has per minute.", "integer"),
    "RateLimit-Remaining": ("Requests left.", "integer"),
    "RateLimit-Reset": ("Seconds until the count starts anew.", "integer"),
    "Retry-After": ("Seconds to wait before trying again.", "string"),
    "WWW-Authenticate": ("How to authenticate.", "string"),
    "Idempotency-Replayed": ("`true` where this is the answer that the first equal request got.", "string"),
}
_PARAMETERS = {
    idempotency.HEADER: {
        "name": idempotency.HEADER,
        "in": "header",
        "description": "Makes repeating safe: for 24 hours the same key with the same body has one effect and gets the "
        "same answer; with another body it is a 422.",
        "schema": {"type": "string", "pattern": "^[!-~]([ -~]*[!-~])?$", "maxLength": 255},
        "example": "booking-42-confirmation",
    },
    dry_run.HEADER: {
        "name": dry_run.HEADER,
        "in": "header",
        "description": "`true`: give the answer that this request would get, with `dryRun` and without ids, and do "
        "nothing.",
        "schema": {"type": "boolean", "default": False},
    },
}


def components(schemas: dict[str, Any]) -> dict[str, Any]:
    """The document's section of this name."""
    return {
        "schemas": {**schemas, "Error": _ERROR_SCHEMA},
        "responses": {type(error).__name__: _error_response(error) for error in ERRORS.values()},
        "parameters": _PARAMETERS,
        "headers": {name: {"description": text, "schema": {"type": kind}} for name, (text, kind) in _HEADERS.items()},
        "securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer", "description": "A key of your workspace."},
        },
    }


def headers(names: Iterable[str]) -> dict[str, Any]:
    """References to headers."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _error_response(error: kinds.ApiError) -> dict[str, Any]:
    extra = {401: ["WWW-Authenticate"], 429: ["Retry-After"], 503: ["Retry-After"]}.get(error.status, [])
    return {
        "description": inspect.getdoc(type(error)),
        "headers": headers(["X-Request-Id", *extra]),
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}, "example": envelope(error)}},
    }
