"""The page in a headless Chromium, against an API of canned answers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browsing import Visit, until
from page_server import Api, serving

from turning_avatar import turning_avatar
from unseen.core import paths
from unseen.core.flashworld_cameras import camera_from_flashworld, camera_to_flashworld
from unseen.core.gaussians import Gaussians
from unseen.head.sliders import sliders_of
from unseen.io.axes import rdf_to_rub
from unseen.io.ply import save_ply
from unseen.io.splat import save_splat
from unseen.io.spz import save_spz
from unseen.io.video import VideoWriter
from unseen.jobs.avatar.outputs import write_page
from unseen.jobs.world.compose import PATHS, named_path

pytestmark = pytest.mark.slow
PHONE = {"width": 360, "height": 740}


def splats(num: int = 200, degree: int = 1) -> Gaussians:
    g = torch.Generator().manual_seed(0)
    return Gaussians(
        means=torch.rand(num, 3, generator=g) - 0.5,
        quats=torch.nn.functional.normalize(torch.randn(num, 4, generator=g), dim=1),
        log_scales=(torch.rand(num, 3, generator=g) * 0.04 + 0.01).log(),
        logit_opacities=torch.randn(num, generator=g) + 1,
        sh0=torch.rand(num, 3, generator=g) * 2 - 1,
        shN=torch.randn(num, (degree + 1) ** 2 - 1, 3, generator=g) * 0.2,
    )


def video(path: Path, width: int, shade: float) -> None:
    with VideoWriter(path, fps=10.0) as writer:
        for t in range(5):
            writer.write(torch.full((64, width, 3), shade) + 0.02 * t)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What jobs of each kind leave, written by the package itself."""
    folders = {kind: tmp_path_factory.mktemp(kind) for kind in ("avatar", "world", "render", "repair")}
    write_page(folders["avatar"] / "viewer.html", turning_avatar(10.0), title="A </script> head")
    video(folders["avatar"] / "comparison.mp4", 192, 0.4)
    save_ply(folders["world"] / "scene.ply", splats())
    save_spz(folders["world"] / "scene.spz", splats())
    video(folders["render"] / "video.mp4", 64, 0.5)
    video(folders["repair"] / "before.mp4", 64, 0.1)
    video(folders["repair"] / "after.mp4", 64, 0.8)
    return folders


def test_a_world_by_prompt_along_a_drawn_path(browser, outcomes):
    api = Api(outcomes)
    with serving(api) as url, Visit(browser, url) as visit:
        page = visit.open("", ".card")
        page.click("text=Make a 3D world")
        page.fill("textarea", "a room with a red chair")
        page.click("text=Draw a camera path")
        page.click("text=Walk")
        page.get_by_role("spinbutton", name="Frames").fill("12")
        page.get_by_role("button", name="Start").click()
        page.wait_for_selector(".stage[data-state=ready]")
        assert page.locator(".job-head .pill").inner_text() == "done"
        assert page.locator(".file-table a").all_inner_texts() == ["scene.ply", "scene.spz"]
    sent = api.received[0]
    assert sent["kind"] == b"world" and json.loads(sent["settings"]) == {"prompt": "a room with a red chair"}
    request = json.loads(sent["cameras"])
    assert request["resolution"] == [12, 480, 704]
    check_path([camera_from_flashworld(c, 704, 480) for c in request["cameras"]], "walk", tolerance=0.03)


def test_a_drawn_path_is_filmed_in_its_own_size(browser, outcomes):
    """The job would stretch it to its default size otherwise."""
    api = Api(outcomes)
    with serving(api) as url, Visit(browser, url) as visit:
        page = visit.open("new/render", "form")
        page.set_input_files(".zone input >> nth=0", outcomes["world"] / "scene.ply")
        assert page.locator(".settings").get_by_label("Width").is_visible()
        page.click("text=Draw a camera path")
        assert not page.locator(".settings").get_by_label("Width").is_visible()
        page.locator(".path-controls").get_by_label("Height").fill("320")
        page.get_by_role("button", name="Start").click()
        page.wait_for_selector(".pill[data-state=COMPLETED]")
    assert json.loads(api.received[0]["settings"]) == {"width": 704, "height": 320}
    assert json.loads(api.received[0]["cameras"])["resolution"] == [24, 320, 704]


def check_path(cameras: list[Any], kind: str, tolerance: float) -> None:
    width, height = cameras[0].width, cameras[0].height
    for camera, wanted in zip(cameras, named_path(kind, len(cameras), width, height, np.radians(50.0)), strict=True):
        assert torch.allclose(camera.K, wanted.K, rtol=1e-4)
        assert float((camera.center - wanted.center).norm()) < tolerance
        turn = camera.world_to_camera[:3, :3] @ wanted.world_to_camera[:3, :3].T
        assert float((turn - torch.eye(3)).abs().max()) < 2 * tolerance


def test_templates_are_the_paths_by_name(browser, outcomes):
    """At their keys exactly; between them the smooth path stays near."""
    with serving(Api(outcomes)) as url, Visit(browser, url) as visit:
        page = visit.open("", ".card")
        found = page.evaluate("""async () => {
            const { TEMPLATES } = await import("/static/path/templates.js");
            const { PathModel } = await import("/static/path/model.js");
            const { toJson } = await import("/static/path/json.js");
            return Object.fromEntries(Object.entries(TEMPLATES).map(([name, make]) => {
              const model = new PathModel(() => {});
              const keys = make(model.anchor, model.ahead);
              model.change(keys);
              return [name, { keys: toJson(keys, 64, 48), path: toJson(model.frames, 64, 48) }];
            }));
        }""")
    assert set(found) == set(PATHS)
    for name, made in found.items():
        keys, path = ([camera_from_flashworld(c, 64, 48) for c in made[part]["cameras"]] for part in ("keys", "path"))
        if name not in ("dolly", "spiral"):  # these are eased, or end before they begin again
            check_path(keys, name, tolerance=1e-4)
        if name != "spiral":
            check_path(path, name, tolerance=0.03)
        assert len(path) == 24


def test_a_path_goes_out_and_in_as_flashworlds_json(browser, outcomes, tmp_path):
    cameras = named_path("spiral", 7, 352, 256, 0.8)
    request = {
        "image_prompt": None, "text_prompt": "a garden", "image_index": 0, "resolution": [7, 256, 352],
        "cameras": [camera_to_flashworld(camera) for camera in cameras],
    }  # fmt: skip
    (tmp_path / "request.json").write_text(json.dumps(request))
    (tmp_path / "broken.json").write_text(json.dumps({**request, "cameras": [{"quaternion": [2, 0, 0, 0]}]}))
    with serving(Api(outcomes)) as url, Visit(browser, url) as visit:
        page = visit.open("new/world", "form")
        page.click("text=Draw a camera path")
        page.set_input_files(".path-controls input[type=file]", tmp_path / "request.json")
        until(page, "document.querySelector('textarea').value === 'a garden'")  # the editor starts with seven keys too
        assert page.locator(".keys li").count() == 7
        with page.expect_download() as download:
            page.click("text=Export")
        download.value.save_as(tmp_path / "path.json")
        page.set_input_files(".path-controls input[type=file]", tmp_path / "broken.json")
        page.wait_for_selector(".path-editor .notice:visible")
        assert "Camera 0: its position" in page.inner_text(".path-editor .notice")
    back = paths.from_file(tmp_path / "path.json")
    for camera, wanted in zip(back, cameras, strict=True):
        assert torch.allclose(camera.world_to_camera, wanted.world_to_camera, atol=1e-5)
        assert torch.allclose(camera.K, wanted.K, rtol=1e-5)


def test_cameras_are_placed_dragged_and_taken_back(browser, outcomes):
    position = "[...document.querySelectorAll('.key-panel input')].map((input) => Number(input.value))"
    with serving(Api(outcomes)) as url, Visit(browser, url) as visit:
        page = visit.open("new/world", "form")
        page.click("text=Draw a camera path")
        page.wait_for_selector(".strip button")
        page.locator(".overlay").scroll_into_view_if_needed()
        page.focus(".overlay")
        before = page.evaluate(position)
        page.keyboard.press("w")
        assert np.linalg.norm(np.subtract(page.evaluate(position), before)) == pytest.approx(0.05, abs=2e-4)
        page.keyboard.press("z")
        assert page.evaluate(position) == before
        page.keyboard.press("Space")
        assert page.locator(".keys li").count() == 8 and "added" in page.inner_text("#live")
        page.keyboard.press("Delete")
        assert page.locator(".keys li").count() == 7
        page.keyboard.press("Enter")
        assert page.get_by_role("button", name="Look through").first.get_attribute("aria-pressed") == "true"
        page.keyboard.press("Escape")
        box, handle = page.locator(".overlay").bounding_box(), first_handle(page)
        x, y = box["x"] + handle["x"], box["y"] + handle["y"]
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 40, y + 10, steps=4)
        page.mouse.up()
        moved = first_handle(page)
        assert (moved["x"] - handle["x"], moved["y"] - handle["y"]) == pytest.approx((40, 10), abs=0.5)
        page.keyboard.press("z")
        assert page.evaluate(position) == before


def first_handle(page: Any) -> dict[str, float]:
    """Where the first camera is drawn, computed anew from its numbers."""
    return page.evaluate("""async () => {
        const { outsideView } = await import("/static/path/eyes.js");
        const { PathModel } = await import("/static/path/model.js");
        const { projected } = await import("/static/path/overlay.js");
        const { anchor, ahead } = new PathModel(() => {});
        const canvas = document.querySelector(".overlay");
        const point = [...document.querySelectorAll(".key-panel input")].map((input) => Number(input.value));
        return projected(outsideView(anchor, ahead).matrices(canvas.clientWidth, canvas.clientHeight), point);
    }""")


def test_files_of_splats_are_read_as_the_package_reads_them(browser, outcomes, tmp_path):
    g = splats()
    save_ply(tmp_path / "scene.ply", g)
    save_spz(tmp_path / "scene.spz", g)
    save_splat(tmp_path / "scene.splat", g)
    (tmp_path / "mesh.ply").write_bytes(b"ply\nformat ascii 1.0\nelement vertex 0\nend_header\n")
    with serving(Api({**outcomes, "world": tmp_path})) as url, Visit(browser, url) as visit:
        page = visit.open("", ".card")
        read = """async (name) => {
            const { loadSplats } = await import("/static/scene/load.js");
            const { splatRows } = await import("/static/viewer/splats.js");
            const answer = await fetch(`/v1/jobs/JOB/files/${name}`);
            const { manifest, arrays } = await loadSplats(name, await answer.arrayBuffer());
            return { rows: [...splatRows(arrays)], sh: arrays.sh ? [...arrays.sh.data] : [], up: manifest.view.up };
        }""".replace("JOB", serving_job(page, url))
        found = {suffix: page.evaluate(read, f"scene.{suffix}") for suffix in ("ply", "spz", "splat")}
        refused = page.evaluate(f"({read})('mesh.ply').catch((error) => error.message)")
    assert "binary little-endian" in refused
    for suffix, tolerance in (("ply", 2e-6), ("spz", 0.03), ("splat", 0.03)):
        stands = rdf_to_rub(g) if suffix == "spz" else g
        rows = torch.tensor(found[suffix]["rows"]).reshape(-1, 16)
        if suffix == "splat":  # in another order
            order = ((rows[:, None, :3] - g.means[None]).norm(dim=2)).argmin(1)
            stands = g.select(order)
        check_rows(rows, stands, tolerance)
        assert found[suffix]["up"] == ([0, 1, 0] if suffix == "spz" else [0, -1, 0])
    sh = torch.tensor(found["ply"]["sh"]).reshape(-1, 3, 3) / 127.5 - 1
    assert float((sh - g.shN.clamp(-1, 1)).abs().max()) < 0.005


def serving_job(page: Any, url: str) -> str:
    """Id of a world that is done."""
    return page.evaluate("""async () => {
        const body = new FormData();
        body.set("kind", "world");
        return (await (await fetch("/v1/jobs", { method: "POST", body })).json()).id;
    }""")


def check_rows(rows: torch.Tensor, g: Gaussians, tolerance: float) -> None:
    from unseen.core.rotations import quaternion_to_matrix

    half = quaternion_to_matrix(torch.nn.functional.normalize(g.quats, dim=1)) * g.scales[:, None]
    cov = half @ half.transpose(1, 2)
    wanted = torch.stack([cov[:, 0, 0], cov[:, 0, 1], cov[:, 0, 2], cov[:, 1, 1], cov[:, 1, 2], cov[:, 2, 2]], 1)
    assert float((rows[:, :3] - g.means).abs().max()) < min(tolerance, 1e-4)
    assert float((rows[:, 3] - g.opacities).abs().max()) < tolerance
    assert float((rows[:, 4:10] - wanted).abs().max()) < tolerance * float(wanted.abs().max()) * 3
    assert float((rows[:, 12:15] - g.rgb).abs().max()) < tolerance


def test_an_avatar_moves_beside_its_input(browser, outcomes):
    api = Api(outcomes)
    job = api.add("avatar", "COMPLETED")
    with serving(api) as url, Visit(browser, url, reduced_motion="reduce") as visit:
        page = visit.open(f"job/{job['id']}", ".stage[data-state=ready]")
        assert page.locator(".player .play").inner_text() == "Play"  # motion is not forced on anybody
        timeline = page.get_by_label("Time", exact=True)
        timeline.fill("3")
        assert page.locator(".player .time").inner_text() == "0.3 / 0.4 s"
        until(page, "Math.abs(document.querySelector('.first-third video').currentTime - 0.3) < 0.01")
        page.focus(".stage canvas")
        page.keyboard.press("b")
        assert page.locator(".stage").get_attribute("data-background") == "grey"


def test_sliders_move_an_avatar_as_its_model_would(browser, outcomes):
    shown, value, frame = turning_avatar(10.0), 0.33, 4
    jaw = next(slider for slider in sliders_of(shown.model) if slider.name.startswith("jaw"))
    wanted = shown.posed(jaw.added(shown.params[frame], value)).means
    api = Api(outcomes)
    job = api.add("avatar", "COMPLETED")
    with serving(api) as url, Visit(browser, url, reduced_motion="reduce") as visit:
        page = visit.open(f"job/{job['id']}", ".slider-row")
        assert page.locator(".slider-row").count() == len(sliders_of(shown.model))
        page.get_by_label("jaw (rad)").fill(str(value))
        means = page.evaluate(
            """async (url) => {
            const { loadSplats } = await import("/static/scene/load.js");
            const { Rig } = await import("/static/viewer/splats.js");
            const { manifest, arrays } = await loadSplats("viewer.html", await (await fetch(url)).arrayBuffer());
            const rig = new Rig(arrays, manifest);
            rig.sliders.list[0].value = 0.33;
            rig.pose(4);
            return [...rig.means];
        }""",
            f"/v1/jobs/{job['id']}/files/viewer.html",
        )
    off = (torch.tensor(means).reshape(-1, 3) - wanted).norm(dim=1).max()
    still = (shown.posed(shown.params[frame]).means - wanted).norm(dim=1).max()
    assert float(off) < 1e-4 < 0.01 < float(still)


def test_before_and_after_a_repair(browser, outcomes):
    api = Api(outcomes)
    job = api.add("repair", "COMPLETED")
    with serving(api) as url, Visit(browser, url) as visit:
        page = visit.open(f"job/{job['id']}", ".compare")
        slider = page.get_by_label("before against after")
        slider.focus()
        page.keyboard.press("Home")
        until(page, "document.querySelector('.compare video').readyState >= 2")
        assert shade(page, 0.7) > 0.6 and shade(page, 0.3) > 0.6
        page.keyboard.press("End")
        assert shade(page, 0.3) < 0.3 and slider.get_attribute("aria-valuetext") == "100 % before"


def shade(page: Any, share: float) -> float:
    """Brightness of the comparison at a share of its width."""
    from io import BytesIO

    from PIL import Image

    picture = np.asarray(Image.open(BytesIO(page.locator(".compare").screenshot())).convert("L")) / 255
    return float(picture[int(0.6 * picture.shape[0]), int(share * picture.shape[1])])


def test_progress_failure_and_cancellation(browser, outcomes):
    api = Api(outcomes, steps=60)
    failed, running = api.add("repair", "FAILED", "12 photos: expected at least 20"), api.add("render")
    with serving(api) as url, Visit(browser, url) as visit:
        page = visit.open(f"job/{running['id']}", "progress[value]")
        assert re.fullmatch(r"Fitting, \d+ of 60", page.inner_text(".stage-line"))
        page.get_by_role("button", name="Cancel").click()
        page.wait_for_selector(".pill[data-state=CANCELLED]")
        page = visit.open(f"job/{failed['id']}", ".pill[data-state=FAILED]")
        assert page.inner_text("pre.notice") == "12 photos: expected at least 20"
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Delete").click()
        page.wait_for_selector(".cards")
        assert failed["id"] not in api.jobs


def test_a_missing_input_is_named_and_a_wrong_file_refused(browser, outcomes, tmp_path):
    (tmp_path / "notes.txt").write_text("no splats")
    api = Api(outcomes)
    with serving(api) as url, Visit(browser, url) as visit:
        page = visit.open("new/render", "form")
        page.set_input_files(".zone input >> nth=0", tmp_path / "notes.txt")
        assert "notes.txt: expected .ply, .spz" in page.inner_text("#live")
        page.get_by_role("button", name="Start").click()
        assert "Still missing: Scene" in page.inner_text(".settings .notice")
    assert not api.received


def test_a_server_with_tokens_asks_once(browser, outcomes):
    with serving(Api(outcomes, token="a-long-enough-token")) as url:
        visit = Visit(browser, url)
        page = visit.open("", "text=Sign in")
        page.fill("#token", "another")
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_selector("text=wrong token")
        page.fill("#token", "a-long-enough-token")
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_selector(".card")
        visit.context.close()


UNNAMED = """() => [...document.querySelectorAll("button, input, select, textarea, a, canvas, video, img")]
    .filter((node) => !(node.getAttribute("aria-hidden") || node.closest("[hidden], [aria-hidden]")
      || node.hasAttribute("alt") || node.getAttribute("aria-label") || node.labels?.length || node.textContent.trim()
      || node.closest("button[aria-label], figure")))
    .map((node) => node.outerHTML)"""
DOUBLE_IDS = """() => { const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
    return ids.filter((id, i) => ids.indexOf(id) !== i); }"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_fits_a_phone_and_names_its_controls(browser, outcomes, scheme):
    api = Api(outcomes)
    jobs = [api.add(kind, "COMPLETED")["id"] for kind in outcomes]
    options = {"viewport": PHONE, "color_scheme": scheme}
    with serving(api) as url, Visit(browser, url, **options) as visit:
        for route in ["", "new/avatar", "new/world", "new/render", *(f"job/{job}" for job in jobs)]:
            page = visit.open(route, "main h1")
            if route == "new/world":
                page.click("text=Draw a camera path")
                page.wait_for_selector(".strip button")
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], route
            assert page.evaluate(UNNAMED) == [], route
            assert page.evaluate(DOUBLE_IDS) == [], route
            assert page.locator("h1").count() == 1
        back = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (int(re.findall(r"\d+", back)[0]) > 128) == (scheme == "light")
