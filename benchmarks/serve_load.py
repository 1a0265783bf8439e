"""Two hundred clients that poll and stream while jobs run: how long a status call takes, and whether anything is lost.

    python benchmarks/serve_load.py [--clients 200] [--seconds 20]

The server runs as a process of its own with jobs that wait rather than compute, so that the server is measured and not
the jobs; half of the clients poll once a second, the others hold an event stream open and poll every five seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import socket
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "serve"))

from serving import config

from unseen.serve.http import serve

SETTINGS = {"steps": 40, "seconds": 0.1}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20.0)
    asked = parser.parse_args()
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        setup = config(Path(folder), streams_per_client=asked.clients, kept_per_client=10_000)
        process = multiprocessing.get_context("fork").Process(target=serve, args=(setup, "127.0.0.1", port))
        process.start()
        try:
            found = asyncio.run(load(f"http://127.0.0.1:{port}", asked.clients, asked.seconds))
            spent = psutil.Process(process.pid).cpu_times()
        finally:
            process.terminate()
            process.join()
    print(f"{asked.clients} clients, {asked.seconds:.0f} s, {found['calls']} status calls, {found['events']} events")
    for name in ("p50", "p90", "p99", "max"):
        print(f"{name:<8}{found[name]:8.1f} ms")
    print(f"CPU: server {spent.user + spent.system:.1f} s, clients {time.process_time():.1f} s: both need room to tell")
    print(f"jobs: {found['jobs']}; lost: {found['lost']}; wrong states: {found['wrong']}; refused: {found['refused']}")


async def load(url: str, clients: int, seconds: float) -> dict[str, float]:
    """Four jobs wait or run at any time, whoever has one watches it."""
    times: list[float] = []
    told = {"events": 0, "wrong": 0, "refused": 0, "jobs": 0, "lost": 0}
    connector, patience = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(60)
    owner = {"X-Unseen-Client": "owner-of-all-these-jobs-0"}
    async with aiohttp.ClientSession(url, connector=connector, timeout=patience, headers=owner) as http:
        await ready(http)
        end = time.monotonic() + seconds
        current: list[str] = []

        async def state_of(job: str) -> str:
            async with http.get(f"/v1/jobs/{job}") as reply:
                return (await reply.json())["state"]

        async def feed() -> None:
            while time.monotonic() < end:
                async with http.get("/v1/queue") as reply:
                    queue = await reply.json()
                if queue["queued"] + queue["running"] < 4:
                    asked = {"kind": "count", "settings": json.dumps(SETTINGS)}
                    fields = aiohttp.FormData(asked, default_to_multipart=True)
                    async with http.post("/v1/jobs", data=fields) as reply:
                        told["jobs"] += 1
                        current.append((await reply.json())["id"])
                else:
                    await asyncio.sleep(0.2)

        async def poll(every: float, first: float) -> None:
            await asyncio.sleep(every * first)
            order = ["QUEUED", "RUNNING", "COMPLETED"]
            seen: dict[str, int] = {}
            while time.monotonic() < end:
                for job in current[-2:]:
                    began = time.perf_counter()
                    state = await state_of(job)
                    times.append((time.perf_counter() - began) * 1000)
                    told["wrong"] += state not in order or order.index(state) < seen.get(job, 0)
                    seen[job] = order.index(state)
                await asyncio.sleep(every)

        async def stream() -> None:
            while time.monotonic() < end:
                if not current:
                    await asyncio.sleep(0.1)
                    continue
                async with http.get(f"/v1/jobs/{current[-1]}/events") as reply:
                    told["refused"] += reply.status == 429
                    async for line in reply.content:
                        told["events"] += line.startswith(b"event")
                        if time.monotonic() > end:
                            return
                await asyncio.sleep(5)

        half = clients // 2
        await asyncio.gather(
            feed(), *(poll(1.0, k / half) for k in range(half)),
            *(poll(5.0, k / half) for k in range(clients - half)), *(stream() for _ in range(clients - half)),
        )  # fmt: skip
        await asyncio.sleep(15)
        for job in current:
            told["lost"] += await state_of(job) != "COMPLETED"
    times.sort()
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return (
        told | {"calls": len(times)} | {n: times[min(len(times) - 1, int(s * len(times)))] for n, s in shares.items()}
    )


async def ready(http: aiohttp.ClientSession) -> None:
    """Return once the server answers."""
    while True:
        try:
            async with http.get("/readyz"):
                return
        except aiohttp.ClientError:
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    main()
