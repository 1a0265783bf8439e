"""The prior inside the fit: what it may change, where it looks from, and that a kill costs nothing."""

import math
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unseen.core.camera import Camera
from unseen.core.errors import InputError
from unseen.fit.bank import PseudoView, ViewBank
from unseen.fit.strategies.bound import DensifyConfig
from unseen.head.library import head_model
from unseen.head.params import HeadParams
from unseen.head.posing import posed_vertices
from unseen.head.tracking import Observations, Track
from unseen.jobs.avatar.config import AvatarConfig, PriorConfig
from unseen.jobs.avatar.coverage import Coverage, weight_image
from unseen.jobs.avatar.evaluation import evaluate_avatar
from unseen.jobs.avatar.initial import initial_splats
from unseen.jobs.avatar.prior import check_prior, prior_supervision
from unseen.jobs.avatar.sources import DiffusionViews, ImaginedViews, MirroredViews, reference_images
from unseen.jobs.avatar.supervision import PseudoSupervision, ScoreSupervision
from unseen.jobs.avatar.training import AvatarTrainer
from unseen.jobs.avatar.viewpoints import filmed_yaws, spread_yaws
from unseen.priors.multiview.framing import HeadPlace
from unseen.render.mesh import rasterize_mesh
from unseen.render.scene import render_gaussians

SIZE, FRAMES, BLUE = 96, 4, torch.tensor([0.1, 0.2, 0.9])
PLAN = PriorConfig(start=0.25, group=2, first_groups=2, every=3, capacity=6, reach_deg=(180.0, 180.0))


@dataclass
class Painter:
    """A prior that paints the mesh's silhouette in one colour."""

    color: torch.Tensor
    output_size: int = 64

    def imagine(self, scene, strength, generator):
        assert 0 < strength <= 1
        faces = scene.avatar.model.faces
        hit = [rasterize_mesh(scene.vertices, faces, c).face_ids[..., None] >= 0 for c in scene.cameras]
        return torch.stack([torch.where(h, self.color, torch.ones(3)) for h in hit])


class Network:
    """Stands for the multi-view diffusion: remembers what it is given."""

    image_size, output_size = 32, 64

    def __init__(self, uses_cameras=False):
        self.config, self.given = SimpleNamespace(uses_cameras=uses_cameras), {}
        self.schedule = SimpleNamespace(length=1000)

    def reference(self, images):
        return images

    def denoise(self, reference, normals, start, *, strength, steps, guidance, generator, upsample, cameras=None):
        assert steps == math.ceil(1000 * strength / PLAN.stride)
        self.given = {"normals": normals, "start": start, "cameras": cameras, "reference": reference}
        side = self.output_size if upsample else self.image_size
        return torch.rand(len(start), side, side, 3, generator=generator)

    def score_distillation(self, reference, normals, renders, *, t, guidance, generator, cameras=None):
        return (renders - BLUE).square().mean()


@pytest.fixture(scope="module")
def model():
    return head_model()


@pytest.fixture(scope="module")
def track(model):
    s = torch.linspace(-1, 1, FRAMES)
    params = replace(HeadParams.zeros(model, FRAMES), neck_pose=torch.stack([0 * s, 0.2 * s, 0 * s], -1))
    camera = Camera.look_at([0.0, 0.0, 0.8], [0.0, 0.0, 0.0], SIZE, SIZE, focal_px=1.8 * SIZE)
    return Track(params, camera, 25.0)


@pytest.fixture(scope="module")
def observations(model, track):
    """The bare mesh in orange."""
    vertices = posed_vertices(model, track.params)
    hit = [rasterize_mesh(v, model.faces, track.camera).face_ids.numpy() >= 0 for v in vertices]
    images = [np.where(h[..., None], [220, 140, 40], [90, 90, 90]).astype(np.uint8) for h in hit]
    pixels, depth = track.camera.project(model.landmarks["mediapipe478"].points(vertices, model.faces))
    marks = torch.cat([pixels, depth[..., None]], -1).numpy()
    return Observations(np.stack(images), np.stack(hit).astype(np.uint8) * 255, marks, 25.0)


@pytest.fixture(scope="module")
def coverage(model, track, observations):
    return Coverage.of(model, track, observations, np.arange(FRAMES))


@pytest.fixture(scope="module")
def start(model, track, observations):
    return initial_splats(model, track, observations, np.arange(FRAMES))


@pytest.fixture
def make(model, track, observations, coverage, start):
    """A trainer, with a prior or none."""

    def built(source=None, iterations=12, plan=PLAN, supervision=None, sh0_rate=5e-3):
        config = AvatarConfig(
            iterations=iterations, motion_start=2, prior=plan, sh0_rate=sh0_rate,
            densify=DensifyConfig(every=4, start=1, stop=100, gradient_threshold=1e-5),
        )  # fmt: skip
        if source is not None:
            supervision = PseudoSupervision(source, plan, iterations, coverage, 5)
        fitted = np.arange(FRAMES)
        device = torch.device("cpu")
        return AvatarTrainer(model, track, observations, fitted, start, config, 0, device, coverage, supervision)

    return built


def imagined(painter, plan=PLAN):
    return ImaginedViews(painter, plan, np.arange(FRAMES), (-11.0, 11.0))


def colour_at(avatar, frame, yaw):
    place = HeadPlace.of(avatar.model, avatar.params[frame])
    image = render_gaussians(avatar.posed(avatar.params[frame]), place.camera(yaw, 0.0, 64))
    return image[24:40, 24:40].mean((0, 1))


@given(
    low=st.floats(-90, 0), high=st.floats(0, 90), reach=st.floats(90, 180), count=st.integers(1, 6),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_yaws_are_spread_over_what_was_not_filmed(low, high, reach, count, seed):
    yaws = spread_yaws((low, high), reach, count, torch.Generator().manual_seed(seed))
    assert len(yaws) == count and all(-180 <= y < 180 for y in yaws)
    assert all(abs(y) <= reach + 1e-3 for y in yaws)
    assert not any(low + 1e-3 < y < high - 1e-3 for y in yaws)
    both = spread_yaws((low, -low), reach, 2 * count, torch.Generator().manual_seed(seed))
    assert sum(y < 0 for y in both) == count or reach == 180


def test_filmed_yaws_are_those_of_the_camera_from_the_face(model, track):
    low, high = filmed_yaws(model, track, np.arange(FRAMES))
    assert low == pytest.approx(-np.degrees(0.2), abs=1.5) and high == pytest.approx(np.degrees(0.2), abs=1.5)


def test_the_front_was_seen_and_the_back_was_not(model, track, coverage):
    normals_z = torch.linalg.cross(
        *(model.v_template[model.faces[:, i]] - model.v_template[model.faces[:, 0]] for i in (1, 2))
    )
    toward = normals_z[:, 2] / normals_z.norm(dim=-1).clamp_min(1e-12)
    centre = model.v_template[model.faces].mean(1)
    outer = centre[:, 2] > centre[:, 2].quantile(0.9)  # the face's front, nothing hides it
    assert coverage.seen[outer & (toward > 0.8)].mean() > 0.8
    assert coverage.seen[toward < -0.5].max() == 0
    trust, free = coverage.trust(), coverage.left_open()
    assert torch.allclose(trust["sh"] + free["sh"], torch.ones(model.num_faces))
    vertices = posed_vertices(model, track.params)[0]
    assert torch.all(coverage.toward(model, vertices, track.camera) <= coverage.seen + 1e-6)


def test_a_pseudo_view_weighs_nothing_where_the_camera_was_and_all_behind(make, coverage):
    avatar = make().avatar()
    vertices = avatar.model.vertices(avatar.params[1])[0]
    place = HeadPlace.of(avatar.model, avatar.params[1])
    middle = slice(26, 38)
    filmed, behind = (
        weight_image(avatar, vertices, place.camera(yaw, 0.0, 64), coverage)[middle, middle] for yaw in (0, 180)
    )
    assert filmed.mean() < 0.25 and behind.min() > 0.95
    corner = weight_image(avatar, vertices, place.camera(90, 0.0, 64), coverage)[0, 0]
    assert corner == 1  # nothing contradicts an empty background


@pytest.mark.slow
def test_the_prior_paints_the_back_and_leaves_the_front(make):
    plan = replace(PLAN, views=2, every=20)
    settings = {"iterations": 30, "plan": plan, "sh0_rate": 0.1}
    plain, led = make(**settings), make(imagined(Painter(BLUE), plan), **settings)
    while not plain.done:
        plain.step()
        led.step()
    front, back = (colour_at(led.avatar(), 1, yaw) - colour_at(plain.avatar(), 1, yaw) for yaw in (0.0, 180.0))
    assert front.abs().max() < 0.03
    assert back[0] < -0.1 and back[2] > 0.1  # from orange toward blue


def test_splats_nobody_saw_move_faster_while_a_prior_is_heard(make):
    run = make(imagined(Painter(BLUE)), plan=replace(PLAN, start=0.0))
    before = run.splats.tensors["means"].detach().clone()
    run.step()
    moved = (run.splats.tensors["means"].detach() - before).abs().amax(-1)
    seen, rate = run.coverage.seen, AvatarConfig().means_rate
    assert moved[seen == 1].max() <= 1.01 * rate
    assert moved[seen == 0].max() == pytest.approx(PLAN.speed * rate, rel=0.01)


@pytest.mark.slow
def test_half_the_steps_a_save_and_a_load_equal_all_steps(make, tmp_path):
    whole, first, second = (make(imagined(Painter(BLUE))) for _ in range(3))
    while not whole.done:
        whole.step()
    for _ in range(7):  # after the bank was filled, before it is refreshed again
        first.step()
    first.save(tmp_path / "c.safetensors")
    second.load(tmp_path / "c.safetensors")
    assert len(second.prior.bank) == len(first.prior.bank) > 0
    while not second.done:
        second.step()
    for name, tensor in whole.splats.tensors.items():
        assert torch.equal(tensor, second.splats.tensors[name]), name
    assert torch.equal(whole.motion.delta, second.motion.delta)
    assert second.prior.seconds > 0


def test_the_bank_keeps_the_latest_and_draws_different_ones():
    def view(k):
        camera = Camera.look_at([0.0, 0, 1], [0.0, 0, 0], 4, 4, focal_px=4.0 + k)
        image = torch.full((4, 4, 3), k, dtype=torch.uint8)
        return PseudoView(camera, image, image[..., 0], torch.full((5, 3), float(k)))

    bank = ViewBank(3)
    bank.add(view(k) for k in range(5))
    drawn = bank.draw(2, torch.Generator().manual_seed(0))
    assert len(bank) == 3 and len({int(v.image[0, 0, 0]) for v in drawn}) == 2
    again = ViewBank(3)
    again.load(bank.state())
    for a, b in zip(bank.views, again.views, strict=True):
        assert torch.equal(a.image, b.image) and torch.equal(a.vertices, b.vertices)
        assert torch.equal(a.camera.K, b.camera.K) and (b.camera.width, b.camera.height) == (4, 4)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_a_share_of_the_steps_hears_the_prior(coverage, share):
    plan = replace(PLAN, start=0.2, share=share)
    supervision = PseudoSupervision(imagined(Painter(BLUE)), plan, 100, coverage, 0)
    heard = [k for k in range(100) if supervision.active(k)]
    assert len(heard) == round(80 * share) and min(heard) >= 20


def test_noise_falls_through_its_range_and_is_even_when_not_annealed():
    random = torch.Generator().manual_seed(0)
    falling = imagined(Painter(BLUE))
    strengths = [falling.strength(p, random) for p in (0.0, 0.5, 1.0)]
    assert strengths[0] > 0.85 and 0.35 < strengths[1] < 0.65 and strengths[2] < 0.15
    even = imagined(Painter(BLUE), replace(PLAN, annealed=False))
    drawn = [even.strength(0.0, random) for _ in range(200)]
    assert 0.02 <= min(drawn) < 0.1 and 0.9 < max(drawn) <= 0.98


def test_the_network_is_given_renders_and_normals_or_poses(make, model, track, observations):
    fitted = np.arange(FRAMES)
    pictures = reference_images(model, track, observations, fitted, 1, 32)
    assert pictures.shape == (1, 32, 32, 3) and pictures[0, 0, 0].min() > 0.99
    avatar = make().avatar()
    for network in (Network(), Network(uses_cameras=True)):
        views = imagined(DiffusionViews(network, pictures, PLAN))
        shots = views.group(avatar, 0.5, 1.0, torch.Generator().manual_seed(1))
        assert [s.image.shape for s in shots] == [(64, 64, 3)] * 2 and shots[0].camera.width == 64
        given = network.given
        assert given["start"].shape == (2, 32, 32, 3) and (given["normals"] is None) == network.config.uses_cameras
        if network.config.uses_cameras:
            place = HeadPlace.of(model, track.params[0])
            pose = place.pose(place.camera(0.0, 30.0, 8))
            assert pose[:3, 3].norm() == pytest.approx(1.0, abs=1e-5) and pose[1, 3] == pytest.approx(0.5, abs=1e-3)
            assert given["cameras"].shape == (2, 4, 4)


def test_score_distillation_reaches_only_what_was_not_seen(make, coverage, model, track, observations):
    fitted = np.arange(FRAMES)
    prior = DiffusionViews(Network(), reference_images(model, track, observations, fitted, 1, 32), PLAN)
    sds = ScoreSupervision(imagined(prior), prior, PLAN, 12, coverage, 0)
    run = make(supervision=sds)
    while not run.done:
        run.step()
    moved = (run.splats.tensors["sh"].detach()[: model.num_faces] - make().splats.tensors["sh"]).abs().amax((1, 2))
    assert sds.seconds > 0 and moved[coverage.seen == 0].max() > 1e-3


def test_mirrored_frames_show_the_other_side(make, observations, model):
    avatar = make().avatar()
    plan = replace(PLAN, group=1)
    shot = MirroredViews(observations, plan, np.array([0]), 64).group(
        avatar, 0.0, 0.0, torch.Generator().manual_seed(0)
    )[0]
    render = rasterize_mesh(shot.vertices, model.faces, shot.camera).face_ids >= 0
    shown = (shot.image - 1).abs().sum(-1) > 0.5
    assert (render & shown).sum() / (render | shown).sum() > 0.95
    place, camera = HeadPlace.of(model, avatar.params[0]), avatar.camera
    assert abs(place.yaw_to(camera)) > 5  # turned, so the mirror image is another view


def test_metrics_tell_observed_from_unobserved(make, observations, coverage):
    run = make()
    seen = evaluate_avatar(run.avatar(), observations, np.array([]), lambda k, n: None, coverage.seen)
    assert seen["fitted"]["observed"]["psnr"] > 15
    none = evaluate_avatar(run.avatar(), observations, np.array([]), lambda k, n: None, 0 * coverage.seen)
    assert none["fitted"]["observed"] is None and none["fitted"]["unobserved"] == none["fitted"]["matte"]


def test_names_of_priors(model, track, observations, coverage):
    arguments = (model, track, observations, np.arange(FRAMES), coverage, AvatarConfig(), 0, torch.device("cpu"))
    assert prior_supervision("none", *arguments) is None
    assert isinstance(prior_supervision("mirror", *arguments), PseudoSupervision)
    with pytest.raises(InputError, match="unknown prior 'mirrors'"):
        check_prior("mirrors", PriorConfig())
    with pytest.raises(InputError, match="no scores"):
        check_prior("mirror", PriorConfig(method="sds"))
