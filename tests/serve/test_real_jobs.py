"""Real jobs of the real server through the page: a world, an avatar, a repair, from the form to what is shown of them.

Screenshots are left in the tests' temporary folder (and in UNSEEN_SCREENSHOTS where that is set)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import Visit
from serving import Served

from photo_samples import photograph_room, room_cameras
from unseen.cli.kinds import all_kinds
from unseen.serve.guard import LOOPBACK
from unseen.serve.limits import Limits
from unseen.serve.server import Config

pytestmark = pytest.mark.slow
WAIT_MS = 400_000


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    state = tmp_path_factory.mktemp("real") / "state"
    served = Served(Config(state, all_kinds(), Limits(), hosts=LOOPBACK))
    served.start()
    yield f"http://127.0.0.1:{served.port}"
    served.stop()


@pytest.fixture
def shot(tmp_path: Path) -> Any:
    folder = Path(os.environ.get("UNSEEN_SCREENSHOTS", tmp_path))

    def take(page: Any, name: str) -> None:
        page.screenshot(path=folder / f"{name}.png")

    return take


def sample(folder: Path, what: str, *options: str) -> Path:
    """What `unseen sample` writes."""
    out = folder / what
    command = [sys.executable, "-m", "unseen", "sample", what, "-o", str(out), *options]
    subprocess.run(command, check=True, capture_output=True)
    return out


def settings(page: Any, **values: object) -> None:
    """Fill in fields of the form, those behind "More settings" too."""
    if page.locator("details.more").count():
        page.evaluate("document.querySelector('details.more').open = true")
    for name, value in values.items():
        field = page.locator(f"[name={name}]")
        if isinstance(value, bool):
            field.set_checked(value)
        elif field.evaluate("e => e.tagName") == "SELECT":
            field.select_option(str(value))
        else:
            field.fill(str(value))


def finished(page: Any, shot: Any, name: str) -> list[str]:
    """Start the job, see how it goes, and wait for its end; the names of its files."""
    page.get_by_role("button", name="Start").click()
    ended = ".job-head .pill:text-matches('^(done|failed)$')"
    page.wait_for_selector(f"img.preview:not([hidden]), {ended}", timeout=WAIT_MS)
    shot(page, f"{name}-running")
    page.wait_for_selector(ended, timeout=WAIT_MS)
    assert page.locator(".job-head .pill").inner_text() == "done", page.locator("main").inner_text()
    return page.locator(".file-table a").all_inner_texts()


def test_a_world_by_prompt_along_a_drawn_path(browser, url, shot):
    with Visit(browser, url) as visit:
        page = visit.open("new/world", "form")
        page.fill("textarea", "a room with a red chair")
        page.click("text=Draw a camera path")
        page.click("text=Walk")
        page.get_by_role("spinbutton", name="Frames").fill("8")
        settings(page, size="128x96")
        files = finished(page, shot, "world")
        page.wait_for_selector(".stage[data-state=ready]")
        shot(page, "world-done")
        job = page.request.get(f"{url}/v1/jobs/{page.url.rpartition('/')[2]}").json()
    assert {"scene.ply", "cameras.json", "video.mp4"} <= set(files)
    assert sum(file["name"].startswith("views/") for file in job["files"]) == 8


def test_a_repair_of_photos(browser, url, shot, tmp_path):
    pytest.importorskip("pycolmap", reason="needs pycolmap: pip install 'unseen[sfm]'")
    photograph_room(tmp_path / "photos", room_cameras(8), [f"{k}.jpg" for k in range(8)])
    with Visit(browser, url) as visit:
        page = visit.open("new/repair", "form")
        page.set_input_files(".zone input >> nth=0", sorted((tmp_path / "photos").iterdir()))
        settings(page, fixer="tiny", steps=300, max_splats=8000, views=4)
        files = finished(page, shot, "repair")
        page.wait_for_selector(".compare")
        shot(page, "repair-done")
    assert {"scene.ply", "raw.ply", "before_after.mp4"} <= set(files)


def test_an_avatar_of_a_video(browser, url, shot, tmp_path):
    clip = sample(tmp_path, "head", "--frames", "16", "--size", "128")
    with Visit(browser, url) as visit:
        page = visit.open("new/avatar", "form")
        zones = page.locator(".zone input")
        for k, name in enumerate(("video.mp4", "video.landmarks.npz", "video.alpha.mp4")):
            zones.nth(k).set_input_files(clip / name)
        settings(page, quality="preview", iterations=200, prior="none")
        files = finished(page, shot, "avatar")
        page.wait_for_selector(".stage[data-state=ready]")
        shot(page, "avatar-done")
    assert {"avatar.ply", "viewer.html"} <= set(files)
