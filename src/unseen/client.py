"""A client of `unseen serve`: submit a job, follow it, fetch its results.

    with Client("http://127.0.0.1:7860") as client:
        job = client.submit("world", {"prompt": "a room with a red chair"}, {"image": "room.png"})
        for event in client.events(job.id):
            print(event)
        client.download(job.id, "out/")

Needs httpx (`pip install unseen[client]`), and nothing else of unseen's weight.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

from unseen.core.errors import InputError, MissingDependencyError, ResourceError, UnseenError

try:
    import httpx
except ImportError as error:
    raise MissingDependencyError("httpx is not installed: pip install 'unseen[client]'") from error

ENDED = ("COMPLETED", "FAILED", "CANCELLED")
Files = Mapping[str, "str | Path | Sequence[str | Path]"]
_CHUNK = 1 << 20
_RETRY_S = 2.0


class ServerError(UnseenError):
    """The server refused. `status` is HTTP's, `code` the server's; `retry_after` seconds are to be waited, if any."""

    def __init__(self, message: str, status: int, code: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.retry_after = status, code, retry_after


@dataclass(frozen=True)
class ServedFile:
    """A result: its name, bytes and media type."""

    name: str
    bytes: int
    type: str


@dataclass(frozen=True)
class ServedJob:
    """A job as the server tells it; see `unseen serve`'s /docs."""

    id: str
    kind: str
    state: str
    created: float
    started: float | None
    ended: float | None
    expires: float | None
    position: int | None
    progress: dict[str, Any] | None
    message: str
    preview: str | None
    files: tuple[ServedFile, ...]

    @property
    def done(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.state in ENDED


@dataclass(frozen=True)
class ServedEvent:
    """Something that happened to a job: its number, its name (state, progress, note, preview) and its data."""

    number: int
    name: str
    data: dict[str, Any]


class Client:
    """Talks to a server.

    Args:
        url: of the server.
        token: that it wants to see.
        name: who is asking, where the server wants no token: 22 letters or more, chosen at random. Without one, all
            programs of the machine are one client.
        timeout: seconds without an answer.
        transport: another way to send requests, see httpx.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        name: str | None = None,
        timeout: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = ({"Authorization": f"Bearer {token}"} if token else {}) | ({"X-Unseen-Client": name} if name else {})
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout, transport=transport)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def kinds(self) -> list[dict[str, Any]]:
        """What jobs there are, what they take, and what may be set."""
        return self._ask("GET", "/v1/kinds")["kinds"]

    def submit(self, kind: str, settings: Mapping[str, Any] | None = None, files: Files | None = None) -> ServedJob:
        """Submit a job.

        Args:
            kind: of the job.
            settings: by name, see `kinds`.
            files: of each input one, or several.

        Raises:
            InputError: a file cannot be read.
            ServerError: the server refuses.
        """
        fields: list[tuple[str, Any]] = [("kind", (None, kind)), ("settings", (None, json.dumps(dict(settings or {}))))]
        with ExitStack() as opened:
            for name, given in (files or {}).items():
                for path in [given] if isinstance(given, str | Path) else given:
                    try:
                        file = opened.enter_context(Path(path).open("rb"))
                    except OSError as error:
                        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
                    fields.append((name, (Path(path).name, file)))
            return _job(self._ask("POST", "/v1/jobs", files=fields))

    def job(self, job_id: str) -> ServedJob:
        """A job as it is now."""
        return _job(self._ask("GET", f"/v1/jobs/{job_id}"))

    def jobs(self) -> Iterator[ServedJob]:
        """All of one's own jobs, newest first."""
        before = None
        while True:
            found = self._ask("GET", "/v1/jobs", params={} if before is None else {"before": before})
            yield from map(_job, found["jobs"])
            before = found["next"]
            if before is None:
                return

    def events(self, job_id: str) -> Iterator[ServedEvent]:
        """What happens to a job, until it has ended; goes on by itself when the connection breaks.

        Raises:
            ServerError: the server refuses.
        """
        last = 0
        while True:
            try:
                headers = {"Last-Event-ID": str(last)} if last else {}
                path, patience = f"/v1/jobs/{job_id}/events", httpx.Timeout(60.0)
                with self._http.stream("GET", path, headers=headers, timeout=patience) as reply:
                    _check(reply)
                    if reply.status_code == 204:
                        return
                    for event in _events(reply.iter_lines()):
                        last = event.number
                        yield event
                if self.job(job_id).done:
                    return
            except httpx.TransportError:
                pass
            time.sleep(_RETRY_S)

    def wait(self, job_id: str) -> ServedJob:
        """A job once it has ended."""
        for _ in self.events(job_id):
            pass
        return self.job(job_id)

    def cancel(self, job_id: str) -> ServedJob:
        """End a job; when this returns, its work has stopped."""
        return _job(self._ask("POST", f"/v1/jobs/{job_id}/cancel"))

    def delete(self, job_id: str) -> list[str]:
        """Remove a job and its files; returns their names."""
        return self._ask("DELETE", f"/v1/jobs/{job_id}")["deleted"]

    def download(self, job_id: str, folder: str | Path, names: Sequence[str] | None = None) -> list[Path]:
        """Fetch results into a folder; what an earlier call began is continued.

        Args:
            job_id: of the job.
            folder: made when it is not there.
            names: of the results; all of them by default.

        Raises:
            ServerError: the server refuses.
            ResourceError: a file cannot be written, or the connection keeps breaking.
        """
        wanted = [file.name for file in self.job(job_id).files] if names is None else names
        return [self._fetch(job_id, name, _inside(Path(folder), name)) for name in wanted]

    def _fetch(self, job_id: str, name: str, target: Path, tries: int = 5) -> Path:
        part, mark = target.with_name(f".{target.name}.part"), target.with_name(f".{target.name}.etag")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            for _ in range(tries):
                try:
                    self._fetch_rest(f"/v1/jobs/{job_id}/files/{name}", part, mark)
                    part.replace(target)
                    mark.unlink(missing_ok=True)
                    return target
                except httpx.TransportError:
                    time.sleep(_RETRY_S)
        except OSError as error:
            raise ResourceError(f"cannot write {target}: {error.strerror or error}") from error
        raise ResourceError(f"the connection broke {tries} times while {name} came: try again, it goes on")

    def _fetch_rest(self, path: str, part: Path, mark: Path) -> None:
        there = part.stat().st_size if part.is_file() and mark.is_file() else 0
        headers = {"Range": f"bytes={there}-", "If-Range": mark.read_text()} if there else {}
        with self._http.stream("GET", path, headers=headers) as reply:
            if reply.status_code == 416:  # all of it is there
                return
            _check(reply)
            mark.write_text(reply.headers.get("etag", ""))
            with part.open("ab" if reply.status_code == 206 else "wb") as file:
                for chunk in reply.iter_bytes(_CHUNK):
                    file.write(chunk)

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        try:
            reply = self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise ResourceError(f"no answer from {self._http.base_url}: {error}") from error
        _check(reply)
        return reply.json()


def _check(reply: httpx.Response) -> None:
    """Raise what the server refuses."""
    if reply.status_code < 400:
        return
    reply.read()
    try:
        found = reply.json()["error"]
        code, message = str(found["code"]), str(found["message"])
    except (ValueError, KeyError, TypeError):
        code, message = "unknown", reply.reason_phrase
    wait = reply.headers.get("retry-after", "")
    raise ServerError(message, reply.status_code, code, float(wait) if wait.isdecimal() else None)


def _events(lines: Iterator[str]) -> Iterator[ServedEvent]:
    """Events of a stream."""
    found: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line:
            found[name] = value
        elif "event" in found:
            yield ServedEvent(int(found["id"]), found["event"], json.loads(found["data"]))
            found = {}


def _job(found: Mapping[str, Any]) -> ServedJob:
    files = tuple(ServedFile(file["name"], file["bytes"], file["type"]) for file in found["files"])
    known = {field.name for field in fields(ServedJob)}
    return ServedJob(**{name: found[name] for name in known - {"files"}}, files=files)


def _inside(folder: Path, name: str) -> Path:
    """Where a result goes; a server's name never leads out of the folder.

    Raises:
        InputError: it would.
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
        raise InputError(f"the server names a file {name!r:.60}: expected a plain name")
    return folder.joinpath(*parts)
