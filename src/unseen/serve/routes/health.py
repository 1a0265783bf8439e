"""For those who run the server."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse

from unseen.serve.models import Status, refusals, sent_as
from unseen.serve.replies import refusal
from unseen.serve.routes.jobs import Client, Here

router = APIRouter(tags=["health"])


@router.get("/healthz", response_model=Status)
async def healthz() -> Response:
    """The server answers."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz", response_model=Status, responses={503: {"description": "Not ready"}})
async def readyz(server: Here) -> Response:
    """The server takes jobs and runs them."""
    if server.closing or not server.runner.alive:
        return refusal(503, "not_ready", "the server does not run jobs", {"Retry-After": "5"})
    return JSONResponse({"status": "ok"})


@router.get(
    "/metrics", response_class=Response,
    responses=sent_as("text/plain") | refusals(401, 403),
)  # fmt: skip
async def metrics(server: Here, client: Client) -> Response:
    """Counts, as Prometheus reads them."""
    return Response(server.metrics.text(server.store), media_type=CONTENT_TYPE_LATEST)
