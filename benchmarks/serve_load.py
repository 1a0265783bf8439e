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

import httpx
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
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=30, limits=limits) as http:
        while True:
            try:
                await http.get("/readyz")
                break
            except httpx.TransportError:
                await asyncio.sleep(0.1)
        owner = {"X-Unseen-Client": "owner-of-all-these-jobs-0"}
        fields = {"kind": (None, "count"), "settings": (None, json.dumps(SETTINGS))}
        end = time.monotonic() + seconds
        current: list[str] = []

        async def feed() -> None:
            while time.monotonic() < end:
                queue = (await http.get("/v1/queue", headers=owner)).json()
                if queue["queued"] + queue["running"] < 4:
                    reply = await http.post("/v1/jobs", files=fields, headers=owner)
                    told["jobs"] += 1
                    current.append(reply.json()["id"])
                else:
                    await asyncio.sleep(0.2)

        async def poll(every: float) -> None:
            await asyncio.sleep(every * (hash(asyncio.current_task()) % 100) / 100)
            order = ["QUEUED", "RUNNING", "COMPLETED"]
            seen: dict[str, int] = {}
            while time.monotonic() < end:
                for job in current[-2:]:
                    began = time.perf_counter()
                    reply = await http.get(f"/v1/jobs/{job}", headers=owner)
                    times.append((time.perf_counter() - began) * 1000)
                    state = reply.json()["state"]
                    told["wrong"] += state not in order or order.index(state) < seen.get(job, 0)
                    seen[job] = order.index(state)
                await asyncio.sleep(every)

        async def stream() -> None:
            while time.monotonic() < end:
                if not current:
                    await asyncio.sleep(0.1)
                    continue
                async with http.stream("GET", f"/v1/jobs/{current[-1]}/events", headers=owner) as reply:
                    told["refused"] += reply.status_code == 429
                    async for line in reply.aiter_lines():
                        told["events"] += line.startswith("event")
                        if time.monotonic() > end:
                            return
                await asyncio.sleep(5)

        half = clients // 2
        await asyncio.gather(
            feed(), *(poll(1.0) for _ in range(half)), *(poll(5.0) for _ in range(clients - half)),
            *(stream() for _ in range(clients - half)),
        )  # fmt: skip
        await asyncio.sleep(15)
        for job in current:
            state = (await http.get(f"/v1/jobs/{job}", headers=owner)).json()["state"]
            told["lost"] += state != "COMPLETED"
    times.sort()
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return (
        told | {"calls": len(times)} | {n: times[min(len(times) - 1, int(s * len(times)))] for n, s in shares.items()}
    )


if __name__ == "__main__":
    main()
