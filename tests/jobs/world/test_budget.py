"""Pruning and merging: moments are kept, budgets are met, and what it costs is told."""

import math
from dataclasses import replace

import pytest
import torch
from fake_world import film
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.core.gaussians import Gaussians
from unseen.core.rotations import quaternion_to_matrix
from unseen.jobs.world.budget import within_budget, without_faint
from unseen.jobs.world.compose import named_path
from unseen.jobs.world.merging import merged, merged_pairs


def some(n, seed, sh=3):
    g = torch.Generator().manual_seed(seed)
    return Gaussians(
        torch.randn(n, 3, generator=g), torch.randn(n, 4, generator=g), torch.randn(n, 3, generator=g) - 2,
        torch.randn(n, generator=g), torch.randn(n, 3, generator=g), torch.randn(n, sh, 3, generator=g),
    )  # fmt: skip


def mixture_moments(parts):
    """Mass, mean, covariance and mean colour of a mixture, float64, by definition."""
    masses = torch.cat([p.opacities.double() * p.scales.double().topk(2, 1).values.prod(1) for p in parts])
    means = torch.cat([p.means for p in parts]).double()
    turns = torch.cat([quaternion_to_matrix(p.quats.double()) for p in parts])
    variances = torch.cat([p.scales.double().square() for p in parts])
    covariances = turns @ torch.diag_embed(variances) @ turns.transpose(1, 2)
    mean = (masses[:, None] * means).sum(0) / masses.sum()
    apart = (means - mean)[..., None]
    covariance = (masses[:, None, None] * (covariances + apart @ apart.transpose(1, 2))).sum(0) / masses.sum()
    sh = torch.cat([p.sh for p in parts]).double()
    return masses.sum(), mean, covariance, (masses[:, None, None] * sh).sum(0) / masses.sum()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_a_pair_keeps_its_moments(seed):
    a, b = some(1, seed), some(1, seed + 1)
    one = merged_pairs(a, b)
    mass, mean, covariance, sh = mixture_moments([a, b])
    own_mass, own_mean, own_covariance, own_sh = mixture_moments([one])
    assert torch.allclose(own_mean, mean, atol=1e-5) and torch.allclose(own_sh, sh, atol=1e-5)
    assert torch.allclose(own_covariance, covariance, atol=1e-4 * float(covariance.diagonal().sum()))
    assert own_mass == pytest.approx(float(mass), rel=1e-4) or float(one.opacities) == pytest.approx(0.99, abs=1e-5)


def test_two_alike_become_one_of_the_same_shape():
    g = some(3, 0)
    one = merged_pairs(g, replace(g, quats=-2 * g.quats))
    assert torch.allclose(one.means, g.means, atol=1e-6)
    assert torch.allclose(one.log_scales.sort().values, g.log_scales.sort().values, atol=1e-4)


def test_flat_and_invisible_ones_stay_finite():
    g = some(6, 1)
    g = replace(g, log_scales=g.log_scales.index_fill(1, torch.tensor([2]), -60.0),
                logit_opacities=torch.tensor([40.0, 40, -90, -90, 0, 0]))  # fmt: skip
    assert len(merged(g, 1, torch.zeros(3), 1.0).finite()) == 1


def test_faint_and_broken_ones_go():
    g = some(5, 2)
    logits = torch.tensor([math.log(p / (1 - p)) for p in (2e-4, 3e-4, 0.5, 0.9, 0.9)])
    means = g.means.clone()
    means[4] = math.nan
    assert len(without_faint(replace(g, logit_opacities=logits, means=means), 0.00025)) == 3


def test_a_budget_is_met_near_quality_first():
    cameras = named_path("orbit", 4, 96, 64, 0.9)
    g = Gaussians.cat([film(camera) for camera in cameras])
    same, none = within_budget(g, 10**6, cameras)
    assert same is g and none is None
    fewer, report = within_budget(g, len(g) // 4, cameras)
    assert len(fewer) == len(g) // 4 == report["after"] and report["before"] == len(g)
    random = g.select(torch.randperm(len(g), generator=torch.Generator().manual_seed(0))[: len(fewer)])
    assert min(report["psnr_db"]) > 24 and len(report["psnr_db"]) == 4
    from unseen.fit.metrics import psnr
    from unseen.render.scene import view_gaussians

    worse = psnr(view_gaussians(random, cameras[1]).image, view_gaussians(g, cameras[1]).image)
    assert report["psnr_db"][1] > worse + 5
    again, _ = within_budget(g, len(g) // 4, cameras)
    assert torch.equal(again.means, fewer.means)


def test_coinciding_gaussians_merge():
    g = some(1, 3)
    many = Gaussians.cat([g] * 9)
    assert len(merged(many, 2, torch.zeros(3), 0.0)) == 2
