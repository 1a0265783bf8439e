"""Jobs and what happened to them, in SQLite. Every change of a state names the state before: none can happen twice."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from unseen.core.errors import ResourceError
from unseen.serve.fairness import fair_order

VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    client TEXT NOT NULL,
    kind TEXT NOT NULL,
    settings TEXT NOT NULL,
    state TEXT NOT NULL,
    created REAL NOT NULL,
    started REAL,
    ended REAL,
    expires REAL,
    attempts INTEGER NOT NULL DEFAULT 0,
    message TEXT NOT NULL DEFAULT '',
    progress TEXT,
    files TEXT NOT NULL DEFAULT '[]',
    preview TEXT,
    bytes INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS jobs_of_client ON jobs (client, place);
CREATE INDEX IF NOT EXISTS jobs_in_state ON jobs (state, place);
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS events_of_job ON events (job, number);
CREATE TABLE IF NOT EXISTS served (client TEXT PRIMARY KEY, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS sessions (cookie TEXT PRIMARY KEY, client TEXT NOT NULL, created REAL NOT NULL);
"""


class State(str, Enum):
    """Where a job stands."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self not in (State.QUEUED, State.RUNNING)


@dataclass(frozen=True)
class Job:
    """A job as it is kept.

    Attributes:
        place: number in the order of arrival.
        id: 128 random bits, safe in addresses.
        client: whose it is.
        kind, settings: what to do.
        state: where it stands.
        created, started, ended, expires: seconds since 1970; None: not yet.
        attempts: how many times it was begun.
        message: one line for people: why it failed, or what it last noted.
        progress: `stage`, `done` and `total`; None before the first.
        files: `name` and `bytes` of each result.
        preview: the result to show, a picture.
        bytes: of its folder.
    """

    place: int
    id: str
    client: str
    kind: str
    settings: dict[str, Any]
    state: State
    created: float
    started: float | None = None
    ended: float | None = None
    expires: float | None = None
    attempts: int = 0
    message: str = ""
    progress: dict[str, Any] | None = None
    files: list[dict[str, Any]] = field(default_factory=list)
    preview: str | None = None
    bytes: int = 0


@dataclass(frozen=True)
class Event:
    """Something that happened to a job: `state`, `progress`, `note` or `preview`, with its data."""

    number: int
    name: str
    data: dict[str, Any]


class Store:
    """All jobs of a server. Not for several threads.

    What a client was promised (a job is there, has ended, is gone) is on the disk when a call returns, progress is not.

    Args:
        path: the database; created when it is not there.

    Raises:
        ResourceError: it cannot be opened, or another version of unseen wrote it.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._db = _connection(path, "FULL")
            found = self._db.execute("PRAGMA user_version").fetchone()[0]
            if found not in (0, VERSION):
                raise ResourceError(f"{path} is of another version ({found}, expected {VERSION}): use another folder")
            self._db.executescript(_SCHEMA)
            self._db.execute(f"PRAGMA user_version = {VERSION}")
            self._quick = _connection(path, "NORMAL")
        except sqlite3.Error as error:
            raise ResourceError(f"cannot open {path}: {error}") from error
        self._positions: dict[str, int] | None = None

    def close(self) -> None:
        """Close the database."""
        self._quick.close()
        self._db.close()

    # What is there

    def job(self, job_id: str, client: str | None = None) -> Job | None:
        """A job; with `client`, only if it is theirs."""
        row = self._db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return None if row is None or client not in (None, row["client"]) else _job(row)

    def jobs_of(self, client: str, limit: int, before: int | None = None) -> list[Job]:
        """A client's jobs, newest first, from the one before the place `before`."""
        rows = self._db.execute(
            "SELECT * FROM jobs WHERE client = ? AND place < ? ORDER BY place DESC LIMIT ?",
            (client, 2**62 if before is None else before, limit),
        )
        return [_job(row) for row in rows]

    def jobs_in(self, state: State) -> list[Job]:
        """All jobs in a state, oldest first."""
        return [_job(row) for row in self._db.execute("SELECT * FROM jobs WHERE state = ? ORDER BY place", (state,))]

    def ids(self) -> set[str]:
        """Of all jobs."""
        return {row["id"] for row in self._db.execute("SELECT id FROM jobs")}

    def count(self, state: State | None = None, client: str | None = None) -> int:
        """How many jobs there are, in a state, of a client."""
        where, values = ["1"], []
        for column, value in (("state", state), ("client", client)):
            if value is not None:
                where.append(f"{column} = ?")
                values.append(value)
        return self._db.execute(f"SELECT COUNT(*) FROM jobs WHERE {' AND '.join(where)}", values).fetchone()[0]

    def bytes(self) -> int:
        """Of all jobs' folders."""
        return self._db.execute("SELECT COALESCE(SUM(bytes), 0) FROM jobs").fetchone()[0]

    def positions(self) -> Mapping[str, int]:
        """Of each waiting job, how many run before it."""
        if self._positions is None:
            waiting = [(r["id"], r["client"]) for r in self._db.execute(
                "SELECT id, client FROM jobs WHERE state = 'QUEUED' ORDER BY place"
            )]  # fmt: skip
            running = dict(tuple(r) for r in self._db.execute(
                "SELECT client, COUNT(*) FROM jobs WHERE state = 'RUNNING' GROUP BY client"
            ))  # fmt: skip
            served = dict(tuple(r) for r in self._db.execute("SELECT client, at FROM served"))
            self._positions = {job: k for k, job in enumerate(fair_order(waiting, running, served))}
        return self._positions

    def next_job(self) -> Job | None:
        """The waiting job that is to run next."""
        positions = self.positions()
        return self.job(next(iter(positions))) if positions else None

    def expired(self, now: float) -> list[str]:
        """Ids of jobs whose time is over."""
        return [row["id"] for row in self._db.execute("SELECT id FROM jobs WHERE expires <= ?", (now,))]

    def events_after(self, job_id: str, number: int) -> list[Event]:
        """What happened to a job after the event of that number."""
        rows = self._db.execute("SELECT * FROM events WHERE job = ? AND number > ? ORDER BY number", (job_id, number))
        return [Event(row["number"], row["name"], json.loads(row["data"])) for row in rows]

    # What changes

    def add(self, job_id: str, client: str, kind: str, settings: Mapping[str, Any], size: int) -> Job:
        """A new job, waiting."""
        with self._changing():
            self._db.execute(
                "INSERT INTO jobs (id, client, kind, settings, state, created, bytes) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (job_id, client, kind, json.dumps(settings), State.QUEUED, time.time(), size),
            )
            self._tell(job_id, State.QUEUED, "")
        added = self.job(job_id)
        assert added is not None
        return added

    def begin(self, job_id: str) -> int | None:
        """From QUEUED to RUNNING; returns the number of the attempt, None where it was not waiting."""
        now = time.time()
        with self._changing():
            if not self._move(job_id, State.QUEUED, State.RUNNING, "", started=now, plus=1):
                return None
            row = self._db.execute("SELECT client, attempts FROM jobs WHERE id = ?", (job_id,)).fetchone()
            self._db.execute("INSERT OR REPLACE INTO served (client, at) VALUES (?, ?)", (row["client"], now))
        return row["attempts"]

    def requeue(self, job_id: str, *, forgiven: bool, message: str = "") -> bool:
        """From RUNNING back to QUEUED, where its process or the server died; `forgiven`: the attempt does not count."""
        with self._changing():
            return self._move(job_id, State.RUNNING, State.QUEUED, message, started=None, plus=-1 if forgiven else 0)

    def end(self, job_id: str, before: State, after: State, message: str, keep_seconds: float) -> bool:
        """To a state in which it stays, until it expires; False where it was not in the state `before`."""
        now = time.time()
        with self._changing():
            return self._move(job_id, before, after, message, ended=now, expires=now + keep_seconds)

    def remove(self, job_id: str) -> bool:
        """Forget a job that has ended; its folder is the caller's business. False where there is no such."""
        with self._changing():
            found = self._db.execute("DELETE FROM jobs WHERE id = ? AND ended IS NOT NULL", (job_id,))
            return found.rowcount == 1

    def record_files(self, job_id: str, files: Sequence[Mapping[str, Any]], preview: str | None, size: int) -> bool:
        """What its folder holds; returns whether another preview is there to be seen."""
        row = self._quick.execute("SELECT preview FROM jobs WHERE id = ?", (job_id,)).fetchone()
        with self._quick:
            self._quick.execute(
                "UPDATE jobs SET files = ?, preview = ?, bytes = ? WHERE id = ?",
                (json.dumps(files), preview, size, job_id),
            )
            changed = row is not None and preview is not None and preview != row["preview"]
            if changed:
                self._latest(job_id, "preview", {"name": preview})
        return changed

    def record_progress(self, job_id: str, stage: str, done: int, total: int) -> None:
        """How far it is; only the latest is kept."""
        progress = {"stage": stage, "done": done, "total": total}
        with self._quick:
            self._quick.execute("UPDATE jobs SET progress = ? WHERE id = ?", (json.dumps(progress), job_id))
            self._latest(job_id, "progress", progress)

    def record_note(self, job_id: str, message: str) -> None:
        """What it says; only the latest is kept."""
        with self._quick:
            self._quick.execute("UPDATE jobs SET message = ? WHERE id = ?", (message, job_id))
            self._latest(job_id, "note", {"message": message})

    # Sessions of browsers

    def add_session(self, cookie: str, client: str) -> None:
        """Remember who a cookie (its fingerprint) stands for."""
        with self._db:
            self._db.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?)", (cookie, client, time.time()))

    def session(self, cookie: str) -> str | None:
        """Who a cookie stands for."""
        row = self._db.execute("SELECT client FROM sessions WHERE cookie = ?", (cookie,)).fetchone()
        return None if row is None else row["client"]

    def drop_sessions(self, before: float) -> None:
        """Forget sessions older than that time."""
        with self._db:
            self._db.execute("DELETE FROM sessions WHERE created < ?", (before,))

    @contextmanager
    def _changing(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            yield
        self._positions = None

    def _move(
        self, job_id: str, before: State, after: State, message: str, *, plus: int = 0, **columns: float | None
    ) -> bool:
        names = "".join(f", {name} = ?" for name in columns)
        found = self._db.execute(
            f"UPDATE jobs SET state = ?, message = ?, attempts = attempts + ?{names} WHERE id = ? AND state = ?",
            (after, message, plus, *columns.values(), job_id, before),
        )
        if found.rowcount:
            self._tell(job_id, after, message)
        return found.rowcount == 1

    def _tell(self, job_id: str, state: State, message: str) -> None:
        data = json.dumps({"state": state, "message": message})
        self._db.execute("INSERT INTO events (job, name, data) VALUES (?, 'state', ?)", (job_id, data))

    def _latest(self, job_id: str, name: str, data: Mapping[str, Any]) -> None:
        self._quick.execute("DELETE FROM events WHERE job = ? AND name = ?", (job_id, name))
        self._quick.execute("INSERT INTO events (job, name, data) VALUES (?, ?, ?)", (job_id, name, json.dumps(data)))


def _connection(path: Path, synchronous: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA synchronous = {synchronous}")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA busy_timeout = 5000")
    return db


def _job(row: sqlite3.Row) -> Job:
    plain = dict(row)
    for name in ("settings", "progress", "files"):
        plain[name] = None if plain[name] is None else json.loads(plain[name])
    return Job(**plain | {"state": State(plain["state"])})
