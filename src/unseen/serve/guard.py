"""What every request passes: is it meant for this server, does it come from its own page, is it small and quick enough.

An ASGI layer outside the routes, so that no route can forget it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unseen.core.errors import UnseenError
from unseen.serve.errors import Forbidden, TooLarge, TooSlow
from unseen.serve.limits import Limits
from unseen.serve.replies import error_reply

SAFE = ("GET", "HEAD", "OPTIONS")
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SMALL_BYTES = 1 << 20
_UPLOADS = {"/v1/jobs": "upload_bytes", "/generate": "text_bytes"}


class Guard:
    """Refuses before a route sees the request.

    Args:
        app: what is guarded.
        limits: of bodies.
        hosts: names by which the server may be called; empty: any. Keeps other sites from reaching a server on
            loopback by a name of theirs.
        origins: other sites whose pages may ask.
    """

    def __init__(self, app: ASGIApp, limits: Limits, hosts: Collection[str], origins: Collection[str]) -> None:
        self.app, self.limits, self.hosts, self.origins = app, limits, hosts, origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        most = getattr(self.limits, _UPLOADS[scope["path"]]) if scope["path"] in _UPLOADS else _SMALL_BYTES
        try:
            self.check_host(headers.get("host", ""))
            if scope["method"] not in SAFE:
                self.check_origin(headers)
            check_length(headers.get("content-length"), most)
        except UnseenError as error:
            await error_reply(error)(scope, receive, send)
            return
        await self.app(scope, Body(receive, most, self.limits).receive, send)

    def check_host(self, host: str) -> None:
        """Refuse requests for another name than the server's."""
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            name = None
        if self.hosts and name not in self.hosts:
            raise Forbidden("the server does not go by that name: see unseen serve --host")

    def check_origin(self, headers: Headers) -> None:
        """Refuse what another site's page makes a browser do."""
        origin = headers.get("origin")
        if origin in self.origins:
            return
        foreign = origin is not None and urlsplit_host(origin) != headers.get("host", "").lower()
        if foreign or headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise Forbidden("that request comes from another site's page")


def urlsplit_host(origin: str) -> str:
    """Host and port of an origin; empty where it is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def check_length(announced: str | None, most: int) -> None:
    """Refuse a body that says that it is too long."""
    if announced is not None and (not announced.isdecimal() or int(announced[:20]) > most):
        raise TooLarge(f"the request is larger than {most >> 20} MiB")


class Body:
    """A request's body, as long as it is neither too long nor too slow."""

    def __init__(self, receive: Receive, most: int, limits: Limits) -> None:
        self._receive, self.most, self.limits = receive, most, limits
        self.count, self.began, self.over = 0, time.monotonic(), False

    async def receive(self) -> Message:
        """ASGI's receive.

        Raises:
            TooLarge: more came than the server takes.
            TooSlow: nothing came for a while, or too little for long.
        """
        if self.over:  # whoever asks now waits for the client to leave
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), self.limits.idle_seconds)
        except TimeoutError as error:
            raise TooSlow(f"nothing came for {self.limits.idle_seconds:g} s") from error
        self.over = not message.get("more_body", False)
        self.count += len(message.get("body", b""))
        if self.count > self.most:
            raise TooLarge(f"the request is larger than {self.most >> 20} MiB")
        late = time.monotonic() - self.began - self.limits.idle_seconds
        if not self.over and late > 0 and self.count < late * self.limits.upload_rate:
            raise TooSlow(f"it comes at less than {self.limits.upload_rate} bytes per second")
        return message
