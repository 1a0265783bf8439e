"""Listening: uvicorn, with patience for slow requests but not without end."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
from dataclasses import replace

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from unseen.core.errors import InputError
from unseen.serve.app import create_app
from unseen.serve.executor import Executor
from unseen.serve.guard import LOOPBACK
from unseen.serve.server import Config, Server
from unseen.serve.telemetry import JsonLines

HEAD_S = 20.0
"""For the head of a request to come in."""
MOST_CONNECTIONS = 2000


class Patient(H11Protocol):
    """A connection that is closed when a request's head does not become whole in time."""

    waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self.waiting is None:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self.waiting = self.loop.call_later(HEAD_S, self._give_up)

    def _stop_waiting(self) -> None:
        if self.waiting is not None:
            self.waiting.cancel()
            self.waiting = None

    def _give_up(self) -> None:
        self.waiting = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


class Listener(uvicorn.Server):
    """Ends event streams before it waits for open requests, which they are."""

    def __init__(self, config: uvicorn.Config, server: Server) -> None:
        super().__init__(config)
        self.served = server

    async def shutdown(self, sockets: object = None) -> None:
        """See uvicorn."""
        self.served.close_streams()
        await super().shutdown(sockets)  # type: ignore[arg-type]


def serve(config: Config, host: str, port: int, executor: Executor | None = None) -> None:
    """Serve until interrupted; jobs run on this machine unless there is another `executor`.

    Raises:
        InputError: an address other machines reach, without a token.
        ResourceError: the folder is in use.
    """
    os.environ.pop("UNSEEN_TOKEN", None)  # jobs need not know
    os.umask(0o077)
    if not config.tokens and not is_loopback(host):
        raise InputError(
            f"{host} can be reached from other machines: give a --token (or UNSEEN_TOKEN), long and random"
        )
    if not config.tokens:
        config = replace(config, hosts=(*LOOPBACK, host, *config.hosts))
    _log_as_json()
    with Server.opened(config, executor) as server:
        options = uvicorn.Config(
            create_app(server), host, port, http=Patient, ws="none", log_config=None, access_log=False,
            server_header=False, limit_concurrency=MOST_CONNECTIONS, timeout_graceful_shutdown=5, lifespan="on",
        )  # fmt: skip
        logging.getLogger("unseen.serve").info(f"open http://{host}:{port}")
        Listener(options, server).run()


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _log_as_json() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in ("httpx", "PIL", "multipart", "python_multipart"):
        logging.getLogger(name).setLevel(logging.WARNING)
