"""An avatar judged by another camera: the whole job on a synthetic take, its figures, its refusals."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unseen.core.camera import Camera
from unseen.core.errors import InputError, MissingDependencyError
from unseen.core.gaussians import Gaussians
from unseen.head.avatar import Avatar
from unseen.head.library import head_model
from unseen.head.procedural import procedural_head
from unseen.io.video import VideoWriter, probe
from unseen.jobs.avatar.colour_match import ColourMatch, ColourMoments, pixels_of
from unseen.jobs.avatar.evaluation import JudgedFrame
from unseen.jobs.avatar.side_view import SideViewRequest, judge_side_view
from unseen.jobs.inputs import VideoInput
from unseen.jobs.progress import Silent
from unseen.render.scene import render_gaussians
from unseen.synthetic import Motion, SyntheticSubject

SIZE, FRAMES, FPS = 96, 12, 12.0


class Notes(Silent):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


@pytest.fixture(scope="module")
def avatar():
    """The bare head, its left half reddish, turning from side to side."""
    model = head_model()
    turns = ((0.0, -30.0), (0.5, 25.0), (0.95, 0.0))
    motion = Motion.sample(4, FRAMES, fps=FPS, turns=turns)
    params = motion.params(procedural_head(), SyntheticSubject.sample(4).shape).fitted_to(model)
    n = model.num_faces
    colours = torch.where(model.v_template[model.faces].mean(1)[:, :1] > 0, torch.tensor([0.7, 0.4, 0.3]), 0.5)
    quats = torch.zeros(n, 4)
    quats[:, 0] = 1
    splats = Gaussians.from_rgb(
        torch.zeros(n, 3), torch.tensor([0.55, 0.25, 0.55]).expand(n, 3), quats, torch.full((n,), 0.9), colours
    )
    camera = Camera.look_at([0.0, 0.0, 0.9], [0.0, -0.02, 0.0], SIZE, SIZE, focal_px=1.8 * SIZE)
    return Avatar(model, splats, torch.arange(n), params, camera, FPS)


@pytest.fixture(scope="module")
def side():
    return Camera.look_at([0.6, 0.1, 0.65], [0.0, -0.02, 0.0], SIZE + 20, SIZE + 30, focal_px=1.8 * (SIZE + 30))


@pytest.fixture(scope="module")
def take(avatar, side, tmp_path_factory):
    """A folder with the avatar in out/ and side.mp4 of itself, darker, with its companions."""
    folder = tmp_path_factory.mktemp("take")
    (folder / "out").mkdir()
    avatar.save(folder / "out/avatar.safetensors")
    marks = []
    with VideoWriter(folder / "side.mp4", FPS, 6) as video, VideoWriter(folder / "side.alpha.mp4", FPS, 6) as mattes:
        for t in range(FRAMES):
            vertices = avatar.model.vertices(avatar.params[t])[0]
            black, white = (render_gaussians(avatar.on(vertices), side, background=b) for b in (0.0, 1.0))
            video.write(0.8 * white)
            mattes.write((1 - (white - black)).clamp(0, 1))
            points = avatar.model.landmarks["mediapipe478"].points(vertices, avatar.model.faces)
            pixels, depth = side.project(points)
            marks.append(
                torch.cat([pixels, ((depth - depth.mean()) * side.K[0, 0] / depth.mean())[:, None]], 1).numpy()
            )
    np.savez(folder / "side.landmarks.npz", landmarks_px=np.stack(marks), image_size=[side.height, side.width])
    return folder


def request(take, **changes):
    return dataclasses.replace(SideViewRequest(take / "out", VideoInput(take / "side.mp4")), **changes)


def test_the_take_is_judged_from_where_the_camera_stood(take, side):
    result = judge_side_view(request(take, share_focal=True), Silent())
    assert json.loads((take / "out/eval/side.json").read_text()) == result
    for name, width in (("comparison", 3 * side.width), ("overlay", 2 * side.width)):
        video = probe(take / f"out/eval/side.{name}.mp4")
        assert video.num_frames == FRAMES and video.width == width
    found = torch.tensor(result["camera"]["world_to_camera"])
    assert (found - side.world_to_camera).abs().max() < 5e-3
    assert result["camera"]["degrees_from_the_avatars_camera"] == pytest.approx(43, abs=4)
    matte = result["matte"]
    assert list(matte) == ["psnr", "psnr_colour_matched", "ssim", "l1"]
    # 0.8 of the brightness costs a fifth of the colours: 20 dB or so; matched, only coding is left
    assert 14 < matte["psnr"] < 24 and matte["psnr_colour_matched"] > matte["psnr"] + 8
    match = ColourMatch(*(np.array(result["colour_match"][name]) for name in ("gain", "offset")))
    assert np.allclose(match.gain * 0.45 + match.offset, 0.8 * 0.45, atol=0.02)  # the head's middle grey
    assert [row["frame"] for row in result["per_frame"]] == list(range(FRAMES))


def test_a_mirrored_video_is_noticed_and_turned_back(take, side, tmp_path):
    from unseen.io.video import iter_frames

    for name in ("side.mp4", "side.alpha.mp4"):
        with VideoWriter(tmp_path / name, FPS, 6) as video:
            for frame in iter_frames(take / name):
                video.write(frame.flip(1))
    from unseen.head.landmarks import mirrored_landmarks

    file = np.load(take / "side.landmarks.npz")
    marks = file["landmarks_px"][:, mirrored_landmarks(head_model()).numpy()]
    marks[..., 0] = side.width - marks[..., 0]
    np.savez(tmp_path / "side.landmarks.npz", landmarks_px=marks, image_size=file["image_size"])
    source, notes = VideoInput(tmp_path / "side.mp4"), Notes()
    judge_side_view(request(take, source=source, share_focal=True, offset_s=0.0), notes)
    assert any("fits better in a mirror" in note and "--mirrored" in note for note in notes.notes)
    notes = Notes()
    result = judge_side_view(request(take, source=source, share_focal=True, offset_s=0.0, mirrored=True), notes)
    assert not notes.notes and result["matte"]["psnr_colour_matched"] > 22


def test_refusals_say_what_to_do(take, tmp_path):
    with pytest.raises(InputError, match="no avatar at"):
        judge_side_view(request(take, out=tmp_path), Silent())
    with pytest.raises(InputError, match="exclude each other"):
        judge_side_view(request(take, focal_px=200.0, share_focal=True), Silent())
    with pytest.raises(InputError, match="share 0 frames"):
        judge_side_view(request(take, offset_s=3.0), Silent())
    long = tmp_path / "long.mp4"
    with VideoWriter(long, FPS) as video, VideoWriter(tmp_path / "long.alpha.mp4", FPS) as mattes:
        for _ in range(40):
            video.write(np.zeros((64, 48, 3), np.uint8))
            mattes.write(np.full((64, 48), 255, np.uint8))
    try:
        with pytest.raises(InputError, match="no face"):  # MediaPipe is installed here
            judge_side_view(request(take, source=VideoInput(long)), Silent())
    except MissingDependencyError as error:
        assert "--landmarks" in str(error)
    marks = np.random.default_rng(0).uniform(10, 40, (40, 478, 3)).astype(np.float32)
    np.savez(tmp_path / "long.landmarks.npz", landmarks_px=marks, image_size=[64, 48])
    with pytest.raises(InputError, match=r"lasts 3.33 s, the avatar's motion 1.00 s.*--offset"):
        judge_side_view(request(take, source=VideoInput(long)), Silent())


@given(st.integers(0, 2**31 - 1), st.floats(0.7, 1.3), st.floats(-0.1, 0.1))
def test_a_match_undoes_gain_and_offset_and_its_error_is_that_of_the_pixels(seed, gain, offset):
    g = torch.Generator().manual_seed(seed)
    render, mask = torch.rand(7, 5, 3, generator=g), (torch.rand(7, 5, generator=g) < 0.7).float()
    mask[0, :2] = 1
    exact = JudgedFrame(render, gain * render + offset, {"matte": mask})
    moments = ColourMoments.of(exact, mask)
    match = ColourMatch.fitted(*pixels_of(exact, mask))
    assert np.allclose(match.gain, gain, atol=1e-3) and np.allclose(match.offset, offset, atol=1e-3)
    assert match.psnr(moments) > 80
    noisy = exact._replace(target=exact.target + 0.1 * torch.randn(7, 5, 3, generator=g))
    moments = ColourMoments.of(noisy, mask)
    direct = (
        (torch.from_numpy(match.gain) * render + torch.from_numpy(match.offset) - noisy.target)[mask > 0] ** 2
    ).mean()
    assert match.psnr(moments) == pytest.approx(-10 * float(direct.log10()), abs=1e-4)


def test_what_the_render_lacks_does_not_bend_the_match():
    g = torch.Generator().manual_seed(0)
    render = 0.2 + 0.4 * torch.rand(60, 40, 3, generator=g)
    target = 0.9 * render + 0.03 + 0.01 * torch.randn(60, 40, 3, generator=g)
    render[:15] = 1.0  # a hole: white where the photo has something
    match = ColourMatch.fitted(*pixels_of(JudgedFrame(render, target, {}), torch.ones(60, 40)))
    assert np.allclose(match.gain, 0.9, atol=0.05) and np.allclose(match.offset, 0.03, atol=0.02)


def test_a_frames_moments_are_sums_and_a_flat_render_keeps_its_gain():
    g = torch.Generator().manual_seed(1)
    frame = JudgedFrame(torch.rand(6, 6, 3, generator=g), torch.rand(6, 6, 3, generator=g), {})
    top = torch.zeros(6, 6)
    top[:2] = 1
    both = ColourMoments.of(frame, top).sums + ColourMoments.of(frame, 1 - top).sums
    assert np.allclose(both, ColourMoments.of(frame, torch.ones(6, 6)).sums)
    flat = frame._replace(render=torch.full((6, 6, 3), 0.25))
    match = ColourMatch.fitted(*pixels_of(flat, torch.ones(6, 6)))
    assert (match.gain == 1).all()
    assert np.isnan(match.psnr(ColourMoments.of(frame, torch.zeros(6, 6))))
