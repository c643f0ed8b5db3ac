"""From the OpenAPI document to what the page shows: a table, a command and an answer for each operation."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from pydantic.alias_generators import to_snake

from app.api.body import FORM
from app.api.openapi import without_null
from app.api.openapi_components import ERRORS, JSON

KEY = "YOUR_API_KEY"


@dataclass(frozen=True, slots=True)
class Field:
    """A row of a table: a field or parameter with all that the schema says about it."""

    name: str
    kind: str
    required: bool
    limits: list[str]
    description: str


def operations(described: dict[str, Any], tag: str) -> Iterator[dict[str, Any]]:
    """The operations of a section, as the template takes them."""
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            if tag not in operation["tags"]:
                continue
            status = next(iter(operation["responses"]))  # the usual one comes first
            content = _content(operation["responses"][status])
            yield {
                "id": operation["operationId"],
                "method": method.upper(),
                "path": path,
                "summary": operation["summary"],
                "description": operation["description"],
                "tables": [(title, rows) for title, rows in _tables(described, operation) if rows],
                "curl": _curl(described, method.upper(), path, operation),
                "status": f"{status} {HTTPStatus(int(status)).phrase}",
                "answer": pretty(content["example"]) if "example" in content else None,
                "answer_fields": list(_answer_fields(described, content)),
                "errors": [code for code in operation["responses"] if code >= "400" and code != status],
            }


def _content(described: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(iter(described.get("content", {}).values()), {})
    return found


def _tables(described: dict[str, Any], operation: dict[str, Any]) -> Iterator[tuple[str, list[Field]]]:
    parameters = _parameters(described, operation)
    for title, place in (("Path", "path"), ("Query", "query")):
        yield title, [_parameter(one) for one in parameters if one["in"] == place]
    if body := operation.get("requestBody"):
        title = "Form" if FORM in body["content"] else "Body" if body["required"] else "Body, may be left out"
        schema = _resolve(described, _content(body)["schema"])
        yield title, list(_rows(described, schema))
    yield "Headers", [_parameter(one) for one in parameters if one["in"] == "header"]


def _parameters(described: dict[str, Any], operation: dict[str, Any]) -> list[dict[str, Any]]:
    return [_resolve(described, one) for one in operation.get("parameters", ())]


def _parameter(one: dict[str, Any]) -> Field:
    schema = one["schema"]
    return Field(one["name"], _kind(schema), one.get("required", False), _limits(schema), one.get("description", ""))


def _answer_fields(described: dict[str, Any], content: dict[str, Any]) -> Iterator[Field]:
    data = content.get("schema", {}).get("properties", {}).get("data")
    if data is not None:
        # Where a dry run has a form of its own, the usual one comes first.
        yield from _rows(described, _resolve(described, data.get("anyOf", [data])[0]), answer=True)


def _rows(
    described: dict[str, Any], schema: dict[str, Any], prefix: str = "", *, answer: bool = False
) -> Iterator[Field]:
    for name, given in schema.get("properties", {}).items():
        field = without_null(given)
        inner = _resolve(described, field)
        kind = _kind(inner) + (" or null" if answer and field != given else "")
        text = field.get("description") or inner.get("description", "")
        required = not answer and name in schema.get("required", ())
        yield Field(f"{prefix}{name}", kind, required, _limits(inner), text)
        below = inner.get("items", inner)
        for one in below.get("anyOf", [below]):
            suffix = "[]." if "items" in inner else "."
            yield from _rows(described, _resolve(described, one), f"{prefix}{name}{suffix}", answer=answer)


def _resolve(described: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = described
    for step in schema["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return found


def _kind(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(one) for one in schema["anyOf"]))
    if schema.get("type") == "array":
        inner = _kind(schema["items"])
        return f"list of {inner}s"
    word = {"date-time": "date and time", "uri": "URL"}.get(schema.get("format", ""))
    return word or {"boolean": "true or false", "integer": "whole number"}.get(
        schema.get("type", ""), schema.get("type", "object")
    )


def _limits(schema: dict[str, Any]) -> list[str]:
    limits = [limit for one in schema.get("anyOf", ()) for limit in _limits(one)]
    if "enum" in schema:
        limits.append("one of " + ", ".join(f"`{word}`" for word in schema["enum"]))
    if "const" in schema:
        limits.append(f"always `{json.dumps(schema['const'])}`")
    if "exclusiveMinimum" in schema:
        limits.append(f"more than {schema['exclusiveMinimum']:,}")
    for low, high, unit in (
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
        ("minimum", "maximum", ""),
    ):
        if low in schema and high in schema:
            limits.append(f"{schema[low]:,} to {schema[high]:,}{unit}")
        elif high in schema:
            limits.append(f"at most {schema[high]:,}{unit}")
        elif low in schema:
            limits.append(f"at least {schema[low]:,}{unit}")
    if "pattern" in schema:
        limits.append(f"like `{schema['pattern']}`")
    if schema.get("default") is not None:
        limits.append(f"default `{json.dumps(schema['default'])}`")
    return list(dict.fromkeys(limits))


def _curl(described: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> str | None:
    body = operation.get("requestBody", {"content": {}})
    if FORM in body["content"]:
        return None  # nobody but Twilio can sign it
    query = {}
    for one in _parameters(described, operation):
        schema = one["schema"]
        shown = schema.get("examples", schema.get("enum", [to_snake(one["name"]).upper()]))[0]
        if one["in"] == "path":
            path = path.replace(f"{{{one['name']}}}", shown)
        elif one["in"] == "query" and "examples" in schema and not body["content"]:
            query[one["name"]] = shown
    address = described["servers"][0]["url"] + path
    address = f"'{address}?{urlencode(query)}'" if query else address
    lines = [f"curl -X {method} {address}" if method != "GET" else f"curl {address}"]
    if operation.get("security") is None and {} not in described["security"]:
        lines.append(f'-H "Authorization: Bearer {KEY}"')
    if JSON in body["content"]:
        lines.append(f'-H "Content-Type: {JSON}"')
        text = pretty(body["content"][JSON].get("example", {})).replace("'", "'\\''").replace("\n", "\n  ")
        lines.append(f"-d '{text}'")
    elif body["content"]:
        lines += [f'-H "Content-Type: {next(iter(body["content"]))}"', "--data-binary @FILE"]
    return " \\\n  ".join(lines)


def pretty(value: Any) -> str:
    """JSON for people."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def errors(described: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Status, code and meaning of each error."""
    return [
        (str(status), error.code, described["components"]["responses"][type(error).__name__]["description"])
        for status, error in ERRORS.items()
    ]
