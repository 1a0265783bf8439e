"""A server's parts, put together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import Request

from unseen.serve.desk import Desk
from unseen.serve.executor import Executor, LocalExecutor
from unseen.serve.folders import Folders
from unseen.serve.identity import Identity
from unseen.serve.kinds import Kind
from unseen.serve.limits import Limits
from unseen.serve.runner import Runner
from unseen.serve.signals import Signals
from unseen.serve.store import Store
from unseen.serve.telemetry import Metrics


@dataclass(frozen=True)
class Config:
    """How a server is set up.

    Attributes:
        state: folder of the jobs.
        kinds: what jobs there are, by name.
        limits: of what it takes.
        tokens: one of these must be shown; none: anybody who can connect may ask.
        hosts: names by which it may be called; none: any.
        origins: other sites whose pages may ask.
    """

    state: Path
    kinds: Mapping[str, Kind]
    limits: Limits = field(default_factory=Limits)
    tokens: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()


@dataclass
class Server:
    """Everything a route needs.

    Attributes:
        config: how it is set up.
        store, signals, runner, desk, identity, metrics: its parts.
        streams: how many event streams each client holds open.
        closing: whether streams should end, since the server does.
    """

    config: Config
    store: Store
    signals: Signals
    runner: Runner
    desk: Desk
    identity: Identity
    metrics: Metrics
    streams: dict[str, int] = field(default_factory=dict)
    closing: bool = False

    def close_streams(self) -> None:
        """End all event streams; browsers come back when there is a server again."""
        self.closing = True
        self.signals.notify_all()

    @classmethod
    @contextmanager
    def opened(cls, config: Config, executor: Executor | None = None) -> Iterator[Server]:
        """A server that has its folder for itself within the block. Nothing runs until `runner.run` does.

        Raises:
            InputError: the folder holds something else, or a token can be guessed.
            ResourceError: the folder is in use, or cannot be written.
        """
        folders = Folders(config.state)
        with folders.held():
            store = Store(folders.database)
            try:
                signals, limits = Signals(), config.limits
                runner = Runner(store, folders, config.kinds, limits, executor or LocalExecutor(), signals)
                desk = Desk(store, folders, config.kinds, limits, signals, runner)
                identity = Identity(config.tokens, store)
                yield cls(config, store, signals, runner, desk, identity, Metrics())
            finally:
                store.close()


async def server_of(request: Request) -> Server:
    """The server that a request came to. Not a plain function: FastAPI would call it in another thread."""
    found: Server = request.app.state.server
    return found


async def client_of(request: Request) -> str:
    """Who is asking.

    Raises:
        Unauthorized: nobody who may.
    """
    return (await server_of(request)).identity.client(request)
