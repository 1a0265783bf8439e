"""The server's folder: who uses it, a folder per job, and nothing removed that the server did not make.

STATE/unseen-serve.json   says that the folder is the server's
STATE/lock                held by the server that runs
STATE/jobs.sqlite         jobs
STATE/jobs/ID/in/NAME/    uploaded files, under names the server gives
STATE/jobs/ID/out/        results
STATE/jobs/ID/log.txt     what its program wrote to stderr
STATE/jobs/ID/end.json    how its last attempt ended
STATE/jobs/.ID/           a submission that is still coming in
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unseen.core.errors import InputError, ResourceError
from unseen.io.atomic import as_resource_error, make_folder, write_json

MARK = "unseen-serve.json"
ID = re.compile(r"[A-Za-z0-9_-]{22}")


def new_id() -> str:
    """128 random bits, safe in addresses; no hyphen first, so that no program takes it for an option."""
    while (found := secrets.token_urlsafe(16)).startswith("-"):
        pass
    return found


class Folders:
    """Where the server keeps what.

    Args:
        state: its folder; made when it is not there.

    Raises:
        InputError: the folder holds something else.
        ResourceError: it cannot be written.
    """

    def __init__(self, state: Path) -> None:
        self.state = make_folder(state).resolve()
        if not (self.state / MARK).is_file():
            if any(self.state.iterdir()):
                raise InputError(f"{state} holds other files: expected an empty folder, or one of unseen serve")
            write_json(self.state / MARK, {"what": "state of unseen serve: jobs and their files; they expire"})
        self.jobs = make_folder(self.state / "jobs")

    @property
    def database(self) -> Path:
        """Of the jobs."""
        return self.state / "jobs.sqlite"

    @contextmanager
    def held(self) -> Iterator[None]:
        """No other server uses the folder within the block.

        Raises:
            ResourceError: one does.
        """
        with (self.state / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ResourceError(f"{self.state} is in use by another unseen serve: give --state another") from error
            yield

    def incoming(self, job_id: str) -> Path:
        """Where a submission is put together."""
        return self.jobs / f".{job_id}"

    def job(self, job_id: str) -> Path:
        """A job's folder."""
        return self.jobs / job_id

    def admit(self, job_id: str) -> None:
        """A submission is whole: its folder becomes the job's."""
        try:
            os.replace(self.incoming(job_id), self.job(job_id))
        except OSError as error:
            raise as_resource_error(error, self.job(job_id)) from error

    def inputs(self, job_id: str) -> dict[str, list[Path]]:
        """Uploaded files by the input's name, in the order in which they came."""
        root = self.job(job_id) / "in"
        folders = sorted(root.iterdir()) if root.is_dir() else []
        return {folder.name: sorted(folder.iterdir()) for folder in folders}

    def outputs(self, job_id: str) -> Path:
        """Folder of the results."""
        return self.job(job_id) / "out"

    def output_names(self, job_id: str) -> Iterator[tuple[str, int]]:
        """Posix name and size of each file of the results; links are none."""
        root = str(self.outputs(job_id))
        for folder, _, names in os.walk(root):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    yield os.path.relpath(path, root).replace(os.sep, "/"), os.path.getsize(path)

    def end_of(self, job_id: str) -> dict[str, Any] | None:
        """How the last attempt ended, where its supervisor could write it."""
        try:
            found = json.loads((self.job(job_id) / "end.json").read_text())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def remove(self, job_id: str) -> None:
        """Remove a job's folder, or what came in of it. Names that are no id are left alone."""
        if not ID.fullmatch(job_id):
            return
        for folder in (self.job(job_id), self.incoming(job_id)):
            shutil.rmtree(folder, ignore_errors=True)

    def remove_strays(self, known: set[str]) -> list[str]:
        """Remove folders of jobs that are not known, and submissions that never became whole; returns their ids."""
        strays = []
        for entry in self.jobs.iterdir():
            job_id = entry.name.removeprefix(".")
            if ID.fullmatch(job_id) and (entry.name.startswith(".") or job_id not in known):
                strays.append(job_id)
                shutil.rmtree(entry, ignore_errors=True)
        return strays
