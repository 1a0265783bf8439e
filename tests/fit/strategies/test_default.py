"""The default strategy: what is split, cloned, pruned and reset when."""

import torch

from fitting_scenes import blobs
from unseen.fit.config import FitConfig
from unseen.fit.splats import SplatOptimizer
from unseen.fit.strategies.default import MIN_OPACITY, RESET_EVERY, DefaultStrategy

RATES = {"means": 1e-4, "quats": 1e-3, "log_scales": 5e-3, "logit_opacities": 5e-2, "sh": 2.5e-3}
CONFIG = FitConfig(steps=30000, max_splats=70)


def hot_at(splats: SplatOptimizer, rows: list[int]) -> None:
    splats.gradient_count.fill_(2.0)
    splats.gradient_sum[rows] = 1.0


def act(splats: SplatOptimizer, step: int, extent: float = 1.0, config: FitConfig = CONFIG) -> None:
    DefaultStrategy(config, extent).after_step(splats, step, 1e-4, torch.Generator().manual_seed(0))


def test_large_ones_split_small_ones_are_cloned():
    splats = SplatOptimizer(blobs(), RATES)
    small = torch.nonzero(splats.tensors["log_scales"].detach().amax(1).exp() < 0.06)[:, 0][:1].tolist()
    hot_at(splats, small)
    before = splats.gaussians()
    act(splats, 600, extent=6.0)  # a hundredth of 6: the limit of 0.06
    assert len(splats) == 61
    assert torch.equal(splats.tensors["means"][-1], before.means[small[0]])
    splats = SplatOptimizer(blobs(), RATES)
    hot_at(splats, [3])
    act(splats, 600)
    assert len(splats) == 61
    assert not bool((splats.tensors["means"].detach() == before.means[3]).all(1).any())


def test_the_hottest_get_the_room_there_is():
    splats = SplatOptimizer(blobs(), RATES)
    hot_at(splats, list(range(40)))
    splats.gradient_sum[20] = 5.0
    act(splats, 600)
    assert len(splats) == 70


def test_faint_ones_go_and_huge_ones_after_a_reset():
    splats = SplatOptimizer(blobs(), RATES)
    with torch.no_grad():
        splats.tensors["logit_opacities"][7] = -9.0
        splats.tensors["log_scales"][11] = 1.0
    act(splats, 600)
    assert len(splats) == 59
    act(splats, RESET_EVERY + 100)
    assert len(splats) == 58


def test_opacities_are_reset_and_nothing_happens_late():
    splats = SplatOptimizer(blobs(), RATES)
    act(splats, RESET_EVERY)
    assert float(splats.opacities.max()) <= 2 * MIN_OPACITY + 1e-6
    splats = SplatOptimizer(blobs(), RATES)
    hot_at(splats, [3])
    act(splats, 15000)
    assert len(splats) == 60
