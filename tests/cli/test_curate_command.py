"""`unseen curate` as people meet it."""

import json

import pytest
from test_cli import expect_error, here, unseen

from fitting_scenes import blobs, ring_of_cameras
from unseen.cli.curate import numbers, plan_of
from unseen.core.errors import InputError
from unseen.io.triplets import read_triplets
from unseen.jobs.curate import FullPlan, SmallPlan
from unseen.synthetic.scenes import shoot_splats, write_album

NOTHING: dict = {"strategies": None, "every": None, "at": None, "steps": None, "splats": None}


def test_plans_by_name_and_options():
    assert plan_of("small", NOTHING, {"views": None}) == SmallPlan()
    assert plan_of("small", NOTHING, {"views": 4, "references": 1}) == SmallPlan(views=4, references=1)
    given = {"strategies": ("sparse",), "every": (10, 40), "at": None, "steps": 50, "splats": 900}
    plan = plan_of("full", given, {"max_side": 100})
    assert isinstance(plan, FullPlan) and (plan.strategies, plan.every, plan.max_side) == (("sparse",), (10, 40), 100)
    assert (plan.fit.steps, plan.fit.max_splats) == (50, 900)
    assert [s.name for s in plan.shortages(0)] == ["sparse-10", "sparse-40"]
    with pytest.raises(InputError, match="draws its own every"):
        plan_of("small", NOTHING | {"every": (3,)}, {})
    with pytest.raises(InputError, match="no plan 'large'"):
        plan_of("large", NOTHING, {})


def test_numbers():
    assert numbers(None) is None and numbers("10, 40") == (10, 40)
    for wrong in ("", "0", "3,,4", "-2", "x"):
        with pytest.raises(InputError, match="whole numbers"):
            numbers(wrong)


@pytest.mark.slow
def test_a_capture_becomes_triplets(tmp_path):
    cameras = ring_of_cameras(8, 32)
    write_album(tmp_path / "ring", cameras, [shoot_splats(blobs(), c) for c in cameras], model="ring")
    command = ("curate", tmp_path / "ring", "--strategy", "sparse", "--every", 3, "--steps", 8, "--splats", 300)
    done = unseen(*command, "-o", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["triplets"]["sparse"]["count"] == len(read_triplets(tmp_path / "out")) == 5
    expect_error(here(*command, "-o", tmp_path / "out", "--references", 1), 2, "another references")
    expect_error(here("curate", "-o", tmp_path / "none"), 2, "nothing to make triplets of")
