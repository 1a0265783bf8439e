"""The client and `unseen submit` against a server that listens."""

import json
import os
import subprocess
import sys

import pytest
from serving import Served, config, picture

from unseen.client import Client, ServerError, _inside
from unseen.core.errors import InputError, ResourceError


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    server = Served(config(tmp_path_factory.mktemp("serve")))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def client(served):
    with Client(f"http://127.0.0.1:{served.port}", name="a-name-that-is-long-enough") as client:
        yield client


def test_a_job_by_the_client(client, tmp_path):
    (tmp_path / "a.png").write_bytes(picture())
    job = client.submit("count", {"steps": 4}, {"picture": tmp_path / "a.png", "photos": [tmp_path / "a.png"] * 2})
    assert job.state == "QUEUED" and not job.done
    events = list(client.events(job.id))
    assert [e.data["state"] for e in events if e.name == "state"] == ["QUEUED", "RUNNING", "COMPLETED"]
    paths = client.download(job.id, tmp_path / "out")
    assert (tmp_path / "out" / "count.txt").read_text() == "4"
    assert {p.name for p in paths} == {p.name for p in (tmp_path / "out").iterdir()}  # no part is left
    assert [j.id for j in client.jobs()] == [job.id]
    assert sorted(client.delete(job.id)) == sorted(p.name for p in paths) and list(client.jobs()) == []


def test_a_download_goes_on_where_it_stopped(client, tmp_path):
    job = client.wait(client.submit("count", {"size": 2}).id)
    first = client.download(job.id, tmp_path, ["large.bin"])[0]
    data = first.read_bytes()
    reply = client._http.get(f"/v1/jobs/{job.id}/files/large.bin")
    first.rename(tmp_path / ".large.bin.part")
    (tmp_path / ".large.bin.part").write_bytes(data[: 1 << 20])
    (tmp_path / ".large.bin.etag").write_text(reply.headers["etag"])
    assert client.download(job.id, tmp_path, ["large.bin"])[0].read_bytes() == data
    (tmp_path / ".large.bin.part").write_bytes(b"of another file")
    (tmp_path / ".large.bin.etag").write_text('"another"')
    assert client.download(job.id, tmp_path, ["large.bin"])[0].read_bytes() == data


def test_refusals_are_errors_with_the_servers_line(client, tmp_path):
    with pytest.raises(ServerError, match="no kind") as caught:
        client.submit("none")
    assert (caught.value.status, caught.value.code) == (422, "wrong_input")
    with pytest.raises(ServerError, match="no job"):
        client.job("x" * 22)
    with pytest.raises(InputError, match="cannot read"):
        client.submit("count", {}, {"picture": tmp_path / "none.png"})
    with pytest.raises(ResourceError, match="no answer"), Client("http://127.0.0.1:1") as nobody:
        nobody.kinds()


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "", "a//b", "a\\b", "."])
def test_a_servers_names_do_not_lead_out_of_the_folder(tmp_path, name):
    with pytest.raises(InputError, match="plain name"):
        _inside(tmp_path, name)


def test_submit_from_the_command_line(served, tmp_path):
    server = f"http://127.0.0.1:{served.port}"
    command = [sys.executable, "-m", "unseen", "submit", "count", "--server", server, "--json"]
    (tmp_path / "a.png").write_bytes(picture())
    options = [
        "--set",
        "steps=2",
        "--set",
        "mood=good",
        "--file",
        f"picture={tmp_path / 'a.png'}",
        "-o",
        tmp_path / "o",
    ]
    done = subprocess.run([*command, *map(str, options)], capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["files"]) == 3 and (tmp_path / "o" / "count.txt").read_text() == "2"
    failed = subprocess.run(
        [*command, "--set", "fail=too few photos", "-o", str(tmp_path / "p")], capture_output=True, text=True
    )
    assert failed.returncode == 1 and failed.stderr.strip().endswith("error: the job failed: too few photos")
