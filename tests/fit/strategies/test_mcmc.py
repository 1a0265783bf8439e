"""Splats as samples: what is shared out looks as before, the number grows to the cap."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from fitting_scenes import blobs, ring_of_cameras
from unseen.core.gaussians import Gaussians
from unseen.fit.splats import SplatOptimizer
from unseen.fit.strategies.mcmc import MIN_OPACITY, add_noise, grow, relocate, share_out
from unseen.render.scene import render_gaussians

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


def test_growth_stops_at_the_cap_and_hardly_shows():
    splats, camera = optimizer(), ring_of_cameras(1)[0]
    before = render_gaussians(splats.gaussians(), camera, 0.0)
    generator = torch.Generator().manual_seed(0)
    assert grow(splats, 62, 1.05, generator) == 2 and len(splats) == 62
    assert grow(splats, 62, 1.05, generator) == 0
    assert float((render_gaussians(splats.gaussians(), camera, 0.0) - before).abs().mean()) < 0.01


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
