"""The OpenAPI 3.1 document, made from the declarations and schemas that run the routes: it cannot say anything else."""

import re
from collections.abc import Iterable, Sequence
from functools import partial
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue, models_json_schema

from app.api import dry_run, idempotency
from app.api.body import FORM
from app.api.endpoint import ENDPOINTS, PLAIN_ROUTES, Endpoint, PlainRoute
from app.api.openapi_components import DESCRIPTION, ERRORS, JSON, components, headers

_HEADERS = ("X-Request-Id", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
_PART = re.compile(r"<(?:(?P<kind>\w+)(?:\((?P<arguments>[^)]*)\))?:)?(?P<name>\w+)>")
_KINDS: dict[str | None, dict[str, Any]] = {"int": {"type": "integer", "minimum": 0}, None: {"type": "string"}}
R = TypeVar("R", Endpoint, PlainRoute)


class _Schemas(GenerateJsonSchema):
    """Without the titles that pydantic makes of field names, and in the order in which things were written."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def sort(self, value: JsonSchemaValue, parent_key: str | None = None) -> JsonSchemaValue:
        return value


def build(base_url: str, auth_required: bool, rules: Sequence[str]) -> dict[str, Any]:
    """The document for the routes among ``rules`` (Flask's way to write them), in that order."""
    endpoints = _registered(ENDPOINTS, rules)
    plain = _registered(PLAIN_ROUTES, rules)
    references, schemas = _schemas(endpoints)
    paths: dict[str, dict[str, Any]] = {}
    for one in endpoints:
        paths.setdefault(openapi_path(one.path), {})[one.method.lower()] = _operation(one, references, schemas)
    for other in plain:
        paths.setdefault(openapi_path(other.path), {})[other.method.lower()] = _plain_operation(other)
    tags = [one.tag for one in endpoints] + [other.tag for other in plain]
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Bellhop", "version": version("bellhop"), "description": DESCRIPTION},
        "servers": [{"url": base_url}],
        "security": [{"bearer": []}] if auth_required else [{}, {"bearer": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(tags)],
        "paths": paths,
        "components": components(schemas),
    }
    marked: dict[str, Any] = _markdown(document)
    return marked


def openapi_path(rule: str) -> str:
    """A Flask rule as OpenAPI writes it: ``/x/<int:some_id>`` is ``/x/{someId}``."""
    return _PART.sub(lambda part: f"{{{to_camel(part['name'])}}}", rule)


def _registered(routes: Iterable[R], rules: Sequence[str]) -> list[R]:
    return sorted((route for route in routes if route.path in rules), key=lambda route: rules.index(route.path))


def _schemas(endpoints: Iterable[Endpoint]) -> tuple[dict[Any, JsonSchemaValue], dict[str, Any]]:
    """A reference for each model that is read or written, and the schemas that they refer to."""
    models: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {}
    for one in endpoints:
        for body in filter(None, (one.body, one.optional_body, one.query)):
            models[body, "validation"] = None
        if one.answer is not None:
            models[one.answer, "serialization"] = None
    references, definitions = models_json_schema(
        list(models), ref_template="#/components/schemas/{model}", schema_generator=_Schemas
    )
    return dict(references), definitions["$defs"]


def _operation(one: Endpoint, references: dict[Any, JsonSchemaValue], schemas: dict[str, Any]) -> dict[str, Any]:
    operation = _common(one)
    parameters = _path_parameters(one.path)
    if query := one.query or one.optional_body:
        parameters += _query_parameters(_resolve(references[query, "validation"], schemas))
    writes = one.method != "GET"
    shared = ([idempotency.HEADER] if one.creates else []) + ([dry_run.HEADER] if writes else [])
    operation["parameters"] = parameters + [{"$ref": f"#/components/parameters/{name}"} for name in shared]
    statuses = {401, 429, 503, *one.errors, *([403] if one.creates else []), *([422] if writes or query else [])}
    if body := one.body or one.optional_body:
        statuses |= {400, 413, 415}
        reference = references[body, "validation"]
        content = {JSON: {"schema": reference, **_example(reference, schemas)}}
        operation["requestBody"] = {"required": one.body is not None, "content": content}
    elif one.upload:
        statuses |= {400, 413, 415}
        operation["requestBody"] = {"required": True, "content": _file(one.upload)}
    if one.answer is None:
        operation["responses"] = {str(one.status): _download(one.download or "")} | _error_references(statuses)
        return operation
    reference = references[one.answer, "serialization"]
    success = partial(_success, bare=one.bare)
    answer = {str(one.status): success("Done.", reference, _example(reference, schemas), replayed=one.creates)}
    if writes:
        tried = _tried_out(reference, schemas)
        if one.status == 200:
            answer["200"] = success("Done.", {"anyOf": [reference, tried]}, _example(reference, schemas))
        else:
            answer["200"] = success("The answer to a dry run: nothing was done.", tried, {})
    operation["responses"] = answer | _error_references(statuses)
    return operation


def _plain_operation(route: PlainRoute) -> dict[str, Any]:
    operation = _common(route) | {"security": []}
    operation["parameters"] = [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        for name, text in route.query.items()
    ]
    if route.header:
        operation["parameters"].append(
            {"name": route.header, "in": "header", "required": True, "schema": {"type": "string"}}
        )
    if route.form:
        fields = {name: {"type": "string", "description": text} for name, text in route.form.items()}
        schema = {"type": "object", "required": list(fields), "properties": fields}
        operation["requestBody"] = {"required": True, "content": {FORM: {"schema": schema}}}
    if route.json:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": {"type": route.json}}}}
    operation["responses"] = {
        str(status): {"description": HTTPStatus(status).phrase, **({"content": {kind: {}}} if kind else {})}
        for status, kind in route.answers.items()
    } | _error_references(route.errors)
    return operation


def _common(route: Endpoint | PlainRoute) -> dict[str, Any]:
    return {
        "operationId": to_camel(route.name),
        "tags": [route.tag],
        "summary": route.summary,
        "description": route.description,
    }


def _path_parameters(rule: str) -> list[dict[str, Any]]:
    parameters = []
    for part in _PART.finditer(rule):
        schema = _KINDS.get(part["kind"], {"type": "string"})
        if part["kind"] == "any":
            schema = {"type": "string", "enum": [word.strip() for word in part["arguments"].split(",")]}
        parameters.append({"name": to_camel(part["name"]), "in": "path", "required": True, "schema": schema})
    return parameters


def _query_parameters(model: dict[str, Any]) -> list[dict[str, Any]]:
    parameters = []
    for name, described in model["properties"].items():
        # A query cannot say null; leaving the parameter out does.
        schema = without_null(described)
        text = schema.pop("description", "")
        required = name in model.get("required", ())
        parameters.append({"name": name, "in": "query", "required": required, "description": text, "schema": schema})
    return parameters


def without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema for the values other than null."""
    if "anyOf" not in schema:
        return dict(schema)
    rest = {key: value for key, value in schema.items() if key != "anyOf" and (key, value) != ("default", None)}
    kinds = [kind for kind in schema["anyOf"] if kind != {"type": "null"}]
    return kinds[0] | rest if len(kinds) == 1 else {"anyOf": kinds} | rest


def _success(
    text: str, data: JsonSchemaValue, example: dict[str, Any], *, replayed: bool = False, bare: bool = False
) -> dict[str, Any]:
    enveloped = {
        "type": "object",
        "required": ["success", "data"],
        "additionalProperties": False,
        "properties": {"success": {"const": True}, "data": data},
    }
    schema = data if bare else enveloped
    wrapped = example if bare or not example else {"example": {"success": True, "data": example["example"]}}
    names = [*_HEADERS, "Idempotency-Replayed"] if replayed else _HEADERS
    return {"description": text, "headers": headers(names), "content": {JSON: {"schema": schema, **wrapped}}}


def _file(content_type: str) -> dict[str, Any]:
    form = {"type": "object", "required": ["file"], "properties": {"file": {"type": "string", "format": "binary"}}}
    return {
        content_type: {"schema": {"type": "string"}},
        "multipart/form-data": {"schema": form | {"additionalProperties": False}},
    }


def _download(content_type: str) -> dict[str, Any]:
    return {"description": "The file.", "headers": headers(_HEADERS), "content": {content_type: {}}}


def _error_references(statuses: Iterable[int]) -> dict[str, Any]:
    return {
        str(status): {"$ref": f"#/components/responses/{type(ERRORS[status]).__name__}"} for status in sorted(statuses)
    }


def _resolve(schema: JsonSchemaValue, schemas: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return found


def _example(reference: JsonSchemaValue, schemas: dict[str, Any]) -> dict[str, Any]:
    examples = _resolve(reference, schemas).get("examples")
    return {"example": examples[0]} if examples else {}


def _tried_out(reference: JsonSchemaValue, schemas: dict[str, Any]) -> dict[str, Any]:
    """The schema of a dry run's answer: the usual one with ``dryRun``, and null where an id would be."""
    schema: dict[str, Any] = _without_ids(reference, schemas)
    schema["properties"]["dryRun"] = {"const": True}
    schema["required"] = [*schema["required"], "dryRun"]
    return schema


def _without_ids(schema: Any, schemas: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_without_ids(item, schemas) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _without_ids(item, schemas) for key, item in _resolve(schema, schemas).items() if key != "examples"}
    for name in dry_run.IDS & found.get("properties", {}).keys():
        found["properties"][name] = {"anyOf": [found["properties"][name], {"type": "null"}]}
    return found


def _markdown(value: Any) -> Any:
    """Docstrings mark code with two backticks, Markdown with one."""
    if isinstance(value, dict):
        return {key: _markdown(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_markdown(item) for item in value]
    return value.replace("``", "`") if isinstance(value, str) else value
