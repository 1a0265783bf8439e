"""A server and its jobs killed at random moments: no job lost, none done twice, nothing left behind."""

import json
import os
import random
import time
from contextlib import suppress

import httpx
import psutil
import pytest
from serving import Served, config, processes_of

ROUNDS = int(os.environ.get("UNSEEN_KILLS", "12"))
JOBS = 24


def submit(served, number):
    """The id of a new job, None where the server died before it said one."""
    with suppress(httpx.TransportError):
        fields = {"kind": (None, "count"), "settings": (None, json.dumps({"steps": 5 + number % 7, "seconds": 0.04}))}
        reply = served.http.post("/v1/jobs", files=fields)
        assert reply.status_code == 201, reply.text
        return reply.json()["id"]


@pytest.mark.slow
def test_kills_lose_nothing_and_do_nothing_twice(tmp_path):
    rng = random.Random(7)
    served = Served(config(tmp_path, jobs=3, attempts=10_000, queued_per_client=1000, queued=1000))
    served.start()
    try:
        promised = []
        for _ in range(ROUNDS):
            promised += filter(None, (submit(served, k) for k in range(max(1, JOBS // ROUNDS))))
            time.sleep(rng.uniform(0.0, 0.6))
            if rng.random() < 0.5 and (candidates := served.workers()):
                with suppress(psutil.Error):
                    rng.choice(candidates).kill()
            else:
                served.kill()
                served.start()
        states = {}
        end = time.monotonic() + 240
        while len(states) < len(promised) and time.monotonic() < end:
            for job_id in promised:
                job = served.http.get(f"/v1/jobs/{job_id}").json()
                if job["state"] not in ("QUEUED", "RUNNING"):
                    states[job_id] = job["state"]
            time.sleep(0.2)
        assert states == dict.fromkeys(promised, "COMPLETED")
        for job_id in promised:
            assert len(served.http.get(f"/v1/jobs/{job_id}/files/done.txt").text.split()) == 1
            assert served.http.get(f"/v1/jobs/{job_id}/events").text.count("COMPLETED") == 1
        listed = {job["id"] for job in served.http.get("/v1/jobs", params={"limit": 200}).json()["jobs"]}
        folders = {entry.name for entry in (tmp_path / "state" / "jobs").iterdir()}
        assert set(promised) <= listed == folders  # one that was begun when its server died may be there as well
        for job_id in listed:
            inside = {entry.name for entry in (tmp_path / "state" / "jobs" / job_id).iterdir()}
            assert inside <= {"out", "log.txt", "end.json"}
    finally:
        served.stop()
    assert not served.workers()


def test_a_job_that_kills_its_process_fails_in_the_end(tmp_path):
    served = Served(config(tmp_path, attempts=2))
    served.start()
    try:
        job_id = None
        fields = {"kind": (None, "count"), "settings": (None, json.dumps({"steps": 1000, "seconds": 0.5}))}
        job_id = served.http.post("/v1/jobs", files=fields).json()["id"]
        for _ in range(2):
            end = time.monotonic() + 60
            while not (victims := processes_of(job_id)):
                assert time.monotonic() < end
                time.sleep(0.05)
            victims[0].kill()
            time.sleep(0.5)
        end = time.monotonic() + 60
        while (job := served.http.get(f"/v1/jobs/{job_id}").json())["state"] != "FAILED":
            assert time.monotonic() < end, job
            time.sleep(0.1)
        assert "died 2 times" in job["message"]
    finally:
        served.stop()
