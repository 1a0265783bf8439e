"""Densification of splats bound to triangles, in local space."""

import torch

from unseen.core.gaussians import Gaussians
from unseen.fit.splats import SplatOptimizer
from unseen.fit.strategies.bound import DensifyConfig, densify

RATES = {"means": 1e-2, "quats": 1e-3, "log_scales": 1e-2, "logit_opacities": 5e-2, "sh": 1e-2}


def make(n=6, faces=4, opacity=0.5, scale=0.1):
    g = torch.Generator().manual_seed(0)
    local = Gaussians.from_rgb(
        torch.randn(n, 3, generator=g),
        torch.full((n, 3), scale),
        torch.randn(n, 4, generator=g),
        torch.full((n,), opacity),
        torch.rand(n, 3, generator=g),
    )
    return SplatOptimizer(local, RATES, {"binding": torch.arange(n) % faces})


def set_gradient(splats, hot):
    splats.gradient_count = torch.ones(len(splats))
    splats.gradient_sum = torch.zeros(len(splats))
    splats.gradient_sum[hot] = 1.0


def run(splats, faces=4, extent=1.0, **config):
    generator = torch.Generator().manual_seed(1)
    return densify(splats, torch.ones(faces), extent, DensifyConfig(**config), generator)


def test_a_small_hot_splat_is_cloned_in_place_onto_the_same_face():
    splats = make(scale=0.001)
    set_gradient(splats, [2])
    assert run(splats) == (1, 0)
    assert len(splats) == 7
    assert splats.attached["binding"][-1] == 2
    assert torch.equal(splats.tensors["means"][-1], splats.tensors["means"][2])


def test_a_large_hot_splat_becomes_two_smaller_ones_nearby():
    splats = make(scale=0.1)
    before = splats.gaussians()
    set_gradient(splats, [2])
    assert run(splats) == (1, 0)
    assert len(splats) == 7
    assert splats.attached["binding"][-2:].tolist() == [2, 2]
    assert torch.allclose(splats.tensors["log_scales"][-1].exp(), torch.tensor(0.1 / 1.6))
    moved = (splats.tensors["means"][-2:] - before.means[2]).norm(dim=-1)
    assert (moved > 0).all() and (moved < 6 * 0.1).all()  # local units: a few local standard deviations


def test_split_samples_are_in_the_units_of_the_triangle():
    """The size of the triangle does not change where, locally, the children land."""
    results = []
    for size in (0.005, 5.0):
        splats = make(scale=3.0)
        set_gradient(splats, [0])
        densify(splats, torch.full((4,), size), 1e-3, DensifyConfig(), torch.Generator().manual_seed(1))
        results.append(splats.tensors["means"][-2:].detach())
    assert torch.equal(*results)


def test_the_last_splat_of_a_face_survives():
    splats = make(n=6, faces=4, opacity=1e-4)
    added, removed = run(splats)
    assert (added, removed) == (0, 2)  # faces 0 and 1 had two
    assert sorted(splats.attached["binding"].tolist()) == [0, 1, 2, 3]


def test_the_number_of_splats_is_bounded():
    splats = make(scale=0.001)
    set_gradient(splats, [0, 1, 2, 3, 4, 5])
    run(splats, max_splats=8)
    assert len(splats) == 8


def test_momentum_follows_survivors_and_children_start_without():
    splats = make(scale=0.001)
    (splats.tensors["means"].square().sum()).backward()
    splats.step({}, {})
    moments = splats.adam.state[splats.tensors["means"]]["exp_avg"].clone()
    set_gradient(splats, [2])
    run(splats)
    after = splats.adam.state[splats.tensors["means"]]["exp_avg"]
    assert torch.equal(after[:6], moments)
    assert torch.equal(after[6], torch.zeros(3))
