"""The web page, its session, and the description of the API."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from starlette.responses import FileResponse, HTMLResponse

import unseen.viewer
from unseen.serve.docs_page import docs_page
from unseen.serve.errors import NotFound
from unseen.serve.identity import COOKIE
from unseen.serve.models import refusals
from unseen.serve.routes.jobs import Here

STATIC = Path(__file__).parents[1] / "static"
VIEWER = Path(unseen.viewer.__file__).parent / "assets"
"""Scripts that the page shares with the pages of `unseen.viewer`."""
_COOKIE_S = 30 * 24 * 3600
router = APIRouter(tags=["page"])


@router.get("/", include_in_schema=False)
async def index(request: Request, server: Here) -> Response:
    """The page; the first visit of a browser gives it a name."""
    page = STATIC / "index.html"
    if not page.is_file():
        raise NotFound("this installation has no web page: use the API, which /docs describes")
    reply = FileResponse(page, headers={"Cache-Control": "no-cache"})
    if server.identity.open and COOKIE not in request.cookies:
        _give_cookie(reply, request, server.identity.new_cookie())
    return reply


@router.post("/v1/session", status_code=204, responses=refusals(401, 403, 422))
async def session(
    request: Request, server: Here,
    authorization: Annotated[str | None, Header(description="Bearer TOKEN")] = None,
) -> Response:  # fmt: skip
    """Show a token once: the browser gets a cookie that stands for it."""
    client = None if server.identity.open else server.identity.bearer(authorization)
    reply = Response(status_code=204)
    _give_cookie(reply, request, server.identity.new_cookie(client))
    return reply


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """The API, described for people."""
    return HTMLResponse(docs_page(request.app.openapi()))


def _give_cookie(reply: Response, request: Request, value: str) -> None:
    reply.set_cookie(
        COOKIE, value, max_age=_COOKIE_S, httponly=True, samesite="strict", secure=request.url.scheme == "https"
    )
