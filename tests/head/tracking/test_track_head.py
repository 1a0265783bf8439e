"""The tracker on landmarks and mattes whose truth is known, and its parts on their own."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from unseen.core.camera import Camera
from unseen.core.errors import FormatError, InputError
from unseen.core.rotations import axis_angle_to_matrix
from unseen.head.library import head_model
from unseen.head.params import HeadParams
from unseen.head.posing import posed_vertices
from unseen.head.tracking import Observations, Track, TrackConfig, evaluate_track, load_landmarks, track_head
from unseen.head.tracking.contour_fit import _closest, outline_of
from unseen.head.tracking.landmark_fit import umeyama
from unseen.head.tracking.photometric import fit_appearance
from unseen.head.tracking.smooth_field import SmoothField, graph_laplacian
from unseen.render.mesh import normal_map, rasterize_mesh

SIZE = 160


@pytest.fixture(scope="module")
def model():
    return head_model()


@pytest.fixture(scope="module")
def truth(model):
    """Twelve frames of a known head turning its neck and opening its mouth before a known camera."""
    frames = 12
    s = torch.linspace(-1, 1, frames)
    g = torch.Generator().manual_seed(5)
    zeros = HeadParams.zeros(model, frames)
    neck = torch.stack([0.1 * s, 0.6 * s, 0 * s], -1)
    jaw = torch.stack([0.15 + 0.1 * torch.cos(3 * s), 0 * s, 0 * s], -1)
    shape = 0.7 * torch.randn(model.num_shape, generator=g)
    params = replace(zeros, neck_pose=neck, jaw_pose=jaw, shape=shape)
    camera = Camera.look_at([0.0, 0.02, 0.75], [0.0, 0.02, 0.0], SIZE, SIZE, focal_px=1.8 * SIZE)
    return Track(params, camera, 25.0)


@pytest.fixture(scope="module")
def observations(model, truth):
    vertices = posed_vertices(model, truth.params)
    marks = model.landmarks["mediapipe478"].points(vertices, model.faces)
    pixels, depth = truth.camera.project(marks)
    scale = truth.camera.K[0, 0] / depth.mean()
    landmarks = torch.cat([pixels, (depth - depth.mean(1, keepdim=True))[..., None] * scale], -1).numpy()
    images, alphas = [], []
    for posed in vertices:
        buffers = rasterize_mesh(posed, model.faces, truth.camera)
        alphas.append((buffers.face_ids >= 0).numpy().astype(np.uint8) * 255)
        normals = normal_map(buffers, posed, model.faces).numpy()
        images.append(((0.5 + 0.5 * normals) * 255 * (alphas[-1] > 0)[..., None]).astype(np.uint8))
    return Observations(np.stack(images), np.stack(alphas), landmarks.astype(np.float32), 25.0)


@pytest.mark.slow
def test_a_known_head_is_found_again(model, truth, observations):
    config = TrackConfig(landmark_steps=200, contour_rounds=2, contour_steps=15, contour_frames=6, photometric_steps=5)
    track = track_head(model, observations, config)
    report = evaluate_track(model, track, observations)
    assert report.summary()["landmark_error_percent_of_interocular"] < 1.5
    assert report.matte_iou.mean() > 0.96
    assert report.flagged == []
    found, true = (
        axis_angle_to_matrix(p.rotation) @ axis_angle_to_matrix(p.neck_pose) for p in (track.params, truth.params)
    )
    relative = found.transpose(-1, -2) @ true
    angle = ((relative.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1, 1).arccos()
    assert angle.max() < 0.12  # 7 degrees: focal length, shape and pose are all free here
    opening = np.corrcoef(track.params.jaw_pose[:, 0].numpy(), truth.params.jaw_pose[:, 0].numpy())[0, 1]
    assert opening > 0.8


@pytest.mark.slow
def test_two_runs_agree_to_the_bit_and_stages_can_be_resumed(model, observations):
    class Memory:
        def __init__(self):
            self.kept = {}

        def load(self, stage):
            return self.kept.get(stage)

        def save(self, stage, unknowns):
            self.kept[stage] = {k: v.clone() for k, v in unknowns.items()}

    config = TrackConfig(landmark_steps=10, contour_rounds=1, contour_steps=3, contour_frames=3, photometric_steps=2)
    first, memory = track_head(model, observations, config, seed=3), Memory()
    track_head(model, observations, config, seed=3, stages=memory)
    assert list(memory.kept) == ["landmarks", "silhouettes", "colours-96", "colours-192", "colours-384"]
    for later in ("silhouettes", "colours-96", "colours-192", "colours-384"):
        memory.kept.pop(later)
    resumed = track_head(model, observations, config, seed=3, stages=memory)
    for name in ("expr", "neck_pose", "translation", "static_offset", "shape"):
        assert torch.equal(getattr(first.params, name), getattr(resumed.params, name)), name


def test_umeyama_recovers_a_similarity():
    g = torch.Generator().manual_seed(0)
    points = torch.randn(30, 3, generator=g, dtype=torch.float64)
    rotation = axis_angle_to_matrix(torch.tensor([0.4, -1.1, 2.0], dtype=torch.float64))
    shift = torch.tensor([3.0, -2.0, 0.5], dtype=torch.float64)
    r, s, t = umeyama(points, 2.5 * points @ rotation.T + shift)
    assert torch.allclose(r, rotation)
    assert torch.allclose(s, torch.tensor(2.5, dtype=torch.float64))
    assert torch.allclose(t, shift)


def test_smooth_field_is_differentiable_smooth_and_pinned(model):
    field = SmoothField(model.faces, model.num_vertices, 20.0, torch.tensor([7]))
    z = torch.zeros(model.num_vertices, 3).requires_grad_()
    with torch.no_grad():
        z[2000] = 1.0
        z[7] = 5.0
    x = field(z)
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    (x * weights).sum().backward()
    other = field((z + 0.5 * weights).detach())
    assert x[7].abs().max() < 1e-4
    rough = graph_laplacian(model.faces, model.num_vertices)
    assert np.abs(rough @ x.detach().numpy()).max() < 0.1 * np.abs(rough @ z.detach().numpy()).max()
    change = ((other - x) * weights).sum()  # the map is linear: the gradient predicts any change exactly
    assert change.item() == pytest.approx((z.grad * 0.5 * weights).sum().item(), rel=1e-3)


def test_outline_of_a_disc_lies_on_its_circle():
    y, x = np.mgrid[:100, :100] + 0.5
    alpha = (np.hypot(x - 50, y - 50) < 30).astype(np.uint8) * 255
    outline = outline_of(alpha)
    radial = outline.points - 50
    assert np.abs(np.linalg.norm(radial, axis=-1) - 30).max() < 1.0
    cosine = (radial * outline.normals).sum(-1) / np.linalg.norm(radial, axis=-1)
    assert cosine.min() > 0.95
    assert len(outline.points) > 30


def test_outline_ignores_what_the_image_cuts_off():
    alpha = np.zeros((60, 60), np.uint8)
    alpha[30:] = 255  # runs into three borders
    outline = outline_of(alpha)
    assert np.abs(outline.points[:, 1] - 30).max() < 1


def test_matches_respect_direction_and_reach():
    points, normals = np.array([[0.0, 0.0]]), np.array([[1.0, 0.0]])
    others = np.array([[1.0, 0.0], [2.0, 0.0], [90.0, 0.0]])
    facing = np.array([[-1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    own, goal = _closest(points, normals, others, facing, reach=10)
    assert own.tolist() == [0] and goal.tolist() == [1]  # the nearest faces the other way
    assert len(_closest(points, normals, others, facing, reach=1.5)[0]) == 0


def test_appearance_separates_colour_from_light():
    g = torch.Generator().manual_seed(1)
    normals = torch.nn.functional.normalize(torch.randn(40, 60, 3, generator=g), dim=-1)
    colours = 0.2 + 0.6 * torch.rand(60, 3, generator=g)
    light = 0.9 + 0.4 * normals @ torch.tensor([0.3, 0.5, -0.6])
    samples = colours * light[..., None]
    found = fit_appearance(samples, torch.ones(40, 60), normals, rounds=8)
    error = (found.shaded(normals) - samples).abs()
    assert error.mean() < 0.006 and error.max() < 0.03  # against differences of 0.06 that the tracker expects


def test_observations_refuse_what_does_not_belong_together(observations):
    o = observations
    shifted = o.landmarks_px + np.array([0, 2 * SIZE, 0], np.float32)
    for changes, message in (
        ({"alphas": o.alphas[:-1]}, "matte"),
        ({"landmarks_px": o.landmarks_px[:-1]}, "landmarks of this video"),
        ({"landmarks_px": shifted}, "do not belong together"),
        ({"landmarks_px": np.full_like(o.landmarks_px, np.nan)}, "a face was found in 0"),
    ):
        with pytest.raises(InputError, match=message):
            replace(o, **changes)
    with pytest.raises(InputError, match="not a picture"):
        Observations(o.images[:1], o.alphas[:1], o.landmarks_px[:1], 25.0)


def test_landmark_files_are_checked_and_scaled(tmp_path):
    path = tmp_path / "l.npz"
    marks = np.random.default_rng(0).random((4, 478, 3)).astype(np.float32) * 100
    np.savez(path, landmarks_px=marks, image_size=np.array([200, 100]))
    np.testing.assert_allclose(load_landmarks(path, 4, 400, 200), 2 * marks)
    with pytest.raises(InputError, match="4 frames, the video 5"):
        load_landmarks(path, 5, 200, 100)
    with pytest.raises(InputError, match="100x200 pixels"):
        load_landmarks(path, 4, 100, 200)
    with pytest.raises(InputError, match="no landmarks file"):
        load_landmarks(tmp_path / "none.npz", 4, 200, 100)
    path.write_bytes(b"PK rubbish")
    with pytest.raises(FormatError, match="not a readable"):
        load_landmarks(path, 4, 200, 100)
    np.savez(path, other=marks)
    with pytest.raises(FormatError, match="lacks"):
        load_landmarks(path, 4, 200, 100)


@pytest.mark.slow
def test_the_real_head_turn_is_tracked_under_four_percent(shared_dir, model):
    """The issue's figure at half the resolution and a part of the steps; the full run does better."""
    from unseen.jobs.inputs import VideoInput, load_observations

    source = VideoInput(shared_dir / "data/real/head_turn.mp4", max_side=256)
    observations = load_observations(source)
    config = TrackConfig(landmark_steps=150, contour_rounds=2, contour_steps=10, contour_frames=8, photometric_steps=0)
    report = evaluate_track(model, track_head(model, observations, config), observations)
    assert report.summary()["landmark_error_percent_of_interocular"] < 4
    assert report.matte_iou.mean() > 0.9
