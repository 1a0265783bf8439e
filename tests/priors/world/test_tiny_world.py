"""The small model that comes with the package: it must know its kind of world, and hear what it is told."""

import json

import pytest
import torch

from unseen.core.devices import seed_everything
from unseen.fit.metrics import psnr
from unseen.priors.world import WorldPipeline
from unseen.priors.world.pipeline import TINY
from unseen.synthetic.worlds import HELD_OUT_FROM, film_world

PICTURE = 3


@pytest.fixture(scope="module")
def model():
    seed_everything(0)
    return WorldPipeline.from_pretrained("tiny")


def made(model, cameras, steps=4, **given):
    return model.generate(cameras, steps=steps, generator=torch.Generator().manual_seed(0), **given)


@pytest.mark.slow
def test_held_out_pictures_become_their_worlds(model):
    gained = []
    for seed in range(HELD_OUT_FROM + 500, HELD_OUT_FROM + 503):
        shots = film_world(seed)
        images = torch.from_numpy(shots.images[::2]).float() / 255
        world = made(model, shots.cameras[::2], image=images[PICTURE], image_index=PICTURE)
        plain = images[PICTURE].mean((0, 1)).expand_as(images)
        gained += [float(psnr(a, b) - psnr(c, b)) for a, b, c in zip(world.views, images, plain, strict=True)]
    assert min(gained) > 0 and sum(gained) / len(gained) > 3, gained


@pytest.mark.slow
def test_it_hears_the_prompt(model):
    cameras = film_world(HELD_OUT_FROM + 501).cameras[::2]
    night = made(model, cameras, steps=2, prompt="a snowy landscape at night").views
    desert = made(model, cameras, steps=2, prompt="a desert landscape with cactuses").views
    blue, red = (views.mean((0, 1, 2))[2] - views.mean((0, 1, 2))[0] for views in (night, desert))
    assert float(blue) > float(red) + 0.05


def test_what_is_told_of_it_was_measured():
    found = json.loads((TINY / "evaluation.json").read_text())["mean"]
    for where in ("input", "between"):
        assert found["4 steps"][where] > found["4, no feedback"][where] > found["mean"][where] + 3
    assert sum(p.stat().st_size for p in TINY.rglob("*")) < 40e6
