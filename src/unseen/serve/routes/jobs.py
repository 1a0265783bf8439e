"""Jobs: kinds, submission, status, results."""

from __future__ import annotations

import os
from dataclasses import asdict
from email.utils import formatdate
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from starlette.responses import FileResponse, JSONResponse

from unseen.serve.desk import describe, media_type
from unseen.serve.folders import ID
from unseen.serve.kinds import Kind
from unseen.serve.models import Deleted, JobList, JobView, KindList, Queue, files, refusals
from unseen.serve.replies import RESULT_POLICY
from unseen.serve.server import Server, client_of, server_of
from unseen.serve.store import State
from unseen.serve.uploads import receive

MOST_LISTED = 200
SMALL = 1 << 20
"""Bytes of files that are read at once."""

router = APIRouter(prefix="/v1", tags=["jobs"], responses=refusals(401, 403))
Here = Annotated[Server, Depends(server_of)]
Client = Annotated[str, Depends(client_of)]
JobId = Annotated[str, Path(pattern=f"^{ID.pattern}$", description="Of the job.")]


@router.get("/kinds", response_model=KindList)
async def kinds(server: Here, client: Client) -> Response:
    """What jobs there are, what they take, and what may be set."""
    return JSONResponse({"kinds": [view_of(kind) for kind in server.config.kinds.values()]})


def view_of(kind: Kind) -> dict[str, Any]:
    """A kind as replies have it."""
    inputs = [
        {"name": i.name, "what": i.what, "required": i.required, "many": i.many, "accept": i.suffixes}
        for i in kind.inputs
    ]
    return {"name": kind.name, "title": kind.title, "inputs": inputs, "settings": [asdict(s) for s in kind.settings]}


@router.get("/queue", response_model=Queue)
async def queue(server: Here, client: Client) -> Response:
    """How busy the server is."""
    count = server.store.count
    return JSONResponse(
        {"queued": count(State.QUEUED), "running": count(State.RUNNING), "limit": server.config.limits.jobs}
    )


@router.post("/jobs", status_code=201, response_model=JobView, responses=refusals(408, 413, 422, 429, 507))
async def submit(request: Request, server: Here, client: Client) -> Response:
    """Submit a job: a multipart body with `kind`, `settings` (a JSON object), and a part per input file, under the
    input's name; several photos come as several parts of one name. `kind` should come first."""
    desk = server.desk
    with desk.receiving(client) as upload:
        body, kind = request.stream(), request.headers.get("content-type", "")
        await receive(body, kind, upload, server.config.limits, desk.check_input)
        job = await desk.submit(upload, client)
    return JSONResponse(describe(desk, job), 201, {"Location": f"/v1/jobs/{job.id}"})


@router.get("/jobs", response_model=JobList, responses=refusals(404, 422))
async def jobs(
    server: Here, client: Client,
    limit: Annotated[int, Query(ge=1, le=MOST_LISTED, description="At most so many.")] = 50,
    before: Annotated[str | None, Query(pattern=f"^{ID.pattern}$", description="Older than this one.")] = None,
) -> Response:  # fmt: skip
    """Your jobs, newest first."""
    place = None if before is None else server.desk.job(before, client).place
    found = server.store.jobs_of(client, limit, place)
    following = found[-1].id if len(found) == limit else None
    return JSONResponse({"jobs": [describe(server.desk, job) for job in found], "next": following})


@router.get("/jobs/{id}", response_model=JobView, responses=refusals(404, 422))
async def job(server: Here, client: Client, id: JobId) -> Response:
    """A job of yours."""
    return JSONResponse(describe(server.desk, server.desk.job(id, client)))


@router.post("/jobs/{id}/cancel", response_model=JobView, responses=refusals(404, 409, 422))
async def cancel(server: Here, client: Client, id: JobId) -> Response:
    """End a job; the reply comes when its work has stopped."""
    return JSONResponse(describe(server.desk, await server.desk.cancel(id, client)))


@router.delete("/jobs/{id}", response_model=Deleted, responses=refusals(404, 422))
async def delete(server: Here, client: Client, id: JobId) -> Response:
    """Forget a job and remove its files; one that runs is ended before."""
    return JSONResponse({"deleted": await server.desk.delete(id, client)})


@router.head("/jobs/{id}/files/{name:path}", include_in_schema=False)
@router.get(
    "/jobs/{id}/files/{name:path}", response_class=Response,
    responses=files(304, 400, 404, 416, 422),
)  # fmt: skip
async def file(
    request: Request, server: Here, client: Client, id: JobId,
    name: Annotated[str, Path(description="Of the file, as `files` has it.")],
) -> Response:  # fmt: skip
    """A result, whole or in parts (Range, If-Range, If-None-Match)."""
    return file_reply(request, server.desk.file(id, client, name), name)


def file_reply(request: Request, path: Any, name: str) -> Response:
    """A file of a job; it may be shown, and then can reach nothing of the server."""
    with path.open("rb") as file:  # a preview may be renewed now: size, tag and bytes are of one file
        status = os.fstat(file.fileno())
        tag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
        headers = {
            "ETag": tag, "Last-Modified": formatdate(status.st_mtime, usegmt=True),
            "Cache-Control": "private, no-cache", "Content-Security-Policy": RESULT_POLICY,
        }  # fmt: skip
        if tag in (request.headers.get("if-none-match") or "").replace("W/", "").split(", "):
            return Response(status_code=304, headers=headers)
        small = status.st_size <= SMALL and "range" not in request.headers
        content = file.read() if small else b""
    reply = FileResponse(
        path, headers=headers, stat_result=status, media_type=media_type(name), filename=name.rsplit("/", 1)[-1],
        content_disposition_type="inline" if media_type(name) in _SHOWN else "attachment",
    )  # fmt: skip
    return Response(content, headers=dict(reply.headers)) if small else reply


_SHOWN = ("image/png", "image/jpeg", "video/mp4", "text/html", "application/json")
