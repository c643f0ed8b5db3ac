"""Reading a request: strict JSON in, pydantic models out, errors that name the field.

Stricter than Flask's own reader on purpose: a body must say that it is JSON, be UTF-8, hold no NaN, NUL or lone
surrogate, and not nest deeper than 32 levels. pydantic's own error texts never echo the input.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence, Set
from typing import Any, ClassVar, NoReturn, TypeVar
from urllib.parse import parse_qsl

from flask import request
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError
from werkzeug.exceptions import RequestEntityTooLarge

from app import clock
from app.errors import Invalid, Malformed, TooLarge, UnsupportedMediaType, invalid_field

FORM = "application/x-www-form-urlencoded"
MAX_DEPTH = 32
MAX_FIELDS = 64
_ABOUT = "about_fields"
_FORM_AROUND = 64 * 1024
"""Bytes that a form may have around its file."""


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

    judged_apart: ClassVar[frozenset[str]] = frozenset()
    """Outside names of fields whose items are validated one by one: what is wrong in there is not said of the whole."""
    inlined: ClassVar[frozenset[str]] = frozenset()
    """Outside names of fields whose content may also stand in the body itself: then errors are named as it is there."""


M = TypeVar("M", bound=ApiModel)


def example(fields: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    """A model's example, as its ``json_schema_extra``. The seeds' times, all in 2025, move to the coming year, so that
    whoever tries the example is not told that it lies in the past.
    """

    def add(schema: dict[str, Any]) -> None:
        text = json.dumps(fields).replace('"2025-', f'"{clock.now().year + 1}-')
        schema["examples"] = [json.loads(text)]

    return add


def read_json(limit: int) -> Any:
    """The request's body as JSON values; at most ``limit`` bytes.

    Raises:
        UnsupportedMediaType, TooLarge, Malformed, Invalid: with what is wrong in words.
    """
    if request.mimetype != "application/json" and not request.mimetype.endswith("+json"):
        raise UnsupportedMediaType("Send JSON, with the header Content-Type: application/json.")
    if request.mimetype_params.get("charset", "utf-8").lower() not in ("utf-8", "utf8"):
        raise UnsupportedMediaType("JSON is UTF-8 (RFC 8259); leave the charset out.")
    return parse_json(read_bytes(limit))


def read_upload(content_type: str, limit: int) -> bytes:
    """A file: the request's body, or the part ``file`` of a multipart form; at most ``limit`` bytes.

    Raises:
        UnsupportedMediaType, TooLarge, Malformed, Invalid: with what is wrong in words.
    """
    if request.mimetype == content_type:
        return read_bytes(limit)
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType(f"Send {content_type}, or a form (multipart/form-data) with the field file.")
    request.max_content_length = limit + _FORM_AROUND
    try:
        return _file_of_form(limit)
    finally:
        request.close()  # the form's files


def _file_of_form(limit: int) -> bytes:
    unknown = {*request.files, *request.form} - {"file"}
    if unknown:
        raise invalid_field(min(unknown)[:200] or "form", "is not a known field")
    files = request.files.getlist("file")
    if len(files) != 1:
        raise invalid_field("file", "must be there once, as a file")
    content: bytes = files[0].read(limit + 1)
    if len(content) > limit:
        raise _too_large(limit)
    return content


def read_bytes(limit: int) -> bytes:
    """The request's body; at most ``limit`` bytes.

    Raises:
        UnsupportedMediaType, TooLarge: it is packed, or longer.
    """
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("Send the body as it is, without a Content-Encoding.")
    # One byte more, because Werkzeug cuts a body of untold length (chunked) off at its limit without a word.
    request.max_content_length = limit + 1
    try:
        raw = request.get_data(cache=True)
    except RequestEntityTooLarge:
        raw = None
    if raw is None or len(raw) > limit:
        raise _too_large(limit)
    return raw


def read_form(limit: int) -> dict[str, str]:
    """The fields of a posted form (application/x-www-form-urlencoded) that are not empty; at most ``limit`` bytes.

    Raises:
        UnsupportedMediaType, TooLarge, Malformed: with what is wrong in words.
    """
    if request.mimetype != FORM:
        raise UnsupportedMediaType(f"Send a form ({FORM}).")
    try:
        pairs = parse_qsl(read_bytes(limit).decode("ascii"), max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        raise Malformed("The body is not a form of plain fields in UTF-8.") from None
    if len({name for name, _ in pairs}) != len(pairs):
        raise Malformed("A field is given twice.")
    return dict(pairs)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit} bytes.")


def parse_json(raw: bytes) -> Any:
    """Strict JSON.

    Raises:
        Malformed: not UTF-8, not JSON, NaN or Infinity, too deep.
    """
    try:
        value = json.loads(
            raw.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_object
        )
    except UnicodeDecodeError:
        raise Malformed("The body is not valid UTF-8.") from None
    except RecursionError:
        raise Malformed(f"The body nests deeper than {MAX_DEPTH} levels.") from None
    except ValueError as error:
        raise Malformed(f"The body is not valid JSON: {error}.") from None
    _check_depth(value)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field is given twice")  # which of the two is meant, nobody can know
    return fields


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _check_depth(root: Any) -> None:
    """Raises: Malformed: it nests too deep."""
    level = [root]
    for _ in range(MAX_DEPTH):
        level = [
            item
            for value in level
            if isinstance(value, dict | list)
            for item in (value.values() if isinstance(value, dict) else value)
            if isinstance(item, dict | list)
        ]
        if not level:
            return
    raise Malformed(f"The body nests deeper than {MAX_DEPTH} levels.")


def _nodes(root: Any, apart: frozenset[str]) -> Iterator[tuple[Any, str]]:
    """Every value in a value, each with its path; not what is in the fields of the root that are named ``apart``."""
    stack: list[tuple[Any, str]] = [(root, "")]
    while stack:
        value, path = stack.pop()
        yield value, path
        if isinstance(value, dict | list):
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                if isinstance(item, str | dict | list) and not (value is root and key in apart):
                    stack.append((item, f"{path}.{key}" if path else str(key)))


def _check_texts(root: dict[str, Any], apart: frozenset[str]) -> None:
    """Refuse a text with NUL or half a surrogate pair, which no database stores.

    Raises:
        Invalid: with the path of the text.
    """
    if _is_plain(root, apart):
        return
    for value, path in _nodes(root, apart):
        for text in (value,) if isinstance(value, str) else value if isinstance(value, dict) else ():
            _check_text(text, path)


def _is_plain(root: dict[str, Any], apart: frozenset[str]) -> bool:
    """Whether an object is flat and all its texts are in order: nearly all are, and this is quicker than the walk."""
    texts = list(root)
    for key, item in root.items():
        if isinstance(item, str):
            texts.append(item)
        elif item and isinstance(item, dict | list) and key not in apart:
            return False
    joined = "".join(texts)
    return joined.isascii() and "\0" not in joined


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
    _check_texts(value, model.judged_apart)
    try:
        return model.model_validate(value, by_alias=True, by_name=False)
    except ValidationError as error:
        raise from_validation(error, model.inlined - value.keys()) from None


def about(fields: Sequence[str], message: str) -> PydanticCustomError:
    """What a model validator raises when some fields do not go together; by their outside names."""
    return PydanticCustomError(_ABOUT, message, {"fields": list(fields)})


def from_validation(error: ValidationError, inlined: Set[str] = frozenset()) -> Invalid:
    """A pydantic error in the API's own form."""
    fields: dict[str, list[str]] = {}
    for item in error.errors(include_url=False, include_input=False):
        parts = item["loc"][1:] if item["loc"] and item["loc"][0] in inlined else item["loc"]
        path = ".".join(str(part) for part in parts)[:200] or "body"
        text = "is not a known field" if item["type"] == "extra_forbidden" else _sentence(item["msg"])
        for name in item["ctx"]["fields"] if item["type"] == _ABOUT else [path]:
            fields.setdefault(name, []).append(text)
    names = ", ".join(list(fields)[:5])
    return Invalid(f"Some fields are not valid: {names}.", fields=fields)


def _sentence(text: str) -> str:
    return text.removeprefix("Value error, ").removeprefix("Assertion failed, ")
