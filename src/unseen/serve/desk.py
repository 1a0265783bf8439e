"""What clients may ask of their jobs, within the limits."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from unseen.core.errors import InputError
from unseen.serve.content import suffix_of
from unseen.serve.errors import Busy, Conflict, NotFound
from unseen.serve.folders import Folders
from unseen.serve.kinds import Kind
from unseen.serve.limits import Limits
from unseen.serve.messages import without_paths
from unseen.serve.runner import Runner
from unseen.serve.signals import Signals
from unseen.serve.store import Job, State, Store
from unseen.serve.supervisor import bytes_below
from unseen.serve.uploads import Upload


class Desk:
    """Takes orders.

    Args:
        store, folders, signals: of the jobs.
        kinds: what jobs there are, by name.
        limits: of what is taken.
        runner: does the work.
    """

    def __init__(
        self, store: Store, folders: Folders, kinds: Mapping[str, Kind], limits: Limits, signals: Signals,
        runner: Runner,
    ) -> None:  # fmt: skip
        self.store, self.folders, self.kinds, self.limits = store, folders, kinds, limits
        self.signals, self.runner = signals, runner
        self._receiving: Counter[str] = Counter()

    def check_room(self, client: str) -> None:
        """Refuse what would have to wait too long, before its files are sent.

        Raises:
            Busy: too many jobs wait, or too many files are kept.
        """
        limits, store = self.limits, self.store
        if store.count(State.QUEUED, client) >= limits.queued_per_client:
            raise Busy(f"{limits.queued_per_client} of your jobs wait already: come back when one has begun")
        if store.count(State.QUEUED) >= limits.queued:
            raise Busy(f"{limits.queued} jobs wait already: come back later")
        if store.count(client=client) >= limits.kept_per_client:
            raise Busy(f"{limits.kept_per_client} of your jobs are kept already: delete some")
        if store.bytes() >= limits.state_bytes:
            raise Busy("the server's disk is full of results: delete some of yours, or come back later")

    def kind(self, name: str) -> Kind:
        """The kind of that name.

        Raises:
            InputError: there is none.
        """
        if name not in self.kinds:
            raise InputError(f"there is no kind {name!r:.60}: expected one of {', '.join(self.kinds)}")
        return self.kinds[name]

    def check_input(self, kind: str, name: str) -> None:
        """Refuse a file before it is written; a `kind` that is not known yet is empty.

        Raises:
            InputError: there is no such kind, or it takes no input of that name.
        """
        kinds = [self.kind(kind)] if kind else list(self.kinds.values())
        if not any(name == i.name for k in kinds for i in k.inputs):
            raise InputError(f"no input is called {name!r:.60}: see /v1/kinds")

    @contextmanager
    def receiving(self, client: str) -> Iterator[Upload]:
        """A place for a submission; what did not become a job by the end of the block is removed.

        Raises:
            Busy: see `check_room`, or too many submissions of the client come in at once.
        """
        self.check_room(client)
        if self._receiving[client] >= self.limits.uploads_per_client:
            raise Busy(f"{self.limits.uploads_per_client} submissions of yours come in already: one after the other")
        self._receiving[client] += 1
        try:
            upload = Upload.begin(self.folders)
            try:
                yield upload
            finally:
                shutil.rmtree(upload.folder, ignore_errors=True)
        finally:
            self._receiving[client] -= 1
            self._receiving += Counter()  # drops those at zero

    async def submit(self, upload: Upload, client: str) -> Job:
        """A job of what was uploaded; the upload's folder becomes the job's.

        Raises:
            InputError: something is missing, unknown or not what it should be.
            Busy: see `check_room`.
        """
        kind = self.kind(upload.kind)
        settings = kind.checked(upload.settings)
        for name in upload.files:
            kind.input(name)
        kind.check_complete({name: len(files) for name, files in upload.files.items()}, settings)
        size = await asyncio.to_thread(self._place_files, kind, upload)
        self.check_room(client)  # others came meanwhile
        self.folders.admit(upload.id)
        job = self.store.add(upload.id, client, kind.name, settings, size)
        self.runner.wake()
        return job

    def job(self, job_id: str, client: str) -> Job:
        """A client's job.

        Raises:
            NotFound: there is none of that id, or it is another's.
        """
        if (job := self.store.job(job_id, client)) is None:
            raise NotFound("you have no job of that id")
        return job

    def file(self, job_id: str, client: str, name: str) -> Path:
        """A result.

        Raises:
            NotFound: there is none of that name.
        """
        job = self.job(job_id, client)
        if name not in {file["name"] for file in job.files}:
            raise NotFound("that job has no file of that name")
        path = self.folders.outputs(job.id).joinpath(*name.split("/"))
        if not path.is_file():
            raise NotFound("that file is gone")
        return path

    async def cancel(self, job_id: str, client: str) -> Job:
        """End a job; when this returns, its work has stopped. A job that is cancelled already stays so.

        Raises:
            NotFound: see `job`.
            Conflict: it has ended otherwise.
        """
        job = self.job(job_id, client)
        self.store.end(job.id, State.QUEUED, State.CANCELLED, "", self.limits.keep_seconds)
        await self.runner.stop(job.id)
        self.signals.notify(job.id)
        job = self.job(job_id, client)
        if job.state is not State.CANCELLED:
            raise Conflict(f"it has ended already: {job.state.value}")
        return job

    async def delete(self, job_id: str, client: str) -> list[str]:
        """Forget a job and remove its files, ending it before if need be; returns the names of its results.

        Raises:
            NotFound: see `job`.
        """
        job = self.job(job_id, client)
        if not job.state.ended:
            with suppress(Conflict):  # it ended meanwhile
                await self.cancel(job_id, client)
        names = [file["name"] for file in self.job(job_id, client).files]
        self.store.remove(job.id)
        await asyncio.to_thread(self.folders.remove, job.id)
        self.signals.notify(job.id)
        return names

    def _place_files(self, kind: Kind, upload: Upload) -> int:
        """Check what came, and give it the names under which it is kept; returns its bytes."""
        for name, files in upload.files.items():
            contents = kind.input(name).contents
            for k, file in enumerate(files):
                try:
                    suffix = suffix_of(file.path, file.given, contents, self.limits)
                except InputError as error:
                    which = f"file {k + 1} of {name}" if len(files) > 1 else name
                    raise type(error)(f"{which}: {without_paths(str(error))}") from error
                file.path.rename(file.path.with_name(f"{k:04d}{suffix}"))
        return bytes_below(str(upload.folder))


def describe(desk: Desk, job: Job) -> dict[str, Any]:
    """A job as replies have it."""
    return {
        "id": job.id, "kind": job.kind, "state": job.state.value, "created": job.created, "started": job.started,
        "ended": job.ended, "expires": job.expires, "position": desk.store.positions().get(job.id),
        "progress": job.progress, "message": job.message, "preview": job.preview,
        "files": [file | {"type": media_type(file["name"])} for file in job.files],
    }  # fmt: skip


_TYPES = {
    ".png": "image/png", ".jpg": "image/jpeg", ".mp4": "video/mp4", ".html": "text/html", ".json": "application/json",
    ".glb": "model/gltf-binary", ".gltf": "model/gltf+json",
}  # fmt: skip


def media_type(name: str) -> str:
    """Of a result, by its name; what browsers do not know is bytes."""
    return next((kind for suffix, kind in _TYPES.items() if name.endswith(suffix)), "application/octet-stream")
