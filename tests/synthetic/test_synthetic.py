"""Synthetic people: reproducible, distinct, and true to their own ground truth."""

import dataclasses

import numpy as np
import pytest
import torch

from unseen.core import Camera, InputError
from unseen.head import HeadParams
from unseen.head.landmarks import MEDIAPIPE_REGIONS
from unseen.head.procedural import procedural_head
from unseen.io.captures import read_capture
from unseen.io.video import read_video
from unseen.render.mesh import mesh_silhouette
from unseen.synthetic import (
    HAIR_STYLES,
    Actor,
    Lighting,
    Motion,
    SyntheticClip,
    SyntheticSubject,
    render_multiview,
    render_video,
    ring_cameras,
    room,
    write_clip,
)

SIZE = 96


def small(subject: SyntheticSubject) -> SyntheticSubject:
    """The same person with a twentieth of the hair."""
    return dataclasses.replace(subject, hair=dataclasses.replace(subject.hair, strands=subject.hair.strands // 20))


def built(seed: int, hair: str) -> Actor:
    return Actor.build(small(SyntheticSubject.sample(seed, hair=hair)), texture_size=192)


@pytest.fixture(scope="module")
def actor() -> Actor:
    return built(3, "bob")


@pytest.fixture(scope="module")
def camera() -> Camera:
    return ring_cameras(1, SIZE)[0]


@pytest.fixture(scope="module")
def motion() -> Motion:
    return Motion.sample(5, 3, fps=2.0, turns=((0.0, 0.0), (1.0, 60.0)))


@pytest.fixture(scope="module")
def clip(actor: Actor, motion: Motion, camera: Camera) -> SyntheticClip:
    return render_video(actor, motion, camera)


def test_equal_seeds_give_equal_bytes(clip: SyntheticClip, motion: Motion, camera: Camera) -> None:
    again = render_video(built(3, "bob"), motion, camera)
    for name in ("images", "alphas", "normals", "landmarks_px", "visibility"):
        assert torch.equal(getattr(clip, name), getattr(again, name)), name


def test_different_seeds_give_different_people() -> None:
    people = [SyntheticSubject.sample(seed) for seed in range(24)]
    assert len({p.hair.name for p in people}) >= 4
    assert len({p.hair_color for p in people}) >= 3 and len({p.iris for p in people}) >= 3
    tones = [p.skin.melanin for p in people]
    assert max(tones) - min(tones) > 0.5
    head = procedural_head()
    shapes = torch.stack([head.vertices(dataclasses.replace(HeadParams.zeros(head), shape=p.shape))[0] for p in people])
    apart = torch.cdist(shapes.flatten(1), shapes.flatten(1)) / head.num_vertices**0.5
    assert (apart + torch.eye(len(people))).min() > 0.002  # metres, root mean square over the vertices
    sexes = [float(p.shape[8]) for p in people]
    assert min(sexes) < 0 < max(sexes)


def test_parameters_regenerate_geometry_and_landmarks(clip: SyntheticClip, actor: Actor, camera: Camera) -> None:
    head = procedural_head()
    assert clip.variant == head.variant
    vertices = head.vertices(clip.params)
    for frame, expected in zip(actor.pose(clip.params), vertices, strict=True):
        np.testing.assert_allclose(frame.vertices, expected.numpy(), atol=1e-6)
    marks = head.landmark_points(clip.params)
    pixels, depth = camera.project(marks)
    torch.testing.assert_close(clip.landmarks_px[..., :2], pixels, atol=1e-2, rtol=0)
    assert clip.landmarks_px[..., 2].mean(-1).abs().max() < 1e-2
    order = clip.landmarks_px[..., 2].argsort(-1)
    assert (depth.gather(-1, order).diff(dim=-1) >= -1e-6).all()  # z orders points by depth


def test_matte_contains_the_head_and_little_else(clip: SyntheticClip, camera: Camera) -> None:
    head = procedural_head()
    inner = torch.cat([head.regions["face"], head.regions["scalp"], head.regions["neck"]])
    cranium = head.faces[torch.isin(head.faces, inner).all(1)]
    covered = mesh_silhouette(head.vertices(clip.params), cranium, camera)
    alpha = clip.alphas.float() / 255
    assert (alpha[covered > 0.99] > 0.97).all()
    assert ((alpha > 0.02) & (alpha < 0.98)).float().mean() > 0.003  # soft edges
    assert 0.2 < float(alpha.mean()) < 0.8
    background = torch.from_numpy(Lighting.studio().background)
    srgb = 1.055 * background ** (1 / 2.4) - 0.055
    empty = clip.images[clip.alphas == 0].float() / 255
    assert (empty - srgb).abs().max() < 0.005


def test_landmarks_hide_with_the_turn(clip: SyntheticClip) -> None:
    frontal, turned = clip.visibility[0], clip.visibility[-1]
    assert frontal[MEDIAPIPE_REGIONS["nose"]].float().mean() > 0.9
    far = [33, 133, 70, 105, 50]  # the person turns to the left: the right side goes out of sight
    assert frontal[far].all() and turned.float().mean() < frontal.float().mean()
    assert clip.landmarks_px[-1, 4, 0] > clip.landmarks_px[0, 4, 0]  # the nose moves to the image's right


def test_normals_face_the_camera(clip: SyntheticClip) -> None:
    solid = clip.alphas == 255
    normals = clip.normals[solid].float() / 127.5 - 1
    assert (normals.norm(dim=-1) - 1).abs().max() < 0.03
    assert (normals[:, 2] < 0.3).float().mean() > 0.97
    assert (clip.normals[clip.alphas == 0] == 0).all()


def test_views_of_one_moment_agree(actor: Actor) -> None:
    """Triangulating landmarks from two cameras gives the points of the parameters."""
    cameras = ring_cameras(3, SIZE, span_deg=60.0)
    clips = render_multiview(actor, Motion.neutral(1), cameras)
    assert [c.camera for c in clips] == cameras
    assert not torch.equal(clips[0].images, clips[1].images)
    rows = []
    for c in clips:
        projection = (c.camera.K @ c.camera.world_to_camera[:3]).double()
        xy = c.landmarks_px[0, :, :2].double()
        rows.append(xy[..., None] * projection[2] - projection[:2])
    system = torch.cat(rows, 1)
    solution = -torch.linalg.lstsq(system[..., :3], system[..., 3:]).solution[..., 0]
    expected = procedural_head().landmark_points(clips[0].params)[0].double()
    assert (solution - expected).norm(dim=-1).max() < 1e-5


@pytest.mark.parametrize("name", list(HAIR_STYLES))
def test_every_haircut_can_be_worn(name: str) -> None:
    actor = built(2, name)
    scalp = [wig for wig in actor.wigs if wig.group == 0]
    assert all(np.isfinite(wig.strands.points).all() for wig in actor.wigs)
    if name == "bald":
        assert not scalp
        return
    length = max(float(np.linalg.norm(np.diff(wig.strands.points, axis=1), axis=2).sum(1).mean()) for wig in scalp)
    longest = max(comb.length_m for comb, _, _ in actor.subject.hair.zones)
    assert 0.3 * longest < length < 2.2 * longest  # curls are longer than their reach
    roots = np.concatenate([wig.strands.points[:, 0] for wig in scalp])
    assert roots[:, 1].max() > 0.1 and (roots[:, 2] < 0).any()


def test_light_matters_and_shadows_fall(actor: Actor, camera: Camera) -> None:
    frame = actor.pose(Motion.neutral(1).params(actor.model, actor.subject.shape))[0]
    left, right = (
        dataclasses.replace(Lighting.studio(), key_direction=np.array([x, 0.0, 0.3]) / np.hypot(x, 0.3))
        for x in (1.0, -1.0)
    )
    a, b = (frame.film(camera, light).color for light in (left, right))
    half = SIZE // 2
    assert a[:, half:].mean() > 1.1 * a[:, :half].mean() and b[:, :half].mean() > 1.1 * b[:, half:].mean()
    matrix = left.irradiance_matrix()
    assert np.allclose(matrix, matrix.transpose(0, 2, 1))


def test_backdrop_and_noise(actor: Actor, camera: Camera) -> None:
    wall = room(4, SIZE, SIZE)
    plain, noisy = (
        render_video(actor, Motion.neutral(1), camera, backdrop=wall, noise=noise).images.float()
        for noise in (0.0, 0.03)
    )
    difference = (plain - noisy) / 255
    assert 0.02 < float(difference.std()) < 0.04
    assert wall.std() > 0.005 and not np.array_equal(wall, room(5, SIZE, SIZE))


def test_motion_is_smooth_and_within_bounds() -> None:
    motion = Motion.sample(9, 200, max_yaw_deg=80.0)
    again = Motion.sample(9, 200, max_yaw_deg=80.0)
    assert np.array_equal(motion.angles_rad, again.angles_rad) and np.array_equal(motion.jaw_rad, again.jaw_rad)
    yaw = np.degrees(motion.angles_rad[:, 0])
    assert yaw.min() < -25 and yaw.max() > 25 and np.abs(yaw).max() < 90
    assert np.abs(np.diff(motion.angles_rad, axis=0)).max() < 0.2  # radians a frame
    assert motion.eyelids.max() > 0.9 and motion.eyelids.min() >= 0 and motion.jaw_rad.max() > 0.08
    assert all((curve >= 0).all() and (curve <= 1.5).all() for curve in motion.expression.values())
    still = Motion.neutral(2).params(procedural_head(), torch.zeros(59))
    assert all((getattr(still, n) == 0).all() for n in ("expr", "rotation", "neck_pose", "jaw_pose"))


def test_motion_of_another_head_is_refused() -> None:
    head = dataclasses.replace(procedural_head(), exprdirs=procedural_head().exprdirs[..., :10])
    with pytest.raises(InputError, match="named expressions"):
        Motion.neutral(1).params(head, torch.zeros(3))
    with pytest.raises(InputError, match="at least one"):
        render_multiview(SyntheticSubject.sample(0), Motion.neutral(0), ring_cameras(1, 8))


def test_written_clip_reads_back(tmp_path, clip: SyntheticClip) -> None:
    write_clip(tmp_path / "new" / "clip", clip, capture=True)
    out = tmp_path / "new" / "clip"
    video, alpha = read_video(out / "video.mp4"), read_video(out / "video.alpha.mp4", gray=True)
    assert video.shape == clip.images.shape and alpha.shape == clip.alphas.shape
    assert (video.float() - clip.images.float()).abs().mean() < 4
    assert (alpha.float() - clip.alphas.float()).abs().mean() < 4
    marks = np.load(out / "video.landmarks.npz")
    assert marks["landmarks_px"].dtype == np.float32 and tuple(marks["image_size"]) == (SIZE, SIZE)
    np.testing.assert_allclose(marks["landmarks_px"], clip.landmarks_px.numpy(), atol=0.01)
    truth = np.load(out / "truth.npz")
    params = HeadParams(**{k: torch.from_numpy(truth[k]) for k in truth.files if hasattr(clip.params, k)})
    torch.testing.assert_close(procedural_head().vertices(params), procedural_head().vertices(clip.params))
    capture = read_capture(out / "capture")
    assert len(capture.frames) == len(clip) and capture.head_model == clip.variant
    np.testing.assert_allclose(capture.params()["neck_pose"], clip.params.neck_pose.numpy(), atol=1e-6)
