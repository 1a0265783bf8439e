"""What the server refuses, as HTTP says it."""

from __future__ import annotations

from typing import ClassVar

from unseen.core.errors import FormatError, InputError, ResourceError, UnseenError


class Refusal(UnseenError):
    """A request that is not served. `status` is HTTP's, `code` is for programs."""

    status, code = 400, "refused"
    headers: ClassVar[dict[str, str]] = {}


class Unauthorized(Refusal):
    """Nobody knows who is asking."""

    status, code = 401, "unauthorized"
    headers: ClassVar[dict[str, str]] = {"WWW-Authenticate": "Bearer"}


class Forbidden(Refusal):
    """It comes from another site, or for another server."""

    status, code = 403, "forbidden"


class NotFound(Refusal):
    """It is not there, or another client's."""

    status, code = 404, "not_found"


class TooSlow(Refusal):
    """The request comes in too slowly."""

    status, code = 408, "too_slow"
    headers: ClassVar[dict[str, str]] = {"Connection": "close"}


class Conflict(Refusal):
    """It is no longer possible."""

    status, code = 409, "conflict"


class TooLarge(Refusal):
    """The request is larger than the server takes."""

    status, code = 413, "too_large"
    headers: ClassVar[dict[str, str]] = {"Connection": "close"}


class Busy(Refusal):
    """Not now."""

    status, code = 429, "busy"
    headers: ClassVar[dict[str, str]] = {"Retry-After": "30"}


def as_reply(error: UnseenError) -> tuple[int, str, dict[str, str]]:
    """HTTP's status, the code for programs, and headers, of an error that a client caused."""
    if isinstance(error, Refusal):
        return error.status, error.code, error.headers
    if isinstance(error, FormatError):
        return 422, "wrong_content", {}
    if isinstance(error, InputError):
        return 422, "wrong_input", {}
    if isinstance(error, ResourceError):
        return 507, "no_room", {}
    return 500, "failed", {}
