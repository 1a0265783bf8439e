"""The whole recipe on a model of a few thousand weights and two little worlds."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from small_models import small_world_config
from trainings import equal, interrupted, state_of
from two_processes import run_by_two
from unseen.core.devices import seed_everything
from unseen.core.errors import InputError
from unseen.fit.distributed import Ranks
from unseen.priors.training.recipe import Training
from unseen.priors.training.stage import StagePlan
from unseen.priors.world import WorldPipeline
from unseen.priors.world import config as configs
from unseen.priors.world.training.recipe import WorldPlan, train_world
from unseen.synthetic.worlds import render_worlds

PLAN = WorldPlan(
    config="micro",
    codec=StagePlan(steps=3, batch=4, rate=1e-3, warmup=1),
    views=StagePlan(steps=2, batch=2, rate=1e-3, warmup=1),
    worlds=StagePlan(steps=3, batch=2, rate=1e-3, warmup=1),
    few=StagePlan(steps=4, batch=2, rate=1e-3, warmup=1),
    fake=StagePlan(steps=3, batch=2, rate=1e-3, warmup=1),
    places=2,
    weights="float32",
)

pytestmark = pytest.mark.filterwarnings("ignore:the small model does not know")


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("worlds")
    render_worlds(folder, range(2), lambda *a: None, views=6, size=(48, 32))
    return folder


@pytest.fixture(autouse=True)
def micro(monkeypatch):
    monkeypatch.setitem(configs.NAMED, "micro", small_world_config)
    seed_everything(0)


def train(out, places, plan=PLAN, **kwargs):
    return train_world(Training(out, plan, places, given=True, **kwargs), Ranks(), lambda *a: None)


def state(folder):
    return state_of(WorldPipeline.from_pretrained(folder))


def test_a_training_leaves_a_model_its_log_and_its_recipe(tmp_path, places):
    train(tmp_path, places)
    model = WorldPipeline.from_pretrained(tmp_path / "model")
    assert model.config.vae["latents_std"] != small_world_config().vae["latents_std"]
    recipe = json.loads((tmp_path / "model" / "recipe.json").read_text())
    assert recipe["samples"] == 2 and recipe["plan"]["few"]["steps"] == 4
    stages = [(e["stage"], e["step"]) for e in json.loads((tmp_path / "log.json").read_text())]
    assert stages == [("codec", 3), ("views", 2), ("worlds", 3), ("few", 4)]


@pytest.mark.parametrize("at", [7, 14])  # amid the worlds, and after a step of the fake score
def test_an_interrupted_training_ends_with_the_same_bits(tmp_path, places, monkeypatch, at):
    train(tmp_path / "whole", places)
    cut = tmp_path / "cut"
    interrupted(monkeypatch, lambda: train(cut, places), cut, at=at, without=("fake",))
    assert equal(state(tmp_path / "whole" / "model"), state(cut / "model"))


def test_training_learns_two_worlds_by_heart(tmp_path, places):
    longer = replace(PLAN, worlds=StagePlan(steps=60, batch=1, rate=5e-3, warmup=1), few=replace(PLAN.few, steps=0))
    train(tmp_path, places, longer)
    log = [e for e in json.loads((tmp_path / "log.json").read_text()) if e["stage"] == "worlds"]
    assert log[-1]["loss"] < 0.9 * log[0]["loss"]


def test_what_cannot_be_trained_is_said(tmp_path, places):
    with pytest.raises(InputError, match="no filmed worlds"):
        train(tmp_path / "a", tmp_path)
    train(tmp_path / "b", places, replace(PLAN, few=replace(PLAN.few, steps=0)))
    with pytest.raises(InputError, match="autoencoder"):
        train(tmp_path / "c", places, start=tmp_path / "b" / "model")
    further = replace(PLAN, codec=replace(PLAN.codec, steps=0))
    train(tmp_path / "d", places, further, start=tmp_path / "b" / "model")
    codec = {k: v for k, v in state(tmp_path / "b" / "model").items() if k.startswith("codec")}
    assert equal(codec, {k: v for k, v in state(tmp_path / "d" / "model").items() if k.startswith("codec")})


_TWO = """
from pathlib import Path
from test_world_recipe import PLAN, configs, small_world_config
configs.NAMED["micro"] = small_world_config
from unseen.fit.distributed import joined_ranks
from unseen.priors.training.recipe import Training
from unseen.priors.world.training.recipe import train_world
with joined_ranks() as ranks:
    model = train_world(Training(Path({out!r}), PLAN, Path({places!r}), given=True), ranks, lambda *a: None)
    model.save_pretrained(Path({out!r}) / f"rank{{ranks.rank}}")
"""


@pytest.mark.slow
def test_two_processes_train_one_model(tmp_path, places):
    run_by_two(_TWO.format(out=str(tmp_path / "out"), places=str(places)), tmp_path, [Path(__file__).parent])
    assert equal(state(tmp_path / "out" / "rank0"), state(tmp_path / "out" / "rank1"))
    assert (tmp_path / "out" / "model" / "recipe.json").is_file()
