"""Who is calling: a key, or (on this machine only, where ``AUTH_REQUIRED`` is 0) anybody."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import request

from app.errors import Forbidden, NotFound, Unauthorized, invalid_field
from app.extensions import settings
from app.setting_types import is_loopback
from app.workspaces import audit, service

_FORWARDED = ("Via", "forwarded", "x-forwarded-", "x-real-ip")
"""Beginnings of the headers that a proxy adds."""


@dataclass(frozen=True, slots=True)
class Caller:
    """``workspace_id`` is the key's; None for a local caller without a key, who names one in each request. ``actor`` is
    what the audit log calls the caller.
    """

    workspace_id: str | None
    actor: str = audit.LOCAL

    def workspace(self, named: str | None) -> str:
        """The workspace to create in: the one that the request names, which must be the key's.

        Raises:
            Invalid: none is named and there is no key. Forbidden: it is not the key's.
        """
        return self.existing_workspace(named, foreign=Forbidden("This key belongs to another workspace."))

    def existing_workspace(self, named: str | None, *, foreign: Exception | None = None) -> str:
        """The workspace to look in; a foreign one looks as if the thing did not exist.

        Raises:
            Invalid: none is named and there is no key. NotFound (or ``foreign``): it is not the key's.
        """
        if self.workspace_id is None:
            if named is None:
                raise invalid_field("workspaceId", "is required")
            return named
        if named is not None and named != self.workspace_id:
            raise foreign or NotFound("There is no such job in this workspace.")
        return self.workspace_id


def bearer_token() -> str | None:
    """The key of the Authorization header, None where there is no such header.

    Raises:
        Unauthorized: the header is there and is not a bearer token.
    """
    header = request.headers.get("Authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise _challenge("Use the header Authorization: Bearer KEY.")
    return token.strip()


def authenticate() -> Caller:
    """The caller of this request.

    Raises:
        Unauthorized: no key where one is needed, or one that is not valid.
    """
    token = bearer_token()
    if token is not None:
        key = service.find_key(token)
        if key is None:
            raise _challenge("This API key is not valid.")
        return Caller(key.workspace_id, audit.key_actor(key.prefix))
    if settings().auth_required:
        raise _challenge("An API key is required: Authorization: Bearer KEY.")
    # Without keys only this machine may call. A browser page that tricks its user's browser into calling us carries
    # a foreign Host (DNS rebinding) or, through a proxy, a Forwarded header.
    host = urlsplit(f"//{request.host}").hostname or ""
    if (
        "Host" not in request.headers
        or not is_loopback(host)
        or any(name.lower().startswith(_FORWARDED) for name, _ in request.headers)
    ):
        raise _challenge("Without an API key only requests from this machine are answered.")
    return Caller(None)


def guess() -> service.Key | None:
    """The key behind this request if we have met it; whether that still holds, the statement that uses it must check.

    Raises:
        Unauthorized: the header is there and is not a bearer token.
    """
    token = bearer_token()
    return service.guess_key(token) if token is not None else None


def _challenge(message: str) -> Unauthorized:
    error = Unauthorized(message)
    error.headers["WWW-Authenticate"] = "Bearer"
    return error
