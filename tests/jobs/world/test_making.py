"""Windows along a path: which, in what order, and what of them is kept."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from fake_world import FakePipeline, film
from hypothesis import given
from hypothesis import strategies as st

from unseen.core.gaussians import Gaussians
from unseen.fit.metrics import psnr
from unseen.jobs.progress import Silent
from unseen.jobs.world.compose import Asked, named_path
from unseen.jobs.world.making import fills, make, windows
from unseen.jobs.world.paths import along, between, near_plane
from unseen.jobs.world.settings import WorldSettings
from unseen.render.scene import view_gaussians


@given(st.integers(2, 60), st.integers(2, 20), st.data())
def test_windows_cover_the_path_and_always_overlap_what_is_there(count, size, data):
    overlap = data.draw(st.integers(1, size - 1))
    first = data.draw(st.integers(0, count - 1))
    spans = windows(count, size, overlap, first)
    assert first in spans[0] and all(len(s) == min(size, count) for s in spans)
    seen = set(spans[0])
    for span in spans[1:]:
        assert len(seen & set(span)) >= overlap and set(span) - seen
        seen |= set(span)
    assert seen == set(range(count))


def test_all_at_once_without_a_window():
    assert windows(9, 0, 4, 3) == [range(9)] == windows(9, 12, 4, 3)


def test_only_what_is_open_is_filled():
    left, middle, right = named_path("pan", 3, 96, 64, 0.9, reach=0.5)
    old = film(left)
    kept = fills(film(middle), old, [left, middle], [0], 0.01)
    assert 0.2 < kept.float().mean() < 0.8  # half of the middle view is seen from the left
    assert not fills(old, old, [left], [0], 0.01).any()
    away = named_path("pan", 2, 96, 64, 0.9, reach=2.0)
    assert fills(film(away[1]), film(away[0]), [away[1]], [], 0.01).float().mean() > 0.95
    near = replace(old, means=left.center + 0.5 * (old.means - left.center))
    assert not fills(near, old, [left, right], [0], 0.01).any()  # it would hide what is there


def test_windows_join_to_one_world():
    request = Asked(prompt="a room", path="pan", views=9, size=(96, 64), reach=1.5, image_index=4).request(
        FakePipeline.config
    )
    made = make(FakePipeline(jitter=0.01), request, WorldSettings(window=4, overlap=2), Silent())
    assert [w["views"] for w in made.windows] == [[2, 5], [4, 7], [5, 8], [0, 3]]
    assert "seam_psnr_db" not in made.windows[0]
    assert all(w["seam_psnr_db"] > 22 and 0 < w["kept"] < w["made"] for w in made.windows[1:])
    assert len(made.gaussians) == sum(w["kept"] for w in made.windows) and sorted(made.views) == list(range(9))
    truth = Gaussians.cat([film(camera) for camera in request.cameras])
    for camera in request.cameras[::4]:
        assert psnr(view_gaussians(made.gaussians, camera).image, view_gaussians(truth, camera).image) > 24


def test_later_windows_are_shown_what_is_there():
    calls = []

    class Watched(FakePipeline):
        def generate(self, cameras, **options):
            calls.append(options)
            return super().generate(cameras, **options)

    request = Asked(prompt="a room", path="pan", views=6, size=(48, 32), image_index=0).request(FakePipeline.config)
    make(Watched(), request, WorldSettings(window=4, overlap=2, steps=2, feedback=False), Silent())
    assert calls[0]["image"] is None and calls[0]["known"] is None
    assert calls[1]["image"] is not None and calls[1]["image_index"] in (0, 1) and len(calls[1]["known"])
    assert calls[1]["steps"] == 2 and calls[1]["feedback"] is False and calls[1]["prompt"] == "a room"


def test_paths_between():
    cameras = named_path("walk", 5, 48, 32, 0.9)
    assert len(between(cameras)) == 4 and len(along(cameras, 21)) == 21
    halves = torch.stack([c.center for c in between(cameras)])
    means = torch.stack([(a.center + b.center) / 2 for a, b in pairwise(cameras)])
    assert torch.allclose(halves, means, atol=1e-5)
    turning = named_path("pan", 3, 48, 32, 0.9)
    assert near_plane(turning) == pytest.approx(1e-4) and near_plane(cameras) == pytest.approx(0.0201, rel=0.01)
