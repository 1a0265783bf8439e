"""What happens to a job, as it happens: server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Response
from starlette.responses import StreamingResponse

from unseen.serve.errors import Busy
from unseen.serve.models import refusals, sent_as
from unseen.serve.routes.jobs import Client, Here, JobId
from unseen.serve.server import Server
from unseen.serve.signals import happens

HEARTBEAT_S = 15.0
router = APIRouter(prefix="/v1", tags=["jobs"], responses=refusals(401, 403))


@router.get(
    "/jobs/{id}/events", response_class=StreamingResponse,
    responses=sent_as("text/event-stream") | {204: {"description": "Nothing more will happen"}}
    | refusals(404, 422, 429),
)  # fmt: skip
async def events(
    server: Here, client: Client, id: JobId,
    last_event_id: Annotated[str | None, Header(description="Go on after this one.")] = None,
) -> Response:  # fmt: skip
    """A stream of events: `state` {state, message}, `progress` {stage, done, total}, `note` {message} and `preview`
    {name}. It ends when the job has, and goes on after Last-Event-ID; of all but states only the latest is told."""
    job = server.desk.job(id, client)
    last = int(last_event_id) if last_event_id and last_event_id.isdecimal() and len(last_event_id) < 19 else 0
    if job.state.ended and not server.store.events_after(id, last):
        return Response(status_code=204)
    if server.streams.get(client, 0) >= server.config.limits.streams_per_client:
        raise Busy(f"you hold {server.config.limits.streams_per_client} streams open already: close some")
    return StreamingResponse(
        _stream(server, client, id, last), media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )  # fmt: skip


async def _stream(server: Server, client: str, job_id: str, last: int) -> AsyncIterator[str]:
    server.streams[client] = server.streams.get(client, 0) + 1
    server.metrics.streams.inc()
    try:
        while not server.closing:
            news = server.signals.news(job_id)
            job = server.store.job(job_id, client)
            for event in server.store.events_after(job_id, last):
                last = event.number
                yield f"id: {event.number}\nevent: {event.name}\ndata: {json.dumps(event.data)}\n\n"
            if job is None or job.state.ended:
                return
            if not await happens(news, HEARTBEAT_S):
                yield ": still there\n\n"
    finally:
        server.metrics.streams.dec()
        server.streams[client] -= 1
        if not server.streams[client]:
            del server.streams[client]
