"""Reading a request: strict JSON in, pydantic models out, errors that name the field.

Stricter than Flask's own reader on purpose: a body must say that it is JSON, be UTF-8, hold no NaN, NUL or lone
surrogate, and not nest deeper than 32 levels. pydantic's own error texts never echo the input.
"""

import json
import math
from typing import Any, NoReturn, TypeVar

from flask import request
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from werkzeug.exceptions import RequestEntityTooLarge

from app.errors import Invalid, Malformed, TooLarge, UnsupportedMediaType, invalid_field

MAX_DEPTH = 32
M = TypeVar("M", bound=BaseModel)
V = TypeVar("V")


class ApiModel(BaseModel):
    """Base of everything that crosses the API: camelCase outside, unknown fields refused."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        serialize_by_alias=True,
        frozen=True,
        json_schema_serialization_defaults_required=True,
    )


def read_json(limit: int) -> Any:
    """The request's body as JSON values; at most ``limit`` bytes.

    Raises:
        UnsupportedMediaType, TooLarge, Malformed, Invalid: with what is wrong in words.
    """
    if request.mimetype != "application/json" and not request.mimetype.endswith("+json"):
        raise UnsupportedMediaType("Send JSON, with the header Content-Type: application/json.")
    request.max_content_length = limit
    try:
        raw = request.get_data(cache=True)
    except RequestEntityTooLarge:
        raise TooLarge(f"The body is larger than {limit} bytes.") from None
    return parse_json(raw)


def parse_json(raw: bytes) -> Any:
    """Strict JSON.

    Raises:
        Malformed: not UTF-8, not JSON, NaN or Infinity, too deep.
        Invalid: a text holds NUL or half a surrogate pair, which no database stores.
    """
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite)
    except UnicodeDecodeError:
        raise Malformed("The body is not valid UTF-8.") from None
    except RecursionError:
        raise Malformed(f"The body nests deeper than {MAX_DEPTH} levels.") from None
    except ValueError as error:
        raise Malformed(f"The body is not valid JSON: {error}.") from None
    return check_texts(value)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def check_texts(root: V) -> V:
    """The same value, when it does not nest too deep and all its texts can be stored.

    Raises:
        Malformed, Invalid: otherwise.
    """
    stack: list[tuple[Any, str, int]] = [(root, "", 1)]
    while stack:
        value, path, depth = stack.pop()
        if isinstance(value, str):
            _check_text(value, path)
        elif isinstance(value, dict | list):
            if depth > MAX_DEPTH:
                raise Malformed(f"The body nests deeper than {MAX_DEPTH} levels.")
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, item in items:
                if isinstance(key, str):
                    _check_text(key, path)
                if isinstance(item, str | dict | list):
                    stack.append((item, f"{path}.{key}" if path else str(key), depth + 1))
    return root


def _check_text(text: str, path: str) -> None:
    if "\0" in text:
        raise invalid_field(path or "body", "must not contain the NUL character")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise invalid_field(path or "body", "contains half of a surrogate pair") from None


def validate(model: type[M], value: Any) -> M:
    """Check a value against a model.

    Raises:
        Invalid: with each field at fault, by its outside name.
    """
    if not isinstance(value, dict):
        raise Malformed("The body must be a JSON object.")
    try:
        return model.model_validate(value, by_alias=True, by_name=False)
    except ValidationError as error:
        raise from_validation(error) from None


def from_validation(error: ValidationError) -> Invalid:
    """A pydantic error in the API's own form."""
    fields: dict[str, list[str]] = {}
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        name = ".".join(str(part) for part in item["loc"]) or "body"
        text = "is not a known field" if item["type"] == "extra_forbidden" else _sentence(item["msg"])
        fields.setdefault(name[:200], []).append(text)
    names = ", ".join(list(fields)[:5])
    return Invalid(f"Some fields are not valid: {names}.", fields=fields)


def _sentence(text: str) -> str:
    return text.removeprefix("Value error, ").removeprefix("Assertion failed, ")
