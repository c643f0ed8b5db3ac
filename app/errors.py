"""The errors that Bellhop raises on purpose, each with the HTTP answer that it becomes at the edge."""

from collections.abc import Mapping, Sequence

Fields = Mapping[str, Sequence[str]]


class BellhopError(Exception):
    """Base of all errors with a meaning; anything else is a defect."""


class SettingsError(BellhopError):
    """The configuration cannot work; ``problems`` has one line for each thing to mend."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


class ApiError(BellhopError):
    """An answer that is not a success: a status, a stable code, a sentence, and the fields at fault."""

    status = 500
    code = "internal_error"

    def __init__(self, message: str, *, fields: Fields | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fields = {name: list(texts) for name, texts in (fields or {}).items()}
        self.code = code or self.code
        self.headers: dict[str, str] = {}


class Malformed(ApiError):
    """The body is not JSON that we read."""

    status, code = 400, "malformed"


class Unauthorized(ApiError):
    """No key, or one that is not (or no longer) valid."""

    status, code = 401, "unauthorized"


class Forbidden(ApiError):
    """A valid key that may not do this."""

    status, code = 403, "forbidden"


class NotFound(ApiError):
    """It does not exist, or it belongs to another workspace: the two look the same on purpose."""

    status, code = 404, "not_found"


class Conflict(ApiError):
    """The state of the thing does not allow it any more."""

    status, code = 409, "conflict"


class TooLarge(ApiError):
    """The body is longer than this route reads."""

    status, code = 413, "payload_too_large"


class UnsupportedMediaType(ApiError):
    """The body is not declared as JSON."""

    status, code = 415, "unsupported_media_type"


class Invalid(ApiError):
    """Well-formed, but a field is wrong; ``fields`` names each."""

    status, code = 422, "invalid"


class TooManyRequests(ApiError):
    """The key has used up its minute; carries Retry-After."""

    status, code = 429, "rate_limited"


class Unavailable(ApiError):
    """A store that we need does not answer; trying again is right."""

    status, code = 503, "unavailable"


def invalid_field(name: str, message: str) -> Invalid:
    """A 422 about one field."""
    return Invalid(f"{name}: {message}", fields={name: [message]})
