"""Splats as samples: what is shared out looks as before, what has large gradients grows."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from fitting_scenes import blobs
from unseen.core.gaussians import Gaussians
from unseen.fit.config import FitConfig
from unseen.fit.splats import SplatOptimizer
from unseen.fit.strategies.mcmc import MIN_OPACITY, McmcStrategy, add_noise, relocate, share_out

RATES = {"means": 1e-4, "quats": 1e-3, "log_scales": 5e-3, "logit_opacities": 5e-2, "sh": 2.5e-3}


def optimizer(opacities=None, n: int = 60) -> SplatOptimizer:
    splats = blobs(n)
    if opacities is not None:
        splats = Gaussians(**{**vars(splats), "logit_opacities": torch.logit(opacities)})
    return SplatOptimizer(splats, RATES)


@given(st.floats(0.02, 0.98), st.integers(1, 51))
def test_copies_integrate_to_the_same(opacity, copies):
    """The paper's condition, in one dimension: the opacity of the stacked copies has the integral of the one's."""
    each, log_factor = share_out(torch.tensor([opacity]), torch.tensor([copies]))
    assert math.isclose(1 - (1 - float(each)) ** copies, opacity, rel_tol=1e-4)
    x = torch.linspace(-12, 12, 4001, dtype=torch.float64)
    one = opacity * torch.exp(-(x**2) / 2)
    stacked = 1 - (1 - float(each) * torch.exp(-(x**2) / (2 * math.exp(2 * float(log_factor))))) ** copies
    assert math.isclose(float(one.sum()), float(stacked.sum()), rel_tol=2e-3)


def act(splats: SplatOptimizer, step: int, cap: int = 62) -> None:
    config = FitConfig(steps=7000, max_splats=cap, strategy="mcmc")
    McmcStrategy(config, 1.0).after_step(splats, step, 1e-4, torch.Generator().manual_seed(0))


def test_what_has_large_gradients_grows_up_to_the_cap():
    splats = optimizer(torch.full((60,), 0.9))
    means = splats.tensors["means"].detach().clone()
    splats.gradient_count[:], splats.gradient_sum[5:15] = 1.0, 1.0
    act(splats, 1000, cap=1000)
    left = (splats.tensors["means"].detach()[None] - means[:, None]).norm(dim=-1).amin(1) < 1e-6
    assert len(splats) == 70 and not bool(left[5:15].any()) and bool(left[:5].all()) and bool(left[15:].all())
    splats = optimizer(torch.full((60,), 0.9))
    splats.gradient_count[:], splats.gradient_sum[:40] = 1.0, 1.0
    act(splats, 1000)
    assert len(splats) == 62


def test_nothing_is_pruned_and_nothing_happens_late():
    opacities = torch.full((60,), 0.9)
    opacities[:20] = 0.002
    splats = optimizer(opacities)
    act(splats, 1000)
    assert len(splats) == 60 and bool((splats.opacities > MIN_OPACITY).all())
    splats = optimizer(opacities)
    splats.gradient_count[:], splats.gradient_sum[:40] = 1.0, 1.0
    before = splats.tensors["means"].detach().clone()
    act(splats, 3500)
    assert torch.equal(splats.tensors["means"].detach(), before)
    act(splats, 3499)
    assert not torch.equal(splats.tensors["means"].detach(), before) and len(splats) == 60


def test_faint_splats_move_onto_opaque_ones():
    opacities = torch.full((60,), 0.8)
    opacities[:20] = 0.001
    splats = optimizer(opacities)
    opaque = splats.tensors["means"].detach()[20:].clone()
    assert relocate(splats, torch.Generator().manual_seed(0)) == 20
    assert bool((splats.opacities > MIN_OPACITY).all())
    moved = splats.tensors["means"].detach()[:20]
    assert bool((moved[:, None] == opaque).all(-1).any(-1).all())


def test_noise_moves_the_faint_and_leaves_the_opaque():
    opacities = torch.full((60,), 0.9)
    opacities[:30] = 0.002
    splats = optimizer(opacities)
    before = splats.tensors["means"].detach().clone()
    add_noise(splats, 1.0, torch.Generator().manual_seed(0))
    moved = (splats.tensors["means"].detach() - before).norm(dim=1)
    assert float(moved[:30].min()) > 1e-6 and float(moved[30:].max()) < 1e-12
