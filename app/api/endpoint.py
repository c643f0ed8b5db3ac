"""Declaring a route once: the schemas that validate it are the ones that document it."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flask import Blueprint, Response, jsonify, request
from pydantic import BaseModel

from app.api import auth, dry_run, idempotency
from app.api.auth import Caller
from app.api.body import ApiModel, read_json, validate
from app.errors import ApiError, NotFound, Unavailable
from app.workspaces.service import Key

SMALL = 256 * 1024
"""Bytes; the largest single message is about 7 KB."""
LARGE = 16 * 1024 * 1024
"""Bytes; 1,000 messages of the longest kind, with every character written as an escape."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What the OpenAPI document says about one route."""

    method: str
    path: str
    name: str
    summary: str
    description: str
    tag: str
    status: int
    answer: type[BaseModel] | None
    body: type[ApiModel] | None = None
    query: type[ApiModel] | None = None
    optional_body: type[ApiModel] | None = None
    creates: bool = False
    errors: tuple[int, ...] = ()
    bare: bool = False
    """The success is the data alone, without the envelope: as the seeds print it."""
    upload: str | None = None
    """Content type of the file that it takes, as a body or in a form."""
    download: str | None = None
    """Content type of the file that it gives, where there is no ``answer``."""


@dataclass(frozen=True, slots=True)
class PlainRoute:
    """What the OpenAPI document says about a route without key and envelope: health, and what a provider posts."""

    method: str
    path: str
    name: str
    summary: str
    description: str
    tag: str
    answers: Mapping[int, str | None]
    """Status and content type; None where the answer has no body."""
    errors: tuple[int, ...] = ()
    header: str | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    """Optional parameters and what they mean."""
    form: Mapping[str, str] = field(default_factory=dict)
    """Required fields of the posted form and what they mean."""
    json: str | None = None
    """The JSON type of the posted document, where it is one."""


ENDPOINTS: list[Endpoint] = []
PLAIN_ROUTES: list[PlainRoute] = []
View = Callable[..., BaseModel | idempotency.Outcome | Response]
QuickView = Callable[[Key, Any], idempotency.Outcome | None]


@dataclass(frozen=True, slots=True)
class QuickRoute:
    """A route with a quick form, for callers whose key we have met."""

    view: QuickView
    body: type[ApiModel]
    limit: int
    status: int


QUICK: dict[str, QuickRoute] = {}
"""By path; all of them are POST."""
PlainView = TypeVar("PlainView", bound=Callable[..., Response])


def endpoint(
    blueprint: Blueprint,
    method: str,
    path: str,
    *,
    answer: type[BaseModel] | None,
    summary: str,
    tag: str,
    status: int = 200,
    body: type[ApiModel] | None = None,
    query: type[ApiModel] | None = None,
    optional_body: type[ApiModel] | None = None,
    creates: bool = False,
    quick: QuickView | None = None,
    limit: int = SMALL,
    errors: tuple[int, ...] = (),
    bare: bool = False,
    upload: str | None = None,
    download: str | None = None,
) -> Callable[[View], View]:
    """Register a view that takes ``(caller, payload, **path parameters)`` and returns its answer.

    ``payload`` is the validated body or query; what an optional body leaves out is read from the query. A route that
    ``creates`` returns an `idempotency.Outcome`. One with an ``upload`` reads it itself (`read_upload`); one with a
    ``download`` returns a response.

    ``quick`` is tried first, with a key that we have met before; it returns None where it cannot decide. It need not
    say what is wrong: whatever it raises on purpose (but for `Unavailable`), the usual way finds again, and says.
    """

    def decorate(view: View) -> View:
        ENDPOINTS.append(
            Endpoint(
                method,
                f"{blueprint.url_prefix or ''}{path}",
                view.__name__,
                summary,
                inspect.getdoc(view) or "",
                tag,
                status,
                answer,
                body,
                query,
                optional_body,
                creates,
                errors,
                bare,
                upload,
                download,
            )
        )

        quick_route: QuickRoute | None = None
        if quick is not None and body is not None:
            quick_route = QUICK[ENDPOINTS[-1].path] = QuickRoute(quick, body, limit, status)

        @functools.wraps(view)
        def handle(**parameters: Any) -> Response:
            if quick_route is not None and (done := _quickly(quick_route)) is not None:
                done.after_commit()
                return _respond(done, status)
            caller: Caller = auth.authenticate()
            if any("\0" in str(value) for value in parameters.values()):
                raise NotFound("There is nothing at this address.")
            payload: BaseModel | None = None
            if body is not None:
                payload = validate(body, read_json(limit))
            elif (from_query := query or optional_body) is not None:
                payload = validate(from_query, dict(request.args))
                if optional_body is not None and request.content_length:
                    given = read_json(limit)
                    payload = validate(
                        optional_body, {**dict(request.args), **given} if isinstance(given, dict) else given
                    )
            result = view(caller, payload, **parameters)
            if isinstance(result, Response):
                return result
            outcome = result if isinstance(result, idempotency.Outcome) else idempotency.Outcome(dump(result))
            if method != "GET" and dry_run.requested():
                given = _named_ids(payload, parameters) | outcome.existing_ids
                return _respond(idempotency.Outcome(dry_run.disclaim(outcome.data, given)), 200, bare)
            return _respond(outcome, status, bare)

        blueprint.add_url_rule(path, view.__name__, handle, methods=[method])
        return view

    return decorate


def _quickly(route: QuickRoute) -> idempotency.Outcome | None:
    if idempotency.HEADER in request.headers or dry_run.HEADER in request.headers:
        return None
    key = auth.guess()
    return quickly(route, key, lambda: read_json(route.limit)) if key is not None else None


def quickly(route: QuickRoute, key: Key, read: Callable[[], Any]) -> idempotency.Outcome | None:
    """The answer of a quick route to the body that ``read`` yields; None where the usual way has to decide.

    Raises:
        Unavailable: it may have taken effect or not.
    """
    try:
        return route.view(key, validate(route.body, read()))
    except Unavailable:
        raise  # it may have taken effect: nothing else may be tried
    except ApiError:
        return None


def _named_ids(payload: BaseModel | None, parameters: Mapping[str, Any]) -> frozenset[str]:
    """The ids that a request itself names: a dry run's answer keeps them."""
    fields = payload.__dict__ if payload is not None else {}
    named = [*parameters.values(), *(value for name, value in fields.items() if name.endswith("_id"))]
    return frozenset(value for value in named if isinstance(value, str))


def _respond(outcome: idempotency.Outcome, status: int, bare: bool = False) -> Response:
    response = jsonify(outcome.data if bare else {"success": True, "data": outcome.data})
    response.status_code = status
    if outcome.replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return response


def plain_route(blueprint: Blueprint, method: str, path: str, **facts: Any) -> Callable[[PlainView], PlainView]:
    """Register a view as Flask does, and document it; ``facts`` are fields of `PlainRoute`."""

    def decorate(view: PlainView) -> PlainView:
        address = f"{blueprint.url_prefix or ''}{path}"
        PLAIN_ROUTES.append(PlainRoute(method, address, view.__name__, description=inspect.getdoc(view) or "", **facts))
        blueprint.add_url_rule(path, view.__name__, view, methods=[method])
        return view

    return decorate


def dump(model: BaseModel) -> dict[str, Any]:
    """A model as the JSON values that leave the API."""
    return model.model_dump(mode="json", by_alias=True)
