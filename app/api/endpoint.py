"""Declaring a route once: the schemas that validate it are the ones that document it."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, jsonify, request
from pydantic import BaseModel

from app.api import auth, idempotency
from app.api.auth import Caller
from app.api.body import read_json, validate

SMALL = 256 * 1024
"""Bytes; the largest single message is about 7 KB."""
LARGE = 8 * 1024 * 1024
"""Bytes; 1,000 messages of the longest kind."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What the OpenAPI document says about one route."""

    method: str
    path: str
    name: str
    summary: str
    tag: str
    status: int
    answer: type[BaseModel]
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    optional_body: type[BaseModel] | None = None
    creates: bool = False
    errors: tuple[int, ...] = ()


ENDPOINTS: list[Endpoint] = []
View = Callable[..., BaseModel | idempotency.Outcome]


def endpoint(
    blueprint: Blueprint,
    method: str,
    path: str,
    *,
    answer: type[BaseModel],
    summary: str,
    tag: str,
    status: int = 200,
    body: type[BaseModel] | None = None,
    query: type[BaseModel] | None = None,
    optional_body: type[BaseModel] | None = None,
    creates: bool = False,
    limit: int = SMALL,
    errors: tuple[int, ...] = (),
) -> Callable[[View], View]:
    """Register a view that takes ``(caller, payload, **path parameters)`` and returns its answer.

    ``payload`` is the validated body or query; an optional body that is not sent is read from the query. A route that
    ``creates`` returns an `idempotency.Outcome`.
    """

    def decorate(view: View) -> View:
        ENDPOINTS.append(
            Endpoint(
                method,
                f"{blueprint.url_prefix or ''}{path}",
                view.__name__,
                summary,
                tag,
                status,
                answer,
                body,
                query,
                optional_body,
                creates,
                errors,
            )
        )

        @functools.wraps(view)
        def handle(**parameters: Any) -> Response:
            caller: Caller = auth.authenticate()
            payload: BaseModel | None = None
            if body is not None:
                payload = validate(body, read_json(limit))
            elif optional_body is not None and request.content_length:
                payload = validate(optional_body, read_json(limit))
            elif (from_query := query or optional_body) is not None:
                payload = validate(from_query, dict(request.args))
            result = view(caller, payload, **parameters)
            outcome = result if isinstance(result, idempotency.Outcome) else idempotency.Outcome(dump(result))
            response = jsonify({"success": True, "data": outcome.data})
            response.status_code = status
            if outcome.replayed:
                response.headers["Idempotency-Replayed"] = "true"
            return response

        blueprint.add_url_rule(path, view.__name__, handle, methods=[method])
        return view

    return decorate


def dump(model: BaseModel) -> dict[str, Any]:
    """A model as the JSON values that leave the API."""
    return model.model_dump(mode="json", by_alias=True)
