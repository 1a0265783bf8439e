"""What photos say about a new view, which of them show it, and what the gate makes of it."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fitting_scenes import pictures_of, ring_of_cameras
from unseen.core.camera import Camera
from unseen.core.errors import InputError
from unseen.core.gaussians import Gaussians
from unseen.jobs.repair.cameras import focus_of, looked_at, open_cameras, orbited, path_cameras, random_cameras
from unseen.jobs.repair.config import RepairConfig
from unseen.jobs.repair.evidence import Hearing, Witness, apart, covisible, hear, seen_from, sized
from unseen.jobs.repair.gate import judged


def wall(depth: float = 0.0, width: float = 1.6) -> Gaussians:
    """A textured wall of splats facing +Z, opaque."""
    side = torch.linspace(-0.5, 0.5, 60)
    y, x = torch.meshgrid(side, side * width, indexing="ij")
    n = x.numel()
    means = torch.stack([x.flatten(), y.flatten(), torch.full((n,), depth)], 1)
    colors = torch.stack([(12 * x).sin(), (9 * y).cos(), (7 * (x + y)).sin()], -1).reshape(n, 3) * 0.4 + 0.5
    return Gaussians.from_rgb(
        means, torch.full((n, 3), 0.012), torch.eye(4)[:1].expand(n, 4), torch.full((n,), 0.99), colors
    )


def facing(x: float, z: float = 1.0, size: int = 48) -> Camera:
    return Camera.look_at((x, 0.0, z), (0.0, 0.0, 0.0), size, size, focal_px=1.2 * size)


def witnesses(splats: Gaussians, cameras: list[Camera]) -> list[Witness]:
    return [Witness.of(splats, i, p, False) for i, p in enumerate(pictures_of(splats, cameras).pictures)]


def test_photos_settle_what_two_of_them_show():
    splats, camera = wall(), facing(0.1)
    for cameras, settled in (([facing(0.0), facing(0.2)], True), ([facing(0.0)], False)):
        heard = hear(seen_from(splats, camera, False), camera, witnesses(splats, cameras))
        assert heard.overlap > 0.9
        assert (float(heard.settled[8:40, 8:40].mean()) > 0.8) == settled
    assert float((heard.colour - seen_from(splats, camera, False).image)[8:40, 8:40].abs().mean()) < 0.06


def test_what_is_hidden_is_not_seen():
    """A small wall before the large one hides its middle from the photo in front of both."""
    near = wall(0.3, 0.4)
    splats = Gaussians.cat([wall(), near.select(near.means[:, 1].abs() < 0.12)])
    camera = facing(-0.6, 0.9)
    view = seen_from(splats, camera, False)
    seen = hear(view, camera, witnesses(splats, [facing(0.0, 1.0)])).seen > 0
    x, y, z = camera.points(view.depth).unbind(-1)
    back = (z.abs() < 0.05) & (view.depth > 0)
    hidden, shown = back & (x.abs() < 0.2) & (y.abs() < 0.1), back & (x < -0.32) & (x > -0.4) & (y.abs() < 0.35)
    assert hidden.sum() > 20 and shown.sum() > 20
    assert float(seen[hidden].float().mean()) < 0.1 < 0.9 < float(seen[shown].float().mean())


def test_photos_that_disagree_settle_nothing():
    splats, camera = wall(), facing(0.1)
    heard_by = witnesses(splats, [facing(0.0), facing(0.2)])
    lying = [heard_by[0], Witness(1, heard_by[1].full, heard_by[1].camera, 1 - heard_by[1].image, heard_by[1].depth)]
    heard = hear(seen_from(splats, camera, False), camera, lying)
    assert float(heard.settled.mean()) < 0.3


def test_the_best_photos_come_first_and_add_to_each_other():
    splats = wall(width=3.0)
    camera = facing(0.0, 1.2)
    cameras = [facing(0.02, 1.2), facing(0.05, 1.2), Camera.look_at((5, 0, 1), (5, 0, 0), 48, 48, focal_px=57)]
    view = seen_from(splats, camera, False)
    assert covisible(view, camera, witnesses(splats, cameras), 1)[0].photo == 0
    assert {w.photo for w in covisible(view, camera, witnesses(splats, cameras), 3)} == {0, 1}
    assert covisible(view, camera, witnesses(splats, cameras), 0) == []
    left, right = facing(0.0, 0.9).world_to_camera.clone(), facing(0.0, 0.9).world_to_camera.clone()
    left[0, 3], right[0, 3] = 0.45, -0.45
    halves = [Camera(pose, facing(0).K, 48, 48) for pose in (left, left, right)]
    assert {w.photo for w in covisible(view, camera, witnesses(splats, halves), 2)} in ({0, 2}, {1, 2})


def heard_on(settled: float, colour: float = 0.5) -> Hearing:
    shape = (16, 16)
    return Hearing(torch.full((*shape, 3), colour), torch.full(shape, 2.0), torch.full(shape, settled))


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_weights_stay_below_trust_and_fall_with_what_is_settled(settled, render, fixed, trust):
    pictures = [torch.full((16, 16, 3), value) for value in (render, fixed)]
    verdicts = [judged(*pictures, torch.full((16, 16), trust), heard_on(s)) for s in (settled, min(1.0, settled + 0.1))]
    assert all(float(v.weight.min()) >= 0 and float(v.weight.max()) <= trust + 1e-6 for v in verdicts)
    assert float(verdicts[1].weight.mean()) <= float(verdicts[0].weight.mean()) + 1e-6


def test_verdicts():
    grey, bright, trust = torch.full((16, 16, 3), 0.5), torch.full((16, 16, 3), 0.8), torch.ones(16, 16)
    assert judged(grey, grey, trust, heard_on(1.0)).reason == ""
    assert judged(bright, grey, trust, heard_on(1.0)).reason == ""
    assert judged(grey, bright, trust, heard_on(1.0)).reason == "contradicts the photos"
    assert judged(grey, bright, trust, heard_on(0.01)).reason == "nothing to check it by"
    assert judged(grey, grey * math.nan, trust, heard_on(1.0)).reason == "not finite"
    assert float(judged(grey, grey, trust, heard_on(1.0)).weight.max()) < 1e-6
    assert float(judged(bright, grey, trust, heard_on(1.0)).weight.min()) > 0.9


def test_what_is_shown_changes_where_no_photo_sees_anything():
    grey, bright, trust = torch.full((48, 48, 3), 0.5), torch.full((48, 48, 3), 0.8), torch.zeros(48, 48)
    seen = torch.zeros(48, 48)
    seen[:, :24] = 1.0
    heard = Hearing(grey, seen, torch.zeros(48, 48))
    open_ = heard.open
    assert torch.equal(open_[:, :22], torch.zeros(48, 22)) and torch.equal(open_[:, 26:], torch.ones(48, 22))
    assert bool((open_[:, 22:26].diff(dim=1) > 0).all())
    assert torch.equal(judged(grey, bright, trust, heard).free, open_)  # nothing to check it by
    sure = Hearing(grey, seen, seen)
    assert torch.equal(judged(grey, grey + 0.01, trust, sure).free, open_)
    assert float(judged(grey, bright, trust, sure).free.max()) == 0.0
    assert float(judged(grey, grey * math.nan, trust, sure).free.max()) == 0.0


def test_turning_around_a_point_keeps_it_in_place():
    camera = ring_of_cameras(5)[1]
    point = camera.center + 0.7 * camera.world_to_camera[2, :3]
    for direction in (0.0, 1.0, 3.0):
        turned = orbited(camera, 0.7, 0.4, direction)
        assert torch.allclose(turned.project(point[None])[0], camera.project(point[None])[0], atol=1e-3)
        assert torch.allclose(turned.project(point[None])[1], torch.tensor([0.7]), atol=1e-4)
        assert apart(turned, camera, 1e9) == pytest.approx(0.4, abs=1e-3)
    right = orbited(camera, 0.7, 0.4, 0.0).center - camera.center
    assert float(right @ camera.world_to_camera[0, :3]) > 0.2


def test_cameras_look_at_what_is_open_and_never_stand_in_things():
    splats = wall()
    heard_by = witnesses(splats, [facing(-0.1), facing(0.0), facing(0.1)])
    generator = torch.Generator().manual_seed(0)
    chosen = open_cameras(splats, heard_by, 1.0, math.radians(60), 4, generator, False)
    drawn = random_cameras(heard_by, 1.0, math.radians(60), 16, torch.Generator().manual_seed(0))
    judged_all = [looked_at(splats, camera, heard_by, False) for camera in drawn]
    assert 1 <= len(chosen) <= 4
    mean = sum(c.open for c in judged_all) / len(judged_all)
    assert looked_at(splats, chosen[0], heard_by, False).open >= mean
    assert not looked_at(splats, facing(0.0, 0.05), heard_by, False).usable
    assert not looked_at(splats, Camera.look_at((0, 0, 1), (0, 0, 2), 48, 48, focal_px=57), heard_by, False).usable
    assert focus_of(heard_by[1]) == pytest.approx(1.0, abs=0.05)


def test_the_way_to_a_path_is_walked_in_steps():
    splats = wall()
    heard_by = witnesses(splats, [facing(0.0), facing(0.4)])
    path = [facing(1.0), facing(1.2), facing(1.4)]
    half, whole = (path_cameras(path, heard_by, reach, 2) for reach in (0.5, 1.0))
    assert len(half) == 2
    for way, target in zip(whole, (path[0], path[2]), strict=True):
        assert torch.allclose(way.center, target.center, atol=1e-5)
    assert torch.allclose(half[0].center, (heard_by[1].full.center + path[0].center) / 2, atol=1e-5)


def test_sizes():
    image = torch.rand(30, 40, 3)
    assert sized(image, 30, 40) is image
    assert sized(image, 15, 20).shape == (15, 20, 3)
    assert float((sized(torch.full((30, 40, 1), 0.3), 7, 9) - 0.3).abs().max()) < 1e-5


def test_settings_that_make_no_sense():
    for change in ({"rounds": 0}, {"references": -1}, {"start": 1.0}, {"weight": 2.0}, {"angle_deg": 0.0}):
        with pytest.raises(InputError, match="expected"):
            RepairConfig(**change)
    assert RepairConfig(rounds=4, start=0.5).begins(1000) == [500, 625, 750, 875]
    assert RepairConfig(rounds=9, start=0.5).begins(4) == [2, 3]
