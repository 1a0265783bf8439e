"""Pictures of work under way: not too often, and always a last one."""

from types import SimpleNamespace

import pytest
import torch

from unseen.core.camera import Camera
from unseen.io.images import read_image
from unseen.jobs import preview


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(preview.time, "monotonic", lambda: now.seconds)
    return now


def test_now_and_then_and_at_the_end(clock, tmp_path):
    shown = []

    def picture(trainer):
        clock.seconds += 0.5  # what it costs
        shown.append(trainer.iteration)
        return torch.full((4, 6, 3), trainer.iteration / 100)

    watch = preview.Preview(tmp_path, picture)
    for k in range(1, 101):
        clock.seconds += 1.0
        watch(SimpleNamespace(iteration=k, done=k == 100), 0.0)
    assert shown == [5, 30, 55, 80, 100]  # half a second of each 25
    assert read_image(tmp_path / preview.PREVIEW).shape == (4, 6, 3)
    assert {path.name for path in tmp_path.iterdir()} == {preview.PREVIEW}


def test_cameras_of_previews_show_the_same_in_fewer_pixels():
    camera = Camera.look_at(torch.tensor([0.0, 0, -3]), torch.zeros(3), width=1920, height=1080, fov_y_rad=0.8)
    less = preview.small(camera)
    assert (less.width, less.height) == (480, 270)
    torch.testing.assert_close(camera.project(torch.ones(1, 3))[0] / 4, less.project(torch.ones(1, 3))[0])
    tiny = camera.resized(64, 48)
    assert preview.small(tiny).width == 64


def test_views_side_by_side():
    images = torch.rand(5, 4, 6, 3)
    assert torch.equal(preview.views_picture(images), torch.cat([images[0], images[2], images[4]], 1))
    assert torch.equal(preview.views_picture(images[:1]), images[0])
