"""Little worlds: the same from the same seed, true depth, free cameras, captions true to what is seen."""

import numpy as np
import pytest
import torch

from unseen.core.camera import Camera
from unseen.core.errors import InputError
from unseen.synthetic.worlds import KINDS, MOVES, LittleWorld, camera_path, film_world, vocabulary, words
from unseen.synthetic.worlds.captions import VISIBLE_SHARE
from unseen.synthetic.worlds.filming import CLEAR_M, TRAVEL_M

SEEDS = range(12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_bytes_and_another_does_not(kind):
    first, again, other = (film_world(seed, views=2, size=(48, 32), kind=kind) for seed in (5, 5, 6))
    for name, value in vars(first).items():
        assert np.array_equal(value, vars(again)[name]), name
    assert not np.array_equal(first.images, other.images)


def _points(camera: Camera, depth: np.ndarray) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(camera.height), torch.arange(camera.width), indexing="ij")
    rays = torch.stack([x + 0.5, y + 0.5, torch.ones_like(x)], -1).double() @ torch.linalg.inv(camera.K.double()).T
    pose = camera.camera_to_world.double()
    return (rays * torch.from_numpy(depth)[..., None]) @ pose[:3, :3].T + pose[:3, 3]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_depth_of_one_view_is_found_again_in_another(kind, seed):
    world = LittleWorld.sample(seed, kind)
    path = camera_path(world, np.random.default_rng(seed))
    one, two = path.at(0.4, 128, 96), path.at(0.5, 128, 96)
    here, there = world.photograph(one), world.photograph(two)
    pixels, depth = two.project(_points(one, here.depth).float())
    u, v = (pixels[..., k].floor().long() for k in (0, 1))
    inside = (u >= 0) & (u < 128) & (v >= 0) & (v < 96) & (depth > 0)
    u, v = u[inside], v[inside]
    ratio = torch.from_numpy(there.depth)[v, u] / depth[inside].double()
    same = torch.from_numpy(there.things)[v, u] == torch.from_numpy(here.things)[inside]
    assert (ratio[same] - 1).abs().median() < 0.01
    # what one camera sees, another sees too or has something before it: hardly ever something behind it
    assert (ratio > 1.1).double().mean() < 0.02
    assert ((ratio - 1).abs() < 0.1).double().mean() > 0.85
    difference = there.image[v, u].astype(float) - here.image[inside].astype(float)
    assert np.median(np.abs(difference[same.numpy()])) < 8


def test_the_floor_is_where_the_rays_say_it_is():
    world = LittleWorld.sample(3, "room")
    camera = Camera.look_at((0.0, 1.5, 1.2), (0.0, 0.0, 0.6), 64, 48, fov_y_rad=1.0)
    seen = world.photograph(camera)
    floor = seen.things == next(i for i, thing in enumerate(world.things) if thing.noun == "floor")
    assert floor.any()
    assert _points(camera, seen.depth)[torch.from_numpy(floor)][:, 1].abs().max() < 2e-2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("move", MOVES)
def test_cameras_keep_clear_of_things_and_travel_far_enough(kind, move):
    for seed in (0, 1, 2):
        world = LittleWorld.sample(seed, kind)
        cameras = camera_path(world, np.random.default_rng(seed), move).cameras(24, 64, 48)
        centers = torch.stack([camera.center for camera in cameras]).double().numpy()
        assert world.clearance_m(centers).min() > CLEAR_M - 0.01
        assert 0.3 * TRAVEL_M[kind][0] < np.linalg.norm(centers - centers[0], axis=1).max() < 1.3 * TRAVEL_M[kind][1]
        assert 49 < np.degrees(2 * np.arctan(24 / float(cameras[0].K[1, 1]))) < 76


def test_in_between_cameras_lie_between():
    path = camera_path(LittleWorld.sample(1, "room"), np.random.default_rng(1), "dolly")
    cameras, between = path.cameras(5, 32, 32), path.between(5, 32, 32)
    assert len(between) == 4
    for k, camera in enumerate(between):
        assert torch.allclose(camera.center, (cameras[k].center + cameras[k + 1].center) / 2, atol=1e-5)


@pytest.mark.parametrize("seed", SEEDS)
def test_captions_name_what_is_seen_in_known_words(seed):
    world, rng = LittleWorld.sample(seed), np.random.default_rng(seed)
    shots = [world.photograph(camera) for camera in camera_path(world, rng).cameras(4, 64, 48)]
    seen = world.seen_in(shots)
    for index in seen:
        assert max((shot.things == index).mean() for shot in shots) >= VISIBLE_SHARE
    known = set(vocabulary())
    for k in range(20):
        assert set(words(world.caption(rng, seen=seen, full=k == 0))) <= known
    only = [i for i in seen if world.things[i].noun in ("floor", "walls")][:1]
    if only and world.things[only[0]].noun == "walls":
        assert "floor" not in world.caption(rng, seen=only, full=True)


def test_every_word_is_used_and_the_vocabulary_is_small():
    rng, used = np.random.default_rng(0), set()
    for seed in range(150):
        world = LittleWorld.sample(seed)
        for k in range(12):
            seen = range(len(world.things)) if k % 2 else rng.permutation(len(world.things))[:3].tolist()
            used.update(words(world.caption(rng, seen=seen, full=k % 3 == 0)))
    assert used == set(vocabulary())
    assert 80 <= len(vocabulary()) <= 150
    assert list(vocabulary()) == sorted(vocabulary())


def test_unknown_kinds_are_refused():
    with pytest.raises(InputError, match="expected one of room, landscape"):
        LittleWorld.sample(0, "cellar")
    with pytest.raises(InputError, match="expected one of orbit"):
        camera_path(LittleWorld.sample(0, "room"), np.random.default_rng(0), "jump")
