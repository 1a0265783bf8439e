"""Jobs from submission to deletion, as clients meet them."""

import json
import os
import time

import pytest
from serving import ASKED, COUNT, KINDS, config, picture, processes_of, running, submit, wait_for

from unseen.core.errors import InputError, ResourceError
from unseen.serve.server import Server


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running(config(tmp_path_factory.mktemp("serve"))) as client:
        yield client


def events_of(text):
    parts = (dict(line.split(": ", 1) for line in block.splitlines()) for block in text.strip().split("\n\n"))
    return [(int(p["id"]), p["event"], json.loads(p["data"])) for p in parts if "event" in p]


def test_a_job_from_submission_to_deletion(api):
    reply = submit(api, {"steps": 3}, [("picture", "a.png", picture())])
    assert reply.status_code == 201
    job = reply.json()
    assert reply.headers["location"] == f"/v1/jobs/{job['id']}" and job["state"] == "QUEUED"
    done = wait_for(api, job["id"])
    assert done["state"] == "COMPLETED" and done["progress"] == {"stage": "counting", "done": 3, "total": 3}
    assert {"name": "count.txt", "bytes": 1, "type": "application/octet-stream"} in done["files"]
    assert done["preview"] == "picture.png" and done["expires"] > done["ended"] >= done["started"] >= done["created"]
    assert api.get(f"/v1/jobs/{job['id']}/files/count.txt").text == "3"
    assert api.get("/v1/jobs").json()["jobs"][0]["id"] == job["id"]
    gone = api.delete(f"/v1/jobs/{job['id']}").json()["deleted"]
    assert sorted(gone) == ["count.txt", "done.txt", "picture.png"]
    assert api.get(f"/v1/jobs/{job['id']}").status_code == 404
    assert not api.server.desk.folders.job(job["id"]).exists()


def test_files_come_in_parts_and_are_not_sent_twice(api):
    job = wait_for(api, submit(api, {"steps": 12}).json()["id"])
    path = f"/v1/jobs/{job['id']}/files/count.txt"
    whole = api.get(path)
    part = api.get(path, headers={"Range": "bytes=1-1"})
    assert (part.status_code, part.text, part.headers["content-range"]) == (206, "2", "bytes 1-1/2")
    assert api.get(path, headers={"Range": "bytes=9-"}).status_code == 416
    assert api.get(path, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    assert api.get(path, headers={"Range": "bytes=1-1", "If-Range": '"other"'}).text == "12"
    assert api.head(path).headers["content-length"] == "2"


def test_events_are_streamed_and_resumed(api):
    job = submit(api, {"steps": 4, "seconds": 0.1}).json()
    events = events_of(api.get(f"/v1/jobs/{job['id']}/events").text)
    states = [data["state"] for _, name, data in events if name == "state"]
    assert states == ["QUEUED", "RUNNING", "COMPLETED"]
    assert any(name == "progress" and data["total"] == 4 for _, name, data in events)
    assert [number for number, _, _ in events] == sorted(number for number, _, _ in events)
    path = f"/v1/jobs/{job['id']}/events"
    again = events_of(api.get(path, headers={"Last-Event-ID": str(events[-2][0])}).text)
    assert again == events[-1:]
    assert api.get(path, headers={"Last-Event-ID": str(events[-1][0])}).status_code == 204


def test_a_running_job_is_really_stopped(api):
    job = submit(api, {"steps": 1000, "seconds": 0.5, "child": True}).json()
    wait_for(api, job["id"], "RUNNING")
    end = time.monotonic() + 30
    while len(processes_of(job["id"])) < 2 and time.monotonic() < end:  # the job and its child
        time.sleep(0.05)
    assert len(processes_of(job["id"])) == 2
    assert api.post(f"/v1/jobs/{job['id']}/cancel").json()["state"] == "CANCELLED"
    assert not processes_of(job["id"])
    assert api.post(f"/v1/jobs/{job['id']}/cancel").status_code == 200  # it stays so
    finished = wait_for(api, submit(api).json()["id"])
    assert api.post(f"/v1/jobs/{finished['id']}/cancel").status_code == 409


def test_a_job_that_fails_says_why_without_a_path(api):
    job = wait_for(api, submit(api, {"fail": "cannot read /srv/secret/place/video.mp4: damaged"}).json()["id"])
    assert (job["state"], job["message"]) == ("FAILED", "cannot read video.mp4: damaged")


@pytest.mark.parametrize(
    ("limit", "asked", "word"),
    [
        ({"job_seconds": 1.0}, {}, "longer"),
        ({"memory_bytes": 150 << 20}, {"hoard": 300}, "memory"),
        ({"job_bytes": 5 << 20}, {"size": 20}, "larger"),
    ],
)
def test_limits_of_time_memory_and_disk_stop_a_job(tmp_path, limit, asked, word):
    with running(config(tmp_path, **limit)) as api:
        job = wait_for(api, submit(api, asked | {"steps": 600, "seconds": 1}).json()["id"])
        assert job["state"] == "FAILED" and word in job["message"]
        assert not processes_of(job["id"])


def test_back_pressure(tmp_path):
    with running(config(tmp_path, jobs=1, queued_per_client=2, queued=3)) as api:
        first = submit(api, {"steps": 100, "seconds": 1}).json()["id"]
        wait_for(api, first, "RUNNING")
        positions = [submit(api).json()["position"] for _ in range(2)]
        assert positions == [0, 1]
        refused = submit(api)
        assert refused.status_code == 429 and int(refused.headers["retry-after"]) > 0
        assert "2 of your jobs" in refused.json()["error"]["message"]
        other = {"X-Unseen-Client": "another-client-altogether"}
        assert submit(api, headers=other).json()["position"] == 0  # whoever has nothing running comes first
        assert submit(api, headers=other).status_code == 429
        assert api.get("/v1/queue").json() == {"queued": 3, "running": 1, "limit": 1}
        api.post(f"/v1/jobs/{first}/cancel")


def test_results_expire_and_nothing_else_is_removed(tmp_path):
    with running(config(tmp_path, keep_seconds=1.0)) as api:
        folders = api.server.desk.folders
        job = wait_for(api, submit(api).json()["id"])
        (folders.jobs / "a-person's folder").mkdir()
        (folders.state / "notes.txt").write_text("mine")
        time.sleep(1.1)
        api.server.runner.sweep()
        assert api.get(f"/v1/jobs/{job['id']}").status_code == 404
        assert [entry.name for entry in folders.jobs.iterdir()] == ["a-person's folder"]
        assert (folders.state / "notes.txt").is_file()


def test_a_folder_of_others_is_not_used_and_one_in_use_not_twice(tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="other files"), Server.opened(config(tmp_path)):
        pass
    used = config(tmp_path / "b")
    with Server.opened(used), pytest.raises(ResourceError, match="in use"), Server.opened(used):
        pass


def test_a_server_that_stops_leaves_its_jobs_waiting_and_the_next_goes_on(tmp_path):
    with running(config(tmp_path)) as api:
        job = submit(api, {"steps": 30, "seconds": 0.1}).json()
        wait_for(api, job["id"], "RUNNING")
        end = time.monotonic() + 20
        while not (api.server.desk.folders.outputs(job["id"]) / "count.txt").is_file() and time.monotonic() < end:
            time.sleep(0.05)
    assert not processes_of(job["id"])
    with running(config(tmp_path)) as api:
        done = wait_for(api, job["id"])
        assert done["state"] == "COMPLETED"
        assert len(api.get(f"/v1/jobs/{job['id']}/files/done.txt").text.split()) == 1
        assert api.server.store.job(job["id"]).attempts == 1  # stopping is no fault of the job


def test_kinds_tell_what_they_take(api):
    kinds = {kind["name"]: kind for kind in api.get("/v1/kinds").json()["kinds"]}
    assert set(kinds) == set(KINDS)
    assert [i["name"] for i in kinds["count"]["inputs"]] == [i.name for i in COUNT.inputs]
    steps = next(s for s in kinds["count"]["settings"] if s["name"] == "steps")
    assert (steps["type"], steps["default"], steps["minimum"]) == ("integer", 3, 0)


def test_flashworlds_clients_find_their_routes(api):
    reply = api.post("/generate", json=ASKED)
    assert reply.status_code == 202 and set(reply.json()) == {"success", "task_id", "file_id", "queue"}
    task_id = reply.json()["task_id"]
    end = time.monotonic() + 30
    while (task := api.get(f"/task/{task_id}").json())["status"] not in ("completed", "failed"):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert task["download_url"] == f"/download/{task_id}" and "/" not in task["file_path"]
    folder = api.server.desk.folders.outputs(task_id)
    (folder / "scene.ply").write_bytes(b"ply\n")  # the test's job makes none
    api.server.store.record_files(task_id, [{"name": "scene.ply", "bytes": 4}], None, 4)
    download = api.get(f"/download/{task_id}")
    assert download.content == b"ply\n" and "scene.ply" in download.headers["content-disposition"]
    status = api.get("/status").json()
    assert status["success"] and status["status"]["max_concurrent"] == 2
    assert api.post(f"/delete/{task_id}").json() == {"success": True, "deleted": ["scene.ply"]}
    assert api.get(f"/task/{task_id}").json() == {"error": "you have no job of that id"}
    assert api.post("/generate", json={"resolution": [1, 2]}).json()["error"].startswith("input: resolution")


def test_health_metrics_and_docs(api):
    assert api.get("/healthz").json() == api.get("/readyz").json() == {"status": "ok"}
    text = api.get("/metrics").text
    assert 'unseen_jobs{state="RUNNING"}' in text and 'route="/healthz"' in text
    page = api.get("/docs").text
    assert "POST /v1/jobs" in page and "http://" not in page.replace("http://localhost", "") and "<script" not in page
    assert os.path.basename(__file__) not in text


@pytest.mark.parametrize("name", ["/v1/kinds", "/docs", "/openapi.json", "/v1/jobs/none", "/static/none.js"])
def test_every_reply_has_the_security_headers(api, name):
    headers = api.get(name).headers
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "access-control-allow-origin" not in headers
