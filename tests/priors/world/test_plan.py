"""Plans for machines of any memory."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from small_models import small_world, small_world_config
from unseen.core.errors import InputError, ResourceError
from unseen.core.paths import orbit
from unseen.priors.world import WorldConfig
from unseen.priors.world.plan import Memory, open_planned, plan_world, running

FULL, SIZE = WorldConfig.named("flashworld"), (480, 704)
CPU, GPU = torch.device("cpu"), torch.device("cuda")
GIB = 2**30


@pytest.fixture(autouse=True)
def a_gpu(monkeypatch):
    """Of a new kind, whether there is one or not."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (9, 0))


def full(device_gib, host_gib=64, device=GPU, **kwargs):
    there = Memory(int(device_gib * GIB), int(host_gib * GIB))
    return plan_world(FULL, 24, SIZE, device, there=there, **kwargs)


def test_a_large_gpu_takes_all():
    plan = full(80)
    assert (plan.dtype, plan.weights, plan.offload, plan.text, plan.queries) == ("bf16", "full", False, "device", None)
    assert plan.batch > 1 and 22 * GIB < plan.needed.device < 80 * GIB


def test_less_memory_gives_up_one_thing_after_the_other():
    plans = [full(gib) for gib in (80, 24, 16, 12)]
    assert not plans[1].offload and plans[1].text == "cpu"
    assert [p.weights for p in plans] == ["full", "full", "full", "fp8"]
    assert all(p.needed.device <= p.there.device for p in plans)


@given(st.floats(1, 200), st.floats(4, 200), st.sampled_from([CPU, GPU]))
def test_plans_fit_or_are_refused(device_gib, host_gib, device):
    try:
        plan = full(device_gib, host_gib, device)
    except ResourceError as error:
        assert "views of 704 x 480" in str(error) and "GiB" in str(error)
    else:
        assert plan.fits and plan.lines()


def test_a_machine_without_a_gpu():
    plan = full(24, 24, CPU)
    assert (plan.dtype, plan.weights, plan.text, plan.offload) == ("bf16", "full", "passing", False)
    assert full(22, 22, CPU).weights == "fp8"
    assert plan_world(small_world_config(), 3, (32, 48), CPU).dtype == "fp32"


def test_everything_can_be_said():
    plan = full(80, dtype="fp16", weights="int8", offload=True, text="cpu", queries=7, batch=3)
    assert (plan.dtype, plan.weights, plan.offload, plan.text) == ("fp16", "int8", True, "cpu")
    assert (plan.queries, plan.batch) == (7, 3)
    assert "int8" in plan.lines()[0] and "3 views, 7 queries" in plan.lines()[1]


def test_old_gpus_attend_in_chunks(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (7, 5))
    assert full(80).queries == 1024


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"dtype": "fp64"}, "fp64"),
        ({"weights": "int4"}, "int4"),
        ({"offload": True, "device": CPU}, "GPU"),
        ({"batch": 0}, "0 views"),
        ({"text": "cpu", "device": CPU}, "as asked"),
    ],
)
def test_what_cannot_be_is_refused(kwargs, words):
    with pytest.raises(InputError, match=words):
        full(80, **kwargs)


@pytest.mark.parametrize("asked", [{}, {"weights": "int8"}, {"queries": 2, "batch": 1}, {"dtype": "bf16"}])
def test_planned_models_run(asked, tmp_path):
    model = small_world()
    model.save_pretrained(tmp_path)
    plan = plan_world(model.config, 3, (32, 48), CPU, **asked)
    with running(open_planned(tmp_path, plan), plan) as opened:
        path = orbit(3, radius_m=2.0, fov_y_rad=0.9, width=48, height=32)
        kwargs = {"prompt": "red", "steps": 2}
        found = opened.generate(path, generator=torch.Generator().manual_seed(0), **kwargs)
        wanted = model.generate(path, generator=torch.Generator().manual_seed(0), **kwargs)
    torch.testing.assert_close(found.views, wanted.views, atol=0.05, rtol=0)
