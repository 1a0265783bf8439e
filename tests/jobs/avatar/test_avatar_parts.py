"""Parts of the avatar job: hold-out, motion fine-tuning, first colours, masks, files."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from unseen.core.camera import Camera
from unseen.core.errors import InputError
from unseen.head.avatar import Avatar
from unseen.head.library import head_model
from unseen.head.mirror import mirrored_faces
from unseen.head.params import HeadParams
from unseen.head.posing import posed_vertices
from unseen.head.tracking import Observations, Track
from unseen.jobs.avatar.config import AvatarConfig, MotionRates
from unseen.jobs.avatar.evaluation import evaluate_avatar, head_mask
from unseen.jobs.avatar.holdout import head_turn_rad, split_frames
from unseen.jobs.avatar.initial import diffuse, face_colours, initial_splats
from unseen.jobs.avatar.motion import MotionTuner
from unseen.jobs.avatar.training import AvatarTrainer
from unseen.render.mesh import rasterize_mesh

SIZE, FRAMES = 96, 6


@pytest.fixture(scope="module")
def model():
    return head_model()


@pytest.fixture(scope="module")
def track(model):
    s = torch.linspace(-1, 1, FRAMES)
    params = replace(HeadParams.zeros(model, FRAMES), neck_pose=torch.stack([0 * s, 0.5 * s, 0 * s], -1))
    camera = Camera.look_at([0.0, 0.0, 0.8], [0.0, 0.0, 0.0], SIZE, SIZE, focal_px=1.8 * SIZE)
    return Track(params, camera, 25.0)


@pytest.fixture(scope="module")
def observations(model, track):
    """The bare mesh painted in two colours: the person's left red, the right green."""
    vertices = posed_vertices(model, track.params)
    left = model.v_template[model.faces].mean(1)[:, 0] > 0
    paint = np.where(left[:, None], [200, 40, 40], [40, 180, 40])
    images, alphas = [], []
    for posed in vertices:
        ids = rasterize_mesh(posed, model.faces, track.camera).face_ids.numpy()
        images.append(np.where(ids[..., None] >= 0, paint[ids], 255).astype(np.uint8))
        alphas.append((ids >= 0).astype(np.uint8) * 255)
    marks = model.landmarks["mediapipe478"].points(vertices, model.faces)
    pixels, depth = track.camera.project(marks)
    return Observations(np.stack(images), np.stack(alphas), torch.cat([pixels, depth[..., None]], -1).numpy(), 25.0)


def trainer(model, track, observations, seed=0, iterations=8, **config):
    fitted, _ = split_frames("every:3", track)
    start = initial_splats(model, track, observations, fitted)
    config = AvatarConfig(iterations=iterations, motion_start=2, **config)
    return AvatarTrainer(model, track, observations, fitted, start, config, seed, torch.device("cpu"))


def test_every_nth_frame_is_held_out(track):
    fitted, held = split_frames("every:3", track)
    assert held.tolist() == [2, 5] and fitted.tolist() == [0, 1, 3, 4]


def test_side_fits_on_the_most_frontal_frames(track):
    fitted, held = split_frames("side", track)
    turn = head_turn_rad(track)
    assert len(fitted) == round(0.4 * FRAMES)
    assert turn[fitted].max() <= turn[held].min() + 1e-6
    assert turn[0] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("holdout", ["every:1", "every:x", "left", "every:"])
def test_unknown_holdout_is_refused(track, holdout):
    with pytest.raises(InputError, match="expected none, side, or every:N"):
        split_frames(holdout, track)


def test_corrections_of_held_out_frames_come_from_their_neighbours(track):
    rates = MotionRates(translation=0, rotation=0, neck_pose=1e-2, jaw_pose=0, eyes_pose=0, expr=0, eyelids=0)
    tuner = MotionTuner(track.params, rates, np.array([0, 1, 3, 4]))
    tuner.delta[1], tuner.delta[3] = torch.full((3,), 0.1), torch.full((3,), 0.3)
    tuner.delta[2] = 99.0  # never looked at: must not matter
    tuned = tuner.tuned().neck_pose - track.params.neck_pose
    assert torch.allclose(tuned[2], torch.full((3,), 0.2), atol=1e-6)
    assert torch.allclose(tuned[5], tuned[4])


def test_a_step_moves_one_frame_downhill_at_its_rate(track):
    tuner = MotionTuner(track.params, MotionRates(), np.arange(FRAMES))
    gradient = torch.zeros(tuner.delta.shape[1])
    gradient[tuner.slices["neck_pose"]] = 1.0
    tuner.step(2, gradient, factor=0.5)
    moved = tuner.delta[2, tuner.slices["neck_pose"]]
    assert torch.allclose(moved, torch.full((3,), -0.5 * MotionRates().neck_pose), rtol=1e-4)
    assert tuner.delta[[0, 1, 3, 4, 5]].abs().max() == 0


def test_first_colours_come_from_the_video_and_unseen_sides_from_symmetry(model, track, observations):
    colours = face_colours(model, track, observations, np.arange(FRAMES)).numpy()
    ids = rasterize_mesh(posed_vertices(model, track.params)[3], model.faces, track.camera).face_ids.numpy()
    seen = np.unique(ids[ids >= 0])
    clear = seen[np.abs(model.v_template[model.faces[seen]].mean(1)[:, 0].numpy()) > 0.03]
    left = model.v_template[model.faces[clear]].mean(1)[:, 0].numpy() > 0
    assert np.median(colours[clear[left], 0]) > 0.7 and np.median(colours[clear[~left], 0]) < 0.3
    assert np.isfinite(colours).all() and colours.min() >= 0.01 and colours.max() <= 0.99
    mirror = mirrored_faces(model)
    centres = model.v_template[model.faces].mean(1).numpy()
    assert np.median(np.linalg.norm(centres[mirror] - centres * [-1, 1, 1], axis=-1)) < 1e-3


def test_diffusion_fills_the_unknown_between_the_known():
    strip = np.array([[i, i + 1, i + 2] for i in range(20)])
    colours = np.zeros((20, 3))
    colours[-1] = 1.0
    confidence = np.zeros(20)
    confidence[[0, -1]] = 1.0
    filled = diffuse(colours, confidence, strip)[:, 0]
    assert (np.diff(filled) > 0).all() and filled[0] < 0.1 and filled[-1] > 0.9


def test_head_mask_leaves_the_torso_out(model, track, observations):
    vertices = posed_vertices(model, track.params)[3]
    matte = observations.alphas[3] > 127
    head = head_mask(model, vertices, track.camera, matte)
    assert 0.2 < head.sum() / matte.sum() < 0.95
    assert not head[-1].any() and head[SIZE // 2, SIZE // 2]


@pytest.mark.slow
def test_half_the_steps_a_save_and_a_load_equal_all_steps(model, track, observations, tmp_path):
    from unseen.fit.strategies.bound import DensifyConfig

    plan = {"densify": DensifyConfig(every=4, start=1, stop=100, gradient_threshold=1e-5)}
    whole, first, second = (trainer(model, track, observations, iterations=10, **plan) for _ in range(3))
    while not whole.done:
        whole.step()
    for _ in range(5):
        first.step()
    first.save(tmp_path / "c.safetensors")
    second.load(tmp_path / "c.safetensors")
    while not second.done:
        second.step()
    a, b = whole.avatar(), second.avatar()
    assert len(a.local) > model.num_faces  # it did densify
    for name in ("means", "quats", "log_scales", "logit_opacities", "sh0"):
        assert torch.equal(getattr(a.local, name), getattr(b.local, name)), name
    assert torch.equal(a.params.neck_pose, b.params.neck_pose)


def test_checkpoints_of_another_run_are_refused(model, track, observations, tmp_path):
    trainer(model, track, observations, seed=0).save(tmp_path / "c.safetensors")
    with pytest.raises(InputError, match="another seed"):
        trainer(model, track, observations, seed=1).load(tmp_path / "c.safetensors")


@pytest.mark.slow
def test_fitting_improves_the_held_out_frames_and_files_round_trip(model, track, observations, tmp_path):
    def score(t):
        metrics = evaluate_avatar(t.avatar(), observations, np.array([2, 5]), lambda k, n: None)
        return metrics["held_out"]["matte"]["psnr"]

    run = trainer(model, track, observations, iterations=60)
    before = score(run)
    while not run.done:
        run.step()
    assert score(run) > before + 1
    avatar = run.avatar()
    avatar.save(tmp_path / "avatar.safetensors")
    loaded = Avatar.load(tmp_path / "avatar.safetensors")
    assert torch.equal(loaded.local.means, avatar.local.means) and torch.equal(loaded.binding, avatar.binding)
    assert torch.equal(loaded.posed(loaded.params[2]).means, avatar.posed(avatar.params[2]).means)
