"""The whole recipe on a model of a few thousand weights and two scenes of triplets."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from small_models import small_fixer_config
from trainings import equal, interrupted, state_of
from two_processes import run_by_two
from unseen.core.camera import Camera
from unseen.core.devices import seed_everything
from unseen.core.errors import InputError
from unseen.fit.distributed import Ranks
from unseen.io.images import read_image, write_image
from unseen.io.triplets import PoorFit, ScenePhoto, SceneRender, TripletScene
from unseen.priors.fixer import config as configs
from unseen.priors.fixer.pipeline import FixerPipeline
from unseen.priors.fixer.training.recipe import FixerPlan, FixerTraining, train_fixer
from unseen.priors.training.stage import StagePlan

PLAN = FixerPlan(
    config="micro",
    pictures=StagePlan(steps=3, batch=4, rate=1e-3, warmup=1),
    codec=StagePlan(steps=3, batch=4, rate=1e-3, warmup=1),
    tokens=StagePlan(steps=3, batch=2, rate=1e-3, warmup=1),
    bridge=StagePlan(steps=3, batch=2, rate=1e-3, warmup=1),
    weights="float32",
)
SIDE = 56


@pytest.fixture(scope="module")
def triplets(tmp_path_factory):
    """Waves, and renders of them that noise has spoiled."""
    root = tmp_path_factory.mktemp("triplets")
    camera = Camera.look_at((0, 0, 1), (0, 0, 0), SIDE, SIDE, focal_px=50)
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] / 9
    for name, split in (("a", "train"), ("b", "val")):
        place = root / name
        for part in ("photos", "renders"):
            (place / part).mkdir(parents=True)
        for i in range(4):
            wave = 0.5 + 0.4 * np.sin(np.stack([x + i, y + i, x + y], -1))
            write_image(place / f"photos/{i}.png", torch.from_numpy(wave).float())
            spoiled = (wave + 0.2 * rng.normal(size=wave.shape)).clip(0, 1)
            write_image(place / f"renders/{i}.png", torch.from_numpy(spoiled).float())
        photos = tuple(ScenePhoto(f"{i}", f"photos/{i}.png", camera) for i in range(4))
        renders = tuple(SceneRender(f"renders/{i}.png", i, (0, 3), "sparse", 10, 14.0) for i in (1, 2))
        TripletScene(name, split, photos, (PoorFit("sparse", "sparse", (0, 3), 10, 99),), renders).save(place)
    return root


@pytest.fixture(autouse=True)
def micro(monkeypatch):
    monkeypatch.setitem(configs.NAMED, "micro", small_fixer_config)
    seed_everything(0)


def train(out, triplets, plan=PLAN, **kwargs):
    return train_fixer(FixerTraining(out, plan, triplets, given=True, **kwargs), Ranks(), lambda *a: None)


def state(folder):
    return state_of(FixerPipeline.from_pretrained(folder))


def test_a_training_leaves_a_model_its_log_and_looks_at_what_was_held_out(tmp_path, triplets):
    train(tmp_path, triplets)
    recipe = json.loads((tmp_path / "model" / "recipe.json").read_text())
    assert recipe["samples"] == 2 and recipe["plan"]["bridge"]["steps"] == 3
    log = json.loads((tmp_path / "log.json").read_text())
    stages = [(e["stage"], e["step"]) for e in log if "loss" in e]
    assert stages == [("pictures", 3), ("codec", 3), ("tokens", 3), ("bridge", 3)]
    seen = [e for e in log if "psnr" in e]
    assert [e["stage"] for e in seen] == ["tokens", "bridge"] and 10 < seen[0]["psnr_render"] < 18
    look = read_image(tmp_path / "looks" / "bridge-000003.png")
    assert look.shape == (4 * 48, 2 * 48, 3)  # render, reference, repaired, truth; two triplets


@pytest.mark.parametrize("at", [2, 5, 8])
def test_an_interrupted_training_ends_with_the_same_bits(tmp_path, triplets, monkeypatch, at):
    train(tmp_path / "whole", triplets)
    cut = tmp_path / "cut"
    interrupted(monkeypatch, lambda: train(cut, triplets), cut, at=at)
    assert equal(state(tmp_path / "whole" / "model"), state(cut / "model"))


def test_the_bridge_is_trained_alone_and_made_where_there_is_none(tmp_path, triplets):
    start = tmp_path / "start"
    configs.NAMED["micro"] = lambda: small_fixer_config(bridge=False)
    train(start, triplets, replace(PLAN, bridge=replace(PLAN.bridge, steps=0)))
    none = replace(PLAN.codec, steps=0)
    last = replace(PLAN, pictures=none, codec=none, tokens=none)
    train(tmp_path / "end", triplets, last, start=start / "model")
    before, after = state(start / "model"), state(tmp_path / "end" / "model")
    assert len(after) > len(before) and equal(before, {k: after[k] for k in before})
    recipe = json.loads((tmp_path / "end" / "model" / "recipe.json").read_text())
    assert recipe["started_from"]["plan"]["tokens"]["steps"] == 3


def test_what_cannot_be_trained_is_said(tmp_path, triplets):
    with pytest.raises(InputError):
        train(tmp_path / "a", tmp_path)
    with pytest.raises(InputError, match="--start"):
        train(tmp_path / "b", triplets, replace(PLAN, codec=replace(PLAN.codec, steps=0)))


_TWO = """
from pathlib import Path
from test_fixer_recipe import PLAN, configs, small_fixer_config
configs.NAMED["micro"] = small_fixer_config
from unseen.fit.distributed import joined_ranks
from unseen.priors.fixer.training.recipe import FixerTraining, train_fixer
with joined_ranks() as ranks:
    model = train_fixer(FixerTraining(Path({out!r}), PLAN, Path({triplets!r}), given=True), ranks, lambda *a: None)
    model.save_pretrained(Path({out!r}) / f"rank{{ranks.rank}}")
"""


@pytest.mark.slow
def test_two_processes_train_one_model(tmp_path, triplets):
    run_by_two(_TWO.format(out=str(tmp_path / "out"), triplets=str(triplets)), tmp_path, [Path(__file__).parent])
    assert equal(state(tmp_path / "out" / "rank0"), state(tmp_path / "out" / "rank1"))
    assert (tmp_path / "out" / "model" / "recipe.json").is_file()
