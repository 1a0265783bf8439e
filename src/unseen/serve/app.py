"""The ASGI application."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles

import unseen
from unseen.core.errors import UnseenError
from unseen.serve.guard import Guard
from unseen.serve.identity import HEADER
from unseen.serve.replies import SecurityHeaders, error_reply, refusal
from unseen.serve.routes import events, flashworld, health, jobs, pages
from unseen.serve.server import Server
from unseen.serve.telemetry import Access

LOG = logging.getLogger("unseen.serve")
DESCRIPTION = (
    "Jobs of unseen. Whoever asks shows a token (Authorization: Bearer TOKEN) where the server wants one; programs on "
    "its own machine may say who they are by an X-Unseen-Client header of random letters. Everybody sees only their "
    "own jobs."
)


def create_app(server: Server) -> FastAPI:
    """The application of a server; jobs run while it does."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        running = asyncio.create_task(server.runner.run())
        running.add_done_callback(_noticed)
        yield
        server.close_streams()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    config = server.config
    layers = [
        Middleware(SecurityHeaders),
        Middleware(Access, metrics=server.metrics),
        *_cors(config.origins),
        Middleware(Guard, limits=config.limits, hosts=config.hosts, origins=config.origins),
    ]
    app = FastAPI(
        title="unseen", version=unseen.__version__, description=DESCRIPTION, lifespan=lifespan, middleware=layers,
        docs_url=None, redoc_url=None, redirect_slashes=False,
    )  # fmt: skip
    app.state.server = server
    for part in (jobs, events, flashworld, health, pages):
        app.include_router(part.router)
    app.mount("/static/viewer", StaticFiles(directory=pages.VIEWER))
    if pages.STATIC.is_dir():
        app.mount("/static", StaticFiles(directory=pages.STATIC))
    app.add_exception_handler(UnseenError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    _describe_submission(app, server)
    return app


def _cors(origins: tuple[str, ...]) -> list[Middleware]:
    """Other sites' pages may ask only where they were named."""
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware, allow_origins=list(origins), allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["authorization", HEADER, "last-event-id", "range"],
            expose_headers=["location", "etag", "content-range", "retry-after"],
        )
    ]  # fmt: skip


def _noticed(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        LOG.critical("jobs no longer run", exc_info=error)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, UnseenError)
    return error_reply(error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    wrong = error.errors()[0]
    where = ".".join(str(part) for part in wrong["loc"])
    return refusal(422, "wrong_input", f"{where}: {wrong['msg']}")


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    codes = {404: "not_found", 405: "wrong_method", 416: "no_such_range"}
    headers = dict(error.headers or {})
    return refusal(error.status_code, codes.get(error.status_code, "refused"), str(error.detail), headers)


def _describe_submission(app: FastAPI, server: Server) -> None:
    """Says in the description what a submission's body may hold, by the kinds there are."""
    kinds = server.config.kinds.values()
    files = {
        i.name: {"type": "array", "items": {"type": "string", "format": "binary"}, "description": f"{k.name}: {i.what}"}
        for k in kinds
        for i in k.inputs
    }
    schema: dict[str, Any] = {
        "type": "object", "required": ["kind"], "additionalProperties": False,
        "properties": {
            "kind": {"type": "string", "enum": [kind.name for kind in kinds]},
            "settings": {"type": "object", "description": "See /v1/kinds."},
        } | files,
    }  # fmt: skip
    content = {"multipart/form-data": {"schema": schema, "encoding": {"settings": {"contentType": "application/json"}}}}
    document = app.openapi()  # made once, then kept by FastAPI
    document["paths"]["/v1/jobs"]["post"]["requestBody"] = {"required": True, "content": content}
