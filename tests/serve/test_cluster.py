"""Jobs on a cluster of two machines, both of them this one; one is lost in the middle of a job."""

import socket
import time
from contextlib import suppress

import pytest
from serving import config, processes_of, running, submit, wait_for

from unseen.core.errors import ResourceError

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "ray_client_server_port": port})
    found.reached_at = f"ray://127.0.0.1:{port}"
    found.machines = [found.add_node(num_cpus=1) for _ in range(2)]
    found.wait_for_nodes()
    yield found
    ray.shutdown()
    found.shutdown()


@pytest.fixture(scope="module")
def executor(cluster):
    from unseen.serve.cluster import ClusterExecutor

    for _ in range(2):  # on a busy machine Ray gives up starting a client's server before it is there
        with suppress(ResourceError):
            return ClusterExecutor(cluster.reached_at)
    return ClusterExecutor(cluster.reached_at)


def test_jobs_run_side_by_side_are_stopped_and_outlive_a_machine(cluster, executor, tmp_path):
    with running(config(tmp_path, jobs=2), executor) as api:
        jobs = [submit(api, {"steps": 30, "seconds": 0.1}).json()["id"] for _ in range(2)]
        done = [wait_for(api, job) for job in jobs]
        assert [job["state"] for job in done] == ["COMPLETED"] * 2
        assert done[0]["started"] < done[1]["ended"] and done[1]["started"] < done[0]["ended"]
        for job in jobs:
            assert api.get(f"/v1/jobs/{job}/files/done.txt").status_code == 200
            assert "progress" in api.get(f"/v1/jobs/{job}/events").text

        failed = submit(api, {"fail": "no such colour"}).json()["id"]
        assert "no such colour" in wait_for(api, failed)["message"]

        stopped = submit(api, {"steps": 10_000, "seconds": 0.1, "child": True}).json()["id"]
        working(stopped)
        assert api.post(f"/v1/jobs/{stopped}/cancel").json()["state"] == "CANCELLED"
        assert not processes_of(stopped)

        jobs = [submit(api, {"steps": 60, "seconds": 0.1}).json()["id"] for _ in range(2)]
        for job in jobs:
            working(job)
        cluster.remove_node(cluster.machines.pop(), allow_graceful=False)
        done = [wait_for(api, job, "COMPLETED", "FAILED", seconds=120) for job in jobs]
        assert [job["state"] for job in done] == ["COMPLETED"] * 2
        attempts = sorted(api.server.store.job(job).attempts for job in jobs)
        assert attempts == [1, 2]
        for job in jobs:
            assert len(api.get(f"/v1/jobs/{job}/files/done.txt").text.split()) == 1
        assert not any(processes_of(job) for job in jobs)


def working(job_id, seconds=60):
    end = time.monotonic() + seconds
    while not processes_of(job_id):
        assert time.monotonic() < end
        time.sleep(0.1)


def test_no_cluster_there(monkeypatch):
    from unseen.serve.cluster import ClusterExecutor

    def unreachable(address, **_):
        raise ConnectionError(f"nothing at {address}")

    monkeypatch.setattr(ray, "init", unreachable)
    with pytest.raises(ResourceError, match="no Ray cluster at ray://nowhere:1: nothing at"):
        ClusterExecutor("ray://nowhere:1")
