"""The routes FlashWorld's clients know: its Flask server's, with its request JSON, and none of its holes.

Ids cannot be guessed and open only one's own worlds, `image_prompt` is never a path, and no reply holds one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse

from unseen.core.errors import UnseenError
from unseen.serve.desk import Desk
from unseen.serve.errors import Conflict, NotFound, as_reply
from unseen.serve.messages import without_paths
from unseen.serve.models import files
from unseen.serve.routes.jobs import Client, Here, JobId, file_reply
from unseen.serve.store import Job, State

KIND, INPUT, SCENE = "world", "input", "scene.ply"
SETTINGS = {"ply": True, "spz": True, "html": True}
"""Of the exports, those that take no time."""
_STATUS = {
    State.QUEUED: "queued", State.RUNNING: "running", State.COMPLETED: "completed", State.FAILED: "failed",
    State.CANCELLED: "failed",
}  # fmt: skip
_REQUEST = {
    "type": "object", "required": ["resolution", "cameras"],
    "properties": {
        "image_prompt": {"type": ["string", "null"], "description": "A picture's base64 or data URL."},
        "text_prompt": {"type": ["string", "null"]},
        "image_index": {"type": "integer", "minimum": 0},
        "resolution": {
            "type": "array", "items": {"type": "integer", "minimum": 2, "maximum": 2000}, "minItems": 3, "maxItems": 3,
            "description": "Views, height, width.",
        },
        "cameras": {"type": "array", "minItems": 2, "items": {"type": "object"}},
    },
}  # fmt: skip


class PlainErrors(APIRoute):
    """Routes whose errors are FlashWorld's: `{"error": line}`."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """See FastAPI."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except UnseenError as error:
                status, _, headers = as_reply(error)
                return JSONResponse({"error": without_paths(str(error))}, status, headers)

        return handle


router = APIRouter(route_class=PlainErrors, tags=["FlashWorld"])


def _says(*statuses: int) -> dict[int | str, dict[str, Any]]:
    schema = {"type": "object", "required": ["error"], "properties": {"error": {}}}
    return {s: {"description": "Refused", "content": {"application/json": {"schema": schema}}} for s in statuses}


@router.post(
    "/generate", status_code=202, responses=_says(401, 403, 408, 413, 422, 429, 507),
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": _REQUEST}}}},
)  # fmt: skip
async def generate(request: Request, server: Here, client: Client) -> Response:
    """Make a world of FlashWorld's request."""
    desk = server.desk
    with desk.receiving(client) as upload:
        upload.kind, upload.settings = KIND, SETTINGS
        upload.new_file(INPUT, "request.json").write_bytes(await request.body())
        job = await desk.submit(upload, client)
    return JSONResponse({"success": True, "task_id": job.id, "file_id": job.id, "queue": _queue(desk, job)}, 202)


@router.get("/task/{id}", responses=_says(401, 403, 404, 422))
async def task(server: Here, client: Client, id: JobId) -> Response:
    """How a world is getting on."""
    job = server.desk.job(id, client)
    found = {
        "success": True, "task_id": job.id, "status": _STATUS[job.state], "created_at": _time(job.created),
        "started_at": _time(job.started), "completed_at": _time(job.ended),
        "error": (job.message or "cancelled") if job.state in (State.FAILED, State.CANCELLED) else None,
        "queue": _queue(server.desk, job),
    }  # fmt: skip
    if job.state is State.COMPLETED:
        size = next((file["bytes"] for file in job.files if file["name"] == SCENE), 0)
        found |= {
            "file_id": job.id, "file_path": SCENE, "file_size": size, "download_url": f"/download/{job.id}",
            "generation_time": (job.ended or 0.0) - (job.started or 0.0),
        }  # fmt: skip
    return JSONResponse(found)


@router.get(
    "/download/{id}", response_class=Response,
    responses=files(304, 416) | _says(400, 401, 403, 404, 409, 422),
)  # fmt: skip
async def download(request: Request, server: Here, client: Client, id: JobId) -> Response:
    """A world's Gaussians, as .ply."""
    job = server.desk.job(id, client)
    if not job.state.ended:
        raise Conflict("it is not made yet")
    if job.kind != KIND:
        raise NotFound("that job makes no world")
    return file_reply(request, server.desk.file(id, client, SCENE), SCENE)


@router.post("/delete/{id}", include_in_schema=False)
@router.delete("/delete/{id}", responses=_says(401, 403, 404, 422))
async def delete(server: Here, client: Client, id: JobId) -> Response:
    """Remove a world."""
    return JSONResponse({"success": True, "deleted": await server.desk.delete(id, client)})


@router.get("/status", responses=_says(401, 403))
async def status(server: Here, client: Client) -> Response:
    """How busy the server is; only your own tasks are named."""
    store, now = server.store, time.time()
    own = {state: [job.id for job in store.jobs_in(state) if job.client == client] for state in _BUSY}
    found = {
        "max_concurrent": server.config.limits.jobs, "running_count": store.count(State.RUNNING),
        "queued_count": store.count(State.QUEUED), "completed_count": store.count(State.COMPLETED),
        "running_tasks": own[State.RUNNING], "queued_tasks": own[State.QUEUED],
    }  # fmt: skip
    return JSONResponse({"success": True, "status": found, "timestamp": _time(now)})


_BUSY = (State.RUNNING, State.QUEUED)


def _queue(desk: Desk, job: Job) -> dict[str, Any]:
    count = desk.store.count
    position = desk.store.positions().get(job.id)
    return {
        "queued_count": count(State.QUEUED), "running_count": count(State.RUNNING),
        "position": 0 if position is None else position + 1,
    }  # fmt: skip


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc).isoformat()
