"""The whole recipe on a model of a few thousand weights and albums of noise."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from small_models import micro_config
from trainings import equal, interrupted, state_of
from two_processes import run_by_two
from unseen.core.errors import InputError
from unseen.fit.distributed import Ranks
from unseen.priors.multiview import MultiViewDiffusion
from unseen.priors.multiview import config as configs
from unseen.priors.multiview.training.albums import Album
from unseen.priors.multiview.training.pictures import Pictures
from unseen.priors.multiview.training.recipe import HeadPlan, HeadTraining, train_heads
from unseen.priors.training.stage import Stage, StagePlan

PLAN = HeadPlan(
    config="micro",
    people=3,
    views=2,
    vae=StagePlan(steps=4, batch=4, rate=1e-3, warmup=1),
    unet=StagePlan(steps=6, batch=2, rate=1e-3, warmup=1),
    upsampler=StagePlan(steps=2, batch=2, rate=1e-3, warmup=1),
    upsampler_channels=8,
    upsampler_blocks=1,
    weights="float32",
)


@pytest.fixture(scope="module")
def albums(tmp_path_factory):
    place = tmp_path_factory.mktemp("albums")
    rng = np.random.default_rng(0)
    for who in range(3):
        images, normals = rng.integers(0, 256, (2, 3, 64, 64, 3), dtype=np.uint8)
        yaws = np.array([-90.0, 0.0, 90.0], np.float32)
        Album(images, normals, images[:2], yaws, 0 * yaws).save(place / f"{who:06d}.npz")
    return place


@pytest.fixture(autouse=True)
def micro(monkeypatch):
    monkeypatch.setitem(configs.NAMED, "micro", micro_config)


def train(out, albums, plan=PLAN, **kwargs):
    return train_heads(HeadTraining(out, plan, albums, given=True, **kwargs), Ranks(), lambda *a: None)


def state(folder):
    return state_of(MultiViewDiffusion.from_pretrained(folder))


def test_a_training_leaves_a_model_its_log_and_its_recipe(tmp_path, albums):
    train(tmp_path, albums)
    model = MultiViewDiffusion.from_pretrained(tmp_path / "model")
    latents = model.encode(Pictures(sorted(albums.glob("*.npz")), 32).singles(256, torch.Generator().manual_seed(0)))
    torch.testing.assert_close(torch.cov(latents.transpose(0, 1).flatten(1)), torch.eye(4), atol=0.02, rtol=0)
    recipe = json.loads((tmp_path / "model" / "recipe.json").read_text())
    assert recipe["samples"] == 3 and recipe["plan"]["unet"]["steps"] == 6
    stages = [(e["stage"], e["step"]) for e in json.loads((tmp_path / "log.json").read_text())]
    assert stages == [("vae", 4), ("unet", 6), ("upsampler", 2)]


def test_an_interrupted_training_ends_with_the_same_bits(tmp_path, albums, monkeypatch):
    train(tmp_path / "whole", albums)
    cut = tmp_path / "cut"
    interrupted(monkeypatch, lambda: train(cut, albums), cut, at=8)  # amid the U-Net's steps
    assert equal(state(tmp_path / "whole" / "model"), state(cut / "model"))


def test_checkpoints_of_another_training_are_refused(tmp_path, albums):
    train(tmp_path, albums)
    with pytest.raises(InputError, match="another training"):
        train(tmp_path, albums, seed=1)


def test_training_learns_and_starts_from_a_model(tmp_path, albums):
    """Three people by heart: the loss falls."""
    longer = replace(PLAN, unet=StagePlan(steps=60, batch=4, rate=3e-3, warmup=1))
    train(tmp_path / "a", albums, longer)
    log = [e for e in json.loads((tmp_path / "a" / "log.json").read_text()) if e["stage"] == "unet"]
    assert log[-1]["loss"] < 0.9 * log[0]["loss"]
    further = replace(PLAN, vae=replace(PLAN.vae, steps=0), unet=replace(PLAN.unet, steps=1))
    train(tmp_path / "b", albums, further, start=tmp_path / "a" / "model")
    a, b = state(tmp_path / "a" / "model"), state(tmp_path / "b" / "model")
    assert equal(
        {k: v for k, v in a.items() if k.startswith("vae")}, {k: v for k, v in b.items() if k.startswith("vae")}
    )


def test_batches_must_divide_among_processes():
    with pytest.raises(InputError, match="multiple"):
        Stage("x", {}, lambda n, g: None, StagePlan(1, 3, 1.0), 0, torch.device("cpu"), Ranks(0, 2))


_TWO = """
from pathlib import Path
from test_recipe import PLAN, micro_config, configs
configs.NAMED["micro"] = micro_config
from unseen.fit.distributed import joined_ranks
from unseen.priors.multiview.training.recipe import HeadTraining, train_heads
with joined_ranks() as ranks:
    model = train_heads(HeadTraining(Path({out!r}), PLAN, Path({albums!r}), given=True), ranks, lambda *a: None)
    model.save_pretrained(Path({out!r}) / f"rank{{ranks.rank}}")
"""


@pytest.mark.slow
def test_two_processes_train_one_model(tmp_path, albums):
    run_by_two(_TWO.format(out=str(tmp_path / "out"), albums=str(albums)), tmp_path, [Path(__file__).parent])
    assert equal(state(tmp_path / "out" / "rank0"), state(tmp_path / "out" / "rank1"))
    assert (tmp_path / "out" / "model" / "recipe.json").is_file()
