"""Shapes of replies, for the description of the API."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

StateName = Literal["QUEUED", "RUNNING", "COMPLETED", "FAILED", "CANCELLED"]


class SettingView(BaseModel):
    """One thing that may be set."""

    name: str
    type: Literal["text", "choice", "integer", "number", "flag"]
    help: str
    default: str | int | float | bool | None
    choices: list[str]
    minimum: float | None
    maximum: float | None


class InputView(BaseModel):
    """A file, or several, that a job takes; `accept` are usual ends of names."""

    name: str
    what: str
    required: bool
    many: bool
    accept: list[str]


class KindView(BaseModel):
    """A kind of job."""

    name: str
    title: str
    inputs: list[InputView]
    settings: list[SettingView]


class KindList(BaseModel):
    """All kinds."""

    kinds: list[KindView]


class FileView(BaseModel):
    """A result."""

    name: str
    bytes: int
    type: str


class ProgressView(BaseModel):
    """How far a stage is."""

    stage: str
    done: int
    total: int


class JobView(BaseModel):
    """A job. Times are seconds since 1970; `position` counts the jobs before it while it waits; `preview` is one of
    `files`; `message` says why it failed, or what it last noted."""

    id: str
    kind: str
    state: StateName
    created: float
    started: float | None
    ended: float | None
    expires: float | None
    position: int | None
    progress: ProgressView | None
    message: str
    preview: str | None
    files: list[FileView]


class JobList(BaseModel):
    """Some jobs, newest first; `next` is what to give as `before` for older ones, null at the end."""

    jobs: list[JobView]
    next: str | None


class Queue(BaseModel):
    """How busy the server is; `limit` is how many jobs run at once."""

    queued: int
    running: int
    limit: int


class Deleted(BaseModel):
    """Names of the results that are gone."""

    deleted: list[str]


class Status(BaseModel):
    """Whether the server is well."""

    status: Literal["ok"]


class ErrorBody(BaseModel):
    """What was wrong: a code for programs, a line for people."""

    code: str
    message: str


class Error(BaseModel):
    """A reply that says no."""

    error: ErrorBody


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Descriptions of the errors that a route may reply with."""
    words = {
        304: "Not changed", 400: "Damaged request", 401: "Token missing or wrong", 403: "From another site",
        404: "Not there", 408: "Came too slowly", 409: "No longer possible", 413: "Too large",
        416: "No such range", 422: "Wrong input", 429: "Not now: see Retry-After", 507: "Disk full",
    }  # fmt: skip
    bare = (304, 416)
    return {s: {"description": words[s]} | ({} if s in bare else {"model": Error}) for s in statuses}


def sent_as(media_type: str) -> dict[int | str, dict[str, Any]]:
    """Description of a reply that is text of some type."""
    return {200: {"description": "Sent", "content": {media_type: {"schema": {"type": "string"}}}}}


def files(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Descriptions of the replies of a route that sends files, and of the errors it may reply with."""
    content = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
    sent: dict[int | str, dict[str, Any]] = {
        s: {"description": words, "content": content} for s, words in ((200, "The file"), (206, "A part of it"))
    }
    return sent | refusals(*statuses)
