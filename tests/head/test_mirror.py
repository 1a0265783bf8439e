"""Left and right exchanged."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unseen.core.camera import Camera
from unseen.head.library import head_model
from unseen.head.mirror import Mirror, mirrored_camera, mirrored_faces
from unseen.head.params import HeadParams
from unseen.head.procedural import EXPRESSION_NAMES


@pytest.fixture(scope="module")
def model():
    return head_model()


def lively(model, seed):
    """A turned, moved head with one eye half closed and a crooked smile."""
    rng = np.random.default_rng(seed)
    zeros = HeadParams.zeros(model)
    expr = torch.from_numpy(rng.uniform(0, 0.5, zeros.expr.shape)).float()
    turns = {n: torch.from_numpy(rng.normal(0, 0.2, getattr(zeros, n).shape)).float() for n in TURNS}
    return replace(zeros, expr=expr, eyelids=torch.tensor([[0.5, 0.0]]), **turns)


TURNS = ("rotation", "neck_pose", "jaw_pose", "eyes_pose", "translation")


@given(seed=st.integers(0, 3))
def test_a_mirrored_head_is_the_mirror_image_of_the_head(model, seed):
    params = lively(model, seed)
    mesh, image = model.vertices(params)[0], model.vertices(Mirror(model)(params))[0]
    partner = np.array([-1.0, 1.0, 1.0]) * mesh[model.faces].mean(1).numpy()
    off = np.linalg.norm(image[model.faces].mean(1).numpy()[mirrored_faces(model)] - partner, axis=-1)
    assert np.median(off) < 5e-4 and np.quantile(off, 0.99) < 4e-3  # metres; the template is not quite symmetric


def test_left_expressions_become_right_ones_and_twice_is_nothing(model):
    mirror, params = Mirror(model), HeadParams.zeros(model)
    left, right = (EXPRESSION_NAMES.index(f"mouth_smile_{side}") for side in ("left", "right"))
    params.expr[0, left] = 1.0
    once = mirror(params)
    assert once.expr[0, right] > 0.95 and abs(once.expr[0, left]) < 0.05
    assert torch.allclose(mirror(once).expr, params.expr, atol=0.05)


def test_a_mirrored_camera_sees_the_flipped_picture():
    camera = Camera.look_at([0.3, 0.1, 1.0], [0.02, 0.0, 0.0], 64, 48, focal_px=70)
    points = torch.randn(10, 3) * 0.1
    pixels, depth = camera.project(points)
    mirrored, far = mirrored_camera(camera).project(points * torch.tensor([-1.0, 1, 1]))
    assert torch.allclose(mirrored, pixels * torch.tensor([-1.0, 1]) + torch.tensor([64.0, 0]), atol=1e-3)
    assert torch.allclose(far, depth, atol=1e-5)
    assert torch.linalg.det(mirrored_camera(camera).world_to_camera[:3, :3]) == pytest.approx(1.0, abs=1e-5)
