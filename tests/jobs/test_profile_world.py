"""What `unseen profile world` tells: all parts, measured or reckoned, and which."""

import json
from dataclasses import replace

import pytest

from small_models import small_world_config
from unseen.core.errors import InputError
from unseen.jobs.profile_world import PARTS, WorldProfileSettings, run_world_profile, world_lines_of
from unseen.jobs.progress import Silent
from unseen.priors.world.config import NAMED

SMALL = WorldProfileSettings(model="little-random", device="cpu", dtype="fp32", steps=2)


@pytest.fixture(autouse=True)
def little_models(monkeypatch):
    monkeypatch.setitem(NAMED, "little", small_world_config)


def run(**changes):
    result = run_world_profile(replace(SMALL, **changes), Silent())
    json.dumps(result)
    return result


def test_all_parts_are_measured():
    result = run()
    parts = result["parts"]
    assert set(parts) == set(PARTS) and all(part["seconds"] > 0 for part in parts.values())
    assert result["steps_s"] > 4 * parts["transformer"]["seconds"]
    assert (result["views"], result["height"], result["width"]) == (3, 32, 48)
    lines = world_lines_of(result)
    assert len(lines) == 6 and "3 views of 48 x 32" in lines[0] and "1 of 3 views measured" in lines[2]


def test_blocks_left_out_are_reckoned():
    all_of_them, one = (run(parts=("transformer",), layers=k)["parts"]["transformer"] for k in (None, 1))
    assert one["weight_bytes"] == all_of_them["weight_bytes"]
    assert "1 of 2 blocks measured" in one["note"] and not all_of_them["note"]
    assert one["seconds"] < 5 * all_of_them["seconds"]


@pytest.mark.parametrize("changes", [{"weights": "fp8"}, {"queries": 2}, {"dtype": "bf16"}, {"batch": 2}])
def test_settings_are_possible(changes):
    assert run(**changes)["steps_s"] > 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"height": 40}, "divisible by 16"), ({"views": 0}, "--views"), ({"parts": ("text",)}, "no part text")],
)
def test_what_cannot_be_is_refused(changes, words):
    with pytest.raises(InputError, match=words):
        run(**changes)
