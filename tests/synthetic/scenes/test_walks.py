"""Ways of filming."""

import math

import pytest
import torch

from unseen.core import InputError
from unseen.synthetic.scenes import dome, focal_px, stroll

SQUARE = [(0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 2.0)]


def test_focal_lengths_compare_by_the_diagonal() -> None:
    assert abs(focal_px(400, 300, 43.267) - 500) < 0.01
    assert abs(focal_px(800, 600, 24) - 2 * focal_px(400, 300, 24)) < 1e-9


def test_a_stroll_moves_smoothly_at_eye_height_and_looks_everywhere() -> None:
    cameras = stroll(SQUARE, 120, width=64, height=48, seed=3)
    eyes = torch.stack([c.center for c in cameras])
    ahead = torch.stack([c.world_to_camera[2, :3] for c in cameras])
    steps, turns = (eyes.roll(-1, 0) - eyes).norm(dim=1), (ahead * ahead.roll(-1, 0)).sum(1)
    assert len(cameras) == 120 and steps.max() < 0.6  # the last leads back to the first
    assert turns.min() > math.cos(math.radians(30))
    assert eyes[:, 1].min() > 0.7 and eyes[:, 1].max() < 2.0
    quarters = {(bool(a > 0), bool(b > 0)) for a, b in ahead[:, [0, 2]]}
    assert len(quarters) == 4
    with pytest.raises(InputError, match="stops"):
        stroll(SQUARE[:2], 5, width=64, height=48)


def test_a_dome_sees_its_target_from_every_side() -> None:
    target = (0.2, 0.8, -0.1)
    cameras = dome(60, target=target, radius_m=(1.0, 2.0), width=64, height=48)
    offsets = torch.stack([c.center for c in cameras]) - torch.tensor(target)
    assert offsets.norm(dim=1).min() > 0.99 and offsets.norm(dim=1).max() < 2.01
    assert len({math.floor(math.atan2(x, z) * 4 / math.pi) for x, _, z in offsets.tolist()}) == 8
    for camera in cameras:
        pixels, depth = camera.project(torch.tensor([target]))
        assert depth > 0 and (pixels[0] - torch.tensor([32.0, 24.0])).norm() < 16
