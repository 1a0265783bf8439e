"""What operators see: a line of JSON per event, and counts for Prometheus. No secrets, no names, no contents."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unseen.serve.replies import refusal
from unseen.serve.store import State, Store

ACCESS = logging.getLogger("unseen.serve.access")
_EXTRA = ("job", "kind", "attempt", "state", "method", "route", "status", "ms")


class JsonLines(logging.Formatter):
    """A log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)), "level": record.levelname.lower(),
            "logger": record.name, "message": record.getMessage(),
        }  # fmt: skip
        line |= {name: getattr(record, name) for name in _EXTRA if hasattr(record, name)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


class Metrics:
    """Counts of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter("unseen_requests", "Requests answered.", labels, registry=self.registry)
        self.seconds = Histogram(
            "unseen_request_seconds", "Time to the head of the answer.", registry=self.registry,
            buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
        )  # fmt: skip
        self.jobs = Gauge("unseen_jobs", "Jobs there are, by state.", ("state",), registry=self.registry)
        self.bytes = Gauge("unseen_state_bytes", "Of all jobs' files.", registry=self.registry)
        self.streams = Gauge("unseen_streams", "Event streams held open.", registry=self.registry)

    def text(self, store: Store) -> bytes:
        """As Prometheus reads it."""
        for state in State:
            self.jobs.labels(state.value).set(store.count(state))
        self.bytes.set(store.bytes())
        return generate_latest(self.registry)


class Access:
    """Counts and logs requests; by the route's pattern, so that neither ids nor file names stand anywhere. What no
    route expected is logged, and answered in one line that tells nothing."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                scope["started"] = True
                self._note(scope, message["status"], time.perf_counter() - began)
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except Exception as error:
            ACCESS.exception("unexpected")
            if "started" in scope:
                raise
            told = f"unexpected {type(error).__name__}: a defect of unseen, see the server's log"
            await refusal(500, "defect", told)(scope, receive, noted)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST", "DELETE", "OPTIONS") else "other"
        self.metrics.requests.labels(method, route, str(status)).inc()
        self.metrics.seconds.observe(seconds)
        extra = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 1)}
        ACCESS.info("request", extra=extra)
