"""Servers for tests, with a cheap kind of job."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
from PIL import Image
from starlette.testclient import TestClient

from unseen.serve.app import create_app
from unseen.serve.content import CAMERAS, GAUSSIANS, PICTURE, REQUEST
from unseen.serve.executor import Executor
from unseen.serve.guard import LOOPBACK
from unseen.serve.http import serve
from unseen.serve.kinds import Input, Kind, Setting
from unseen.serve.limits import Limits
from unseen.serve.server import Config, Server
from unseen.serve.supervisor import JOB_VARIABLE

PROGRAM = Path(__file__).with_name("counting.py")
SETTINGS = (
    Setting("steps", "integer", "How far to count.", 3, minimum=0, maximum=10_000),
    Setting("seconds", "number", "Between two numbers.", 0.02, minimum=0, maximum=60),
    Setting("hoard", "integer", "MiB to hold.", 0, minimum=0, maximum=4096),
    Setting("size", "integer", "MiB to write.", 0, minimum=0, maximum=4096),
    Setting("child", "flag", "Start a process of its own.", False),
    Setting("fail", "text", "Fail, saying so.", ""),
    Setting("mood", "choice", "Nothing.", "good", ("good", "bad")),
)


def _command(inputs, settings, out):
    options = [f"--{name}={value}" for name, value in settings.items() if name not in ("child", "mood")]
    return [sys.executable, str(PROGRAM), str(out), *options, *(["--child"] if settings.get("child") else [])]


COUNT = Kind(
    "count", "Count.",
    (
        Input("picture", "A picture.", (PICTURE,)), Input("photos", "Pictures.", (PICTURE,), many=True),
        Input("cameras", "Cameras.", (CAMERAS,)), Input("scene", "Splats.", (GAUSSIANS,)),
    ),
    SETTINGS, _command, ("*.txt", "*.png", "large.bin"), ("*.png",),
)  # fmt: skip
WORLD = Kind(
    "world", "Count, for FlashWorld's clients.", (Input("input", "A request.", (REQUEST,)),),
    tuple(Setting(name, "flag", "Write it.", False) for name in ("ply", "spz", "html")),
    lambda inputs, settings, out: [sys.executable, str(PROGRAM), str(out)], ("scene.ply", "*.txt"),
)  # fmt: skip
KINDS = {kind.name: kind for kind in (COUNT, WORLD)}
QUICK = Limits(jobs=2, job_seconds=60, attempts=3)


def config(folder: Path, **limits) -> Config:
    return Config(folder / "state", KINDS, replace(QUICK, **limits), hosts=(*LOOPBACK, "testserver"))


CAMERA = {"quaternion": [1, 0, 0, 0], "position": [0, 0, 0], "fx": 500.0, "fy": 500.0, "cx": 352.0, "cy": 240.0}
ASKED = {
    "text_prompt": "a room", "image_prompt": None, "image_index": 0, "resolution": [24, 480, 704],
    "cameras": [CAMERA, CAMERA | {"position": [0, 0, -1]}],
}  # fmt: skip
"""A request as FlashWorld's clients send it."""


@contextmanager
def running(configuration: Config, executor: Executor | None = None) -> Iterator[TestClient]:
    """A client of a server that runs within the block."""
    with (
        Server.opened(configuration, executor) as server,
        TestClient(create_app(server), raise_server_exceptions=False) as api,
    ):
        api.server = server
        yield api


def submit(api, settings=None, files=(), kind="count", **options):
    """The reply to a submission; files: (input, name, bytes)."""
    fields = {"kind": kind, "settings": json.dumps(settings or {})}
    parts = [(name, (given, data)) for name, given, data in files]
    if not parts:
        boundary = "x" * 20
        body = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()
        )
        headers = {"content-type": f"multipart/form-data; boundary={boundary}"} | options.pop("headers", {})
        return api.post("/v1/jobs", content=f"{body}--{boundary}--\r\n".encode(), headers=headers, **options)
    return api.post("/v1/jobs", data=fields, files=parts, **options)


def wait_for(api, job_id, *states, seconds=60, **options):
    """The job, once it is in one of the states."""
    end = time.monotonic() + seconds
    while True:
        job = api.get(f"/v1/jobs/{job_id}", **options).json()
        if job["state"] in (states or ("COMPLETED", "FAILED", "CANCELLED")):
            return job
        assert time.monotonic() < end, job
        time.sleep(0.05)


def picture(width=8, height=6, kind="PNG") -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(data, kind)
    return data.getvalue()


OF_SERVER = "UNSEEN_TEST_SERVER"
"""Environment variable of what a `Served` starts: its folder."""


def processes_of(job_id) -> list[psutil.Process]:
    """Those of a job on this machine."""
    return _processes_with(JOB_VARIABLE, job_id)


def _processes_with(variable, value) -> list[psutil.Process]:
    """Those that were started with a variable of the environment and still run."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(variable) == value and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


class Served:
    """A server in a process of its own, which may be killed and started again."""

    def __init__(self, configuration):
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        self.config = configuration
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=20)

    def start(self):
        # forked, so that it does not wait for torch to be imported again
        self.process = multiprocessing.get_context("fork").Process(target=self._serve, daemon=False)
        self.process.start()
        end = time.monotonic() + 60
        while True:
            with suppress(httpx.TransportError):
                if self.http.get("/readyz").status_code == 200:
                    return
            assert time.monotonic() < end and self.process.is_alive()
            time.sleep(0.05)

    def _serve(self):
        os.environ[OF_SERVER] = str(self.config.state)
        serve(self.config, "127.0.0.1", self.port)

    def workers(self) -> list[psutil.Process]:
        """Supervisors and jobs of this server, and of those before it in its folder."""
        return _processes_with(OF_SERVER, str(self.config.state))

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()

    def stop(self):
        self.process.terminate()
        self.process.join(30)
