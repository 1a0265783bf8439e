"""The page with an API that answers with canned jobs, for tests of the page alone. Standard library only."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import unseen

PACKAGE = Path(unseen.__file__).parent
STATIC, VIEWER = PACKAGE / "serve" / "static", PACKAGE / "viewer" / "assets"
TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".html": "text/html",
    ".mp4": "video/mp4",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def setting(name: str, type: str, default: Any = None, help: str = "", **more: Any) -> dict[str, Any]:
    """One as /v1/kinds has it."""
    return {
        "name": name, "type": type, "default": default, "help": help, "choices": [], "minimum": None, "maximum": None,
    } | more  # fmt: skip


def given(name: str, what: str, *accept: str, required: bool = False, many: bool = False) -> dict[str, Any]:
    """An input as /v1/kinds has it."""
    return {"name": name, "what": what, "accept": list(accept), "required": required, "many": many}


KINDS: list[dict[str, Any]] = [
    {
        "name": "avatar",
        "title": "Turn a head video into an animatable Gaussian avatar.",
        "inputs": [
            given("video", "A video of a head.", ".mp4", ".mov", required=True),
            given("landmarks", "Its landmarks.", ".npz"),
        ],
        "settings": [
            setting("quality", "choice", "default", "How long it may take.", choices=["preview", "default", "best"])
        ],
    },
    {
        "name": "world",
        "title": "Make a 3D world of a prompt, a picture, or both.",
        "inputs": [
            given("image", "A picture of it.", ".png", ".jpg"),
            given("cameras", "A camera path.", ".json"),
        ],
        "settings": [
            setting("prompt", "text", "", "What is to be seen."),
            setting("path", "choice", "orbit", "Camera path.", choices=["orbit", "dolly"]),
            setting("views", "integer", None, "How many views.", minimum=2),
            setting("fov", "number", 50.0, "Vertical field of view in degrees.", minimum=1, maximum=170),
            setting("preview", "flag", None, "Views of half the size."),
            setting("seed", "integer", None, "Of everything random."),
            setting("budget", "integer", None, "Merge splats until so many are left."),
        ],
    },
    {
        "name": "render",
        "title": "Render Gaussians along a camera path to a video.",
        "inputs": [
            given("scene", "Splats.", ".ply", ".spz", required=True),
            given("cameras", "A camera path.", ".json"),
        ],
        "settings": [
            setting("path", "choice", "orbit", choices=["orbit", "spiral"]),
            setting("fps", "number", 25.0),
            setting("width", "integer", 512, minimum=1),
            setting("height", "integer", 512, minimum=1),
        ],
    },
    {
        "name": "repair",
        "title": "Repair a fit of too few photos.",
        "inputs": [given("photos", "Photos.", ".jpg", required=True, many=True)],
        "settings": [],
    },
]


class Api:
    """Jobs by id; `outcomes` gives, by kind, the folder whose files a job of it ends with."""

    def __init__(self, outcomes: dict[str, Path], token: str = "", steps: int = 4, step_seconds: float = 0.15) -> None:
        self.outcomes, self.token, self.steps, self.step_seconds = outcomes, token, steps, step_seconds
        self.jobs: dict[str, dict[str, Any]] = {}
        self.received: list[dict[str, Any]] = []

    def add(self, kind: str, state: str = "QUEUED", message: str = "") -> dict[str, Any]:
        """A job; one that is over has its files at once."""
        now = time.time()
        job = {
            "id": f"{kind}{len(self.jobs):016d}", "kind": kind, "state": state, "created": now, "started": None,
            "ended": None, "expires": None, "position": 0, "progress": None, "message": message, "files": [],
            "preview": None,
        }  # fmt: skip
        if state in ("COMPLETED", "FAILED"):
            job |= {"started": now - 80, "ended": now, "expires": now + 86400, "position": None}
        if state == "COMPLETED":
            job["files"] = self.files(kind)
        self.jobs[job["id"]] = job
        return job

    def files(self, kind: str) -> list[dict[str, Any]]:
        """Results of a kind."""
        folder = self.outcomes[kind]
        found = sorted(path for path in folder.rglob("*") if path.is_file())
        return [{"name": p.relative_to(folder).as_posix(), "bytes": p.stat().st_size, "type": ""} for p in found]

    def run(self, job: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        """The events of a job from its beginning to its end."""
        job |= {"state": "RUNNING", "started": time.time(), "position": None}
        yield "state", {"state": "RUNNING", "message": ""}
        for done in range(1, self.steps + 1):
            time.sleep(self.step_seconds)
            if job["state"] == "CANCELLED":
                break
            job["progress"] = {"stage": "fitting", "done": done, "total": self.steps}
            yield "progress", job["progress"]
        if job["state"] != "CANCELLED":
            job |= {"state": "COMPLETED", "ended": time.time(), "files": self.files(job["kind"])}
        yield "state", {"state": job["state"], "message": ""}


class Handler(BaseHTTPRequestHandler):
    """The routes that the page uses."""

    api: Api
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Nothing: tests look at the page."""

    def do_GET(self) -> None:
        """Page, files, jobs, events."""
        path = unquote(urlsplit(self.path).path)
        parts = path.strip("/").split("/")
        if path == "/" or parts[0] == "static":
            return self.page(path)
        if self.api.token and self.headers.get("Cookie") != "unseen_client=known":
            return self.refuse(401, "expected a token")
        if path == "/v1/kinds":
            return self.json({"kinds": KINDS})
        if path == "/v1/queue":
            states = [job["state"] for job in self.api.jobs.values()]
            return self.json({"queued": states.count("QUEUED"), "running": states.count("RUNNING"), "limit": 1})
        if path == "/v1/jobs":
            return self.json({"jobs": list(self.api.jobs.values())[::-1], "next": None})
        job = self.api.jobs.get(parts[2]) if parts[:2] == ["v1", "jobs"] and len(parts) > 2 else None
        if job is None:
            return self.refuse(404, "no such job")
        if len(parts) == 3:
            return self.json(job)
        if parts[3] == "events":
            return self.events(job)
        self.file(self.api.outcomes[job["kind"]] / "/".join(parts[4:]))

    def do_POST(self) -> None:
        """Submission, cancellation, session."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/v1/session":
            if self.headers.get("Authorization") != f"Bearer {self.api.token}":
                return self.refuse(401, "wrong token")
            return self.reply(204, b"", "text/plain", {"Set-Cookie": "unseen_client=known; Path=/; HttpOnly"})
        if self.path == "/v1/jobs":
            parts = message_from_bytes(b"Content-Type: " + self.headers["Content-Type"].encode() + b"\n\n" + body)
            fields = {
                str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)
                for part in parts.get_payload()
            }
            self.api.received.append(fields)
            return self.json(self.api.add(fields["kind"].decode()), 201)
        job = self.api.jobs[self.path.split("/")[3]]
        job |= {"state": "CANCELLED", "ended": time.time()}
        self.json(job)

    def do_DELETE(self) -> None:
        """A job and its files."""
        del self.api.jobs[self.path.split("/")[3]]
        self.json({"deleted": []})

    def page(self, path: str) -> None:
        """A file of the page."""
        name = "index.html" if path == "/" else path.removeprefix("/static/")
        file = VIEWER / name.removeprefix("viewer/") if name.startswith("viewer/") else STATIC / name
        self.file(file)

    def file(self, path: Path) -> None:
        """A whole file, or the range that a video element asks for."""
        if not path.is_file():
            return self.refuse(404, f"no {path.name}")
        data, kind = path.read_bytes(), TYPES.get(path.suffix, "application/octet-stream")
        begin, _, end = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        if not begin:
            return self.reply(200, data, kind, {"Accept-Ranges": "bytes"})
        first, last = int(begin), int(end) if end else len(data) - 1
        self.reply(206, data[first : last + 1], kind, {"Content-Range": f"bytes {first}-{last}/{len(data)}"})

    def events(self, job: dict[str, Any]) -> None:
        """What happens to a job; the stream ends with it."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for number, (name, data) in enumerate(self.api.run(job)):
            self.wfile.write(f"id: {number}\nevent: {name}\ndata: {json.dumps(data)}\n\n".encode())
            self.wfile.flush()
        self.close_connection = True

    def json(self, content: Any, status: int = 200) -> None:
        """A reply of JSON."""
        self.reply(status, json.dumps(content).encode(), "application/json", {})

    def refuse(self, status: int, message: str) -> None:
        """A reply that says no."""
        self.json({"error": {"code": "refused", "message": message}}, status)

    def reply(self, status: int, data: bytes, kind: str, headers: dict[str, str]) -> None:
        """Any reply, with the page's policy."""
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Security-Policy": POLICY, **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def serving(api: Api) -> Iterator[str]:
    """Its address, while the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"api": api}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
