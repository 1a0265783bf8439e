"""What people with bad intentions try; each is refused, and nothing of it stays."""

import base64
import io
import json
import struct
import time
import zipfile
import zlib
from dataclasses import replace

import pytest
import torch
from serving import ASKED, config, picture, running, submit, wait_for

from unseen.core.errors import FormatError, InputError
from unseen.head.avatar import KIND
from unseen.io.tensors import save_tensors
from unseen.serve.content import AVATAR, suffix_of
from unseen.serve.folders import ID, new_id
from unseen.serve.http import HEAD_S, Patient, serve
from unseen.serve.limits import Limits

PATHS = ("../../../etc/passwd", "/etc/passwd", "..%2f..%2fetc%2fpasswd", "..\\..\\x", "a/../../x", ".", "%00")


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running(config(tmp_path_factory.mktemp("serve"), text_bytes=1 << 20, upload_bytes=4 << 20)) as client:
        yield client
        assert not list(client.server.desk.folders.jobs.glob(".*"))  # nothing of a refused submission stays


@pytest.fixture(scope="module")
def done(api):
    return wait_for(api, submit(api, files=[("picture", "a.png", picture())]).json()["id"])


def refused(reply, *statuses):
    assert reply.status_code in statuses, (reply.status_code, reply.text)
    assert set(reply.json()["error"]) == {"code", "message"}
    assert "/tmp" not in reply.text and "Traceback" not in reply.text
    return reply.json()["error"]["message"]


def multipart(*parts, boundary="b" * 16):
    """A body of (headers, content)."""
    body = b"".join(
        f"--{boundary}\r\n{head}\r\n\r\n".encode("utf-8", "surrogateescape") + data + b"\r\n" for head, data in parts
    )
    return {
        "content": body + f"--{boundary}--\r\n".encode(),
        "headers": {"content-type": f"multipart/form-data; boundary={boundary}"},
    }


def field(name, text):
    return f'Content-Disposition: form-data; name="{name}"', text.encode()


def file(name, given, data):
    return f'Content-Disposition: form-data; name="{name}"; filename="{given}"', data


@pytest.mark.parametrize("path", PATHS)
def test_paths_are_no_names_of_results_or_ids(api, done, path):
    for url in (f"/v1/jobs/{done['id']}/files/{path}", f"/v1/jobs/{path}", f"/download/{path}", f"/static/{path}"):
        assert api.get(url).status_code in (200, 404, 422, 405) and "root:" not in api.get(url).text
    assert api.delete(f"/delete/{path}").status_code in (404, 405, 422)
    assert api.get(f"/v1/jobs/{done['id']}").status_code == 200


@pytest.mark.parametrize("path", PATHS[:4])
def test_paths_are_no_names_of_inputs_kinds_or_files(api, path):
    kind = field("kind", "count")
    refused(api.post("/v1/jobs", **multipart(kind, file(path, "a.png", picture()))), 422)
    refused(api.post("/v1/jobs", **multipart(field("kind", path))), 422)
    refused(submit(api, {path: 1}), 422)
    refused(submit(api, {"mood": path}), 422)
    taken = api.post("/v1/jobs", **multipart(kind, file("picture", path, picture())))
    assert taken.status_code == 201  # its owner's name for a file means nothing
    kept = api.server.desk.folders.inputs(taken.json()["id"])
    assert [f.name for f in kept["picture"]] == ["0000.png"]


def test_what_is_inside_a_folder_but_no_result_is_not_sent(api, done):
    for name in ("../log.txt", "../end.json", "..%2flog.txt", "../in/picture/0000.png", "%2e%2e/end.json"):
        refused(api.get(f"/v1/jobs/{done['id']}/files/{name}"), 404)
    folder = api.server.desk.folders.outputs(done["id"])
    (folder / "link.txt").symlink_to("/etc/passwd")
    assert "link.txt" not in dict(api.server.desk.folders.output_names(done["id"]))


def test_a_picture_with_too_many_pixels_is_not_decoded(api):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1 << 20))) + chunk(b"IEND", b"")
    assert "pixels" in refused(submit(api, files=[("picture", "bomb.png", bomb)]), 422)
    request = ASKED | {"image_prompt": base64.b64encode(bomb).decode()}
    assert "pixels" in api.post("/generate", json=request).json()["error"]


def test_an_archive_that_unpacks_to_far_too_much_is_refused(api):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("meta.json", bytes(300 << 20))
    refused(submit(api, files=[("scene", "a.sog", data.getvalue())]), 422)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("picture", b"<html><script>alert(1)</script>"), ("picture", b""), ("picture", b"GIF89a" + bytes(50)),
        ("scene", b"#!/bin/sh"), ("scene", b"{}"), ("cameras", b"[]"), ("cameras", b"\xff\xfe"),
        ("cameras", b"[" * 100_000), ("cameras", b'{"cameras": [NaN]}'), ("cameras", b"[" + b"9" * 10_000 + b"]"),
    ],
)  # fmt: skip
def test_content_decides_not_names(api, name, data):
    refused(submit(api, files=[(name, "fine.png", data)]), 422)


def test_a_file_of_cameras_names_no_file_of_the_server(api):
    cameras = json.dumps({"frames": [{"file_path": "/etc/passwd", "transform_matrix": []}]}).encode()
    job = submit(api, files=[("cameras", "t.json", cameras)]).json()
    kept = api.server.desk.folders.inputs(job["id"])["cameras"][0].read_text()
    assert "passwd" not in kept


@pytest.mark.parametrize("path", ["/etc/passwd", "../../a.png", "out.png", "C:\\x.png", "", "data:text/plain,hello"])
def test_image_prompt_is_never_a_path(api, path):
    reply = api.post("/generate", json=ASKED | {"image_prompt": path})
    assert reply.status_code == (202 if path == "" else 422)
    assert "No such file" not in reply.text


def test_json_that_is_huge_deep_or_no_object(api):
    assert api.post("/generate", content=b" " * (2 << 20)).status_code == 413
    many = json.dumps(ASKED | {"resolution": [10**6, 4, 4]}).encode()
    for body in (many, b"[" * 50_000, b'{"a":' * 50_000, b"1", b"null", b"\xff", b'{"resolution": [1e999, 2, 3]}'):
        assert api.post("/generate", content=body).status_code == 422
    refused(api.post("/v1/jobs", **multipart(field("kind", "count"), field("settings", "[" * 50_000))), 422)
    refused(api.post("/v1/jobs", **multipart(field("kind", "count"), field("settings", "x" * (2 << 20)))), 413)


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": "3"}, {"steps": 1.5}, {"steps": True}, {"steps": -1}, {"steps": 10**30}, {"seconds": "NaN"},
        {"child": 1}, {"mood": "worse"}, {"fail": 3}, {"fail": "a\0b"}, {"fail": "\ud800"}, {"fail": "x" * 5000},
        {"steps": [1]}, {"steps": {}}, {"unknown": 1}, [], "text", 3,
    ],
)  # fmt: skip
def test_settings_of_wrong_types(api, settings):
    refused(api.post("/v1/jobs", **multipart(field("kind", "count"), field("settings", json.dumps(settings)))), 422)


def test_a_setting_is_no_option_of_the_program(api):
    job = wait_for(api, submit(api, {"fail": "--steps=9 --child"}).json()["id"])
    assert job["message"] == "--steps=9 --child"


@pytest.mark.parametrize(
    "given", ['a"; name="kind', "a\r\nX-Evil: 1", "x" * 5000, "\N{SNOWMAN}.png", "CON", "a.png%00.ply"]
)
def test_headers_are_not_injected_by_names(api, given):
    reply = api.post("/v1/jobs", **multipart(field("kind", "count"), file("picture", given, picture())))
    assert reply.status_code in (201, 422) and "x-evil" not in reply.headers
    if reply.status_code == 201:
        job = wait_for(api, reply.json()["id"])
        assert "x-evil" not in api.get(f"/v1/jobs/{job['id']}/files/count.txt").headers


@pytest.mark.parametrize(
    "options",
    [
        {"content": b"", "headers": {"content-type": "multipart/form-data"}},
        {"content": b"--b\r\n", "headers": {"content-type": "multipart/form-data; boundary=b"}},
        {"content": b"junk", "headers": {"content-type": "multipart/form-data; boundary=b"}},
        {"content": b"x", "headers": {"content-type": "multipart/form-data; boundary=" + "b" * 500}},
        {"json": {"kind": "count"}},
        multipart(field("kind", "count"), field("else", "1")),
        multipart(("X: " + "y" * 20_000, b"")),
        multipart(field("kind", "none")),
        multipart(field("kind", "count"), file("picture", "a.png", picture()), file("picture", "b.png", picture())),
    ],
)
def test_damaged_bodies(api, options):
    refused(api.post("/v1/jobs", **options), 422, 413)


def test_bodies_that_are_too_large(api):
    body = multipart(field("kind", "count"), file("picture", "a.png", bytes(5 << 20)))
    assert "MiB" in refused(api.post("/v1/jobs", **body), 413)
    whole = body.pop("content")
    chunks = (whole[k : k + 65536] for k in range(0, len(whole), 65536))  # without a length
    refused(api.post("/v1/jobs", content=chunks, **body), 413)
    refused(api.post("/v1/session", content=bytes(2 << 20)), 413)


def test_another_clients_jobs_are_not_there(api, done):
    stranger = {"X-Unseen-Client": "a-stranger-from-elsewhere"}
    path = f"/v1/jobs/{done['id']}"
    for method, url in (
        ("GET", path), ("GET", f"{path}/events"), ("GET", f"{path}/files/count.txt"), ("POST", f"{path}/cancel"),
        ("DELETE", path), ("GET", f"/v1/jobs?before={done['id']}"),
    ):  # fmt: skip
        assert refused(api.request(method, url, headers=stranger), 404) == "you have no job of that id"
    assert api.get(f"/task/{done['id']}", headers=stranger).status_code == 404
    assert api.delete(f"/delete/{done['id']}", headers=stranger).status_code == 404
    assert api.get("/v1/jobs", headers=stranger).json()["jobs"] == []
    assert api.get(path).status_code == 200


def test_ids_cannot_be_guessed():
    ids = {new_id() for _ in range(2000)}
    assert len(ids) == 2000 and all(ID.fullmatch(i) for i in ids)
    assert len({i[k] for i in ids for k in (0, 21)}) > 4 and len({i[10] for i in ids}) == 64


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"}, {"host": "evil.example"}, {"host": "127.0.0.1.evil.example:7860"},
        {"host": "[broken"},
    ],
)  # fmt: skip
def test_other_sites_cannot_act_for_a_visitor(api, headers):
    refused(submit(api, headers=headers), 403)
    assert api.options("/v1/jobs", headers=headers | {"access-control-request-method": "POST"}).status_code in (
        403,
        405,
    )


def test_tokens(tmp_path):
    token, other = "t" * 40, "u" * 40
    with running(replace(config(tmp_path), tokens=(token, other), hosts=())) as api:
        for url in ("/v1/kinds", "/v1/jobs", "/metrics", "/status"):
            assert api.get(url).status_code == 401
        for wrong in ("", "Bearer", "Bearer x", f"Basic {token}", f"Bearer {token}x", f"Bearer {token[:-1]}"):
            reply = api.get("/v1/jobs", headers={"authorization": wrong})
            assert reply.status_code == 401 and reply.headers["www-authenticate"] == "Bearer"
        assert api.get("/v1/jobs", headers={"x-unseen-client": "n" * 30}).status_code == 401
        assert api.get("/v1/jobs", headers={"cookie": f"unseen_client={'c' * 43}"}).status_code == 401
        mine = {"authorization": f"Bearer {token}"}
        job = submit(api, headers=mine).json()["id"]
        assert api.get(f"/v1/jobs/{job}", headers={"authorization": f"Bearer {other}"}).status_code == 404
        assert api.post("/v1/session", headers={"authorization": "Bearer nobody"}).status_code == 401
        session = api.post("/v1/session", headers=mine)
        cookie = session.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie and token not in cookie
        assert api.get(f"/v1/jobs/{job}").status_code == 200  # the client keeps the cookie
        assert token.encode() not in b"".join(p.read_bytes() for p in (tmp_path / "state").iterdir() if p.is_file())
        wait_for(api, job)


def test_the_world_outside_is_not_served_without_a_token(tmp_path):
    with pytest.raises(InputError, match="token"):
        serve(config(tmp_path), "0.0.0.0", 0)
    with pytest.raises(InputError, match="16"), running(replace(config(tmp_path), tokens=("short",))):
        pass


def test_logs_hold_no_secrets(tmp_path, caplog):
    with caplog.at_level("DEBUG"), running(replace(config(tmp_path), tokens=("s3cret" * 5,))) as api:
        reply = submit(api, {"fail": "my private words"}, headers={"authorization": f"Bearer {'s3cret' * 5}"})
        api.get(f"/v1/jobs/{reply.json()['id']}?token=s3crets3cret")
        api.get("/v1/jobs", headers={"authorization": "Bearer wr0ng-t0ken"})
    ours = " ".join(str(vars(r)) for r in caplog.records if r.name.startswith("unseen"))
    assert "request" in ours
    for secret in ("s3cret", "wr0ng", "private words"):
        assert secret not in ours


def test_slow_bodies_are_given_up(tmp_path):
    with running(config(tmp_path, idle_seconds=1.0, upload_rate=4096)) as api:

        def slowly(pause, chunk):
            yield b"--b\r\n"
            for _ in range(40):
                time.sleep(pause)
                yield chunk

        headers = {"content-type": "multipart/form-data; boundary=b"}
        refused(api.post("/v1/jobs", content=slowly(0.2, b"x"), headers=headers), 408, 422)


def test_a_head_that_never_ends_is_given_up(tmp_path, monkeypatch):
    import asyncio

    import uvicorn

    monkeypatch.setattr("unseen.serve.http.HEAD_S", 0.5)
    assert HEAD_S > 0.5

    async def app(scope, receive, send):
        raise AssertionError("no request became whole")

    async def attack():
        options = uvicorn.Config(app, port=0, http=Patient, lifespan="off", log_config=None, ws="none")
        server = uvicorn.Server(options)
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n")
        assert await asyncio.wait_for(reader.read(), 20) == b""  # closed
        server.should_exit = True
        await task

    asyncio.run(attack())


def test_a_client_that_opens_many_streams_or_uploads_is_refused(tmp_path):
    with running(config(tmp_path, streams_per_client=2, uploads_per_client=1)) as api:
        job = submit(api, {"steps": 600, "seconds": 1}).json()["id"]
        server = api.server
        server.streams["local"] = 2
        refused(api.get(f"/v1/jobs/{job}/events"), 429)
        with server.desk.receiving("local"):
            refused(submit(api), 429)
        del server.streams["local"]
        api.post(f"/v1/jobs/{job}/cancel")


def test_a_page_that_a_job_made_can_reach_nothing(api, done):
    policy = api.get(f"/v1/jobs/{done['id']}/files/count.txt").headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts;") and "default-src 'none'" in policy
    assert "allow-same-origin" not in policy


@pytest.mark.parametrize("name", ["/etc/passwd", "../flame.pkl", "", None])
def test_an_avatar_names_no_file_of_the_server(tmp_path, name):
    path = tmp_path / "upload"
    save_tensors(path, KIND, 1, {"a": torch.zeros(1)}, {"head_model": name})
    with pytest.raises(FormatError, match="head model"):
        suffix_of(path, "avatar.safetensors", (AVATAR,), Limits())
    save_tensors(path, KIND, 1, {"a": torch.zeros(1)}, {"head_model": "flame2023"})
    assert suffix_of(path, "avatar.safetensors", (AVATAR,), Limits()) == ".safetensors"
    save_tensors(path, "unseen-track", 1, {"a": torch.zeros(1)}, {})
    with pytest.raises(FormatError, match="no avatar"):
        suffix_of(path, "avatar.safetensors", (AVATAR,), Limits())
