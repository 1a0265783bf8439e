"""Trainable splats and their optimiser."""

import pytest
import torch

from unseen.core.gaussians import Gaussians
from unseen.fit.splats import SplatOptimizer

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


def test_state_restores_to_the_bit():
    splats = make()

    def train(s, steps):
        for _ in range(steps):
            sum(t.square().sum() for t in (s.tensors[n] for n in RATES)).backward()
            s.step({"means": 0.5}, {})

    train(splats, 3)
    restored = SplatOptimizer.restore({k: v.clone() for k, v in splats.state().items()}, RATES)
    train(splats, 3)
    train(restored, 3)
    for name in RATES:
        assert torch.equal(splats.tensors[name], restored.tensors[name]), name


def test_what_is_not_trusted_does_not_move():
    splats = make()
    before = splats.gaussians()
    (1e-12 * splats.tensors["means"].sum()).backward()
    splats.step({}, {"means": torch.tensor([1.0, 0.0, 0.5, 1.0, 1.0, 0.0])})
    moved = (splats.tensors["means"] - before.means).detach().abs().amax(-1)
    assert moved[1] == 0 and moved[5] == 0
    assert moved[0] == pytest.approx(RATES["means"], rel=1e-3)  # Adam's step does not care how faint a gradient is
    assert moved[2] == pytest.approx(0.5 * RATES["means"], rel=1e-3)


def test_gradients_are_counted_in_device_coordinates():
    splats = make()
    grad = torch.zeros(6, 2)
    grad[1] = torch.tensor([1e-3, 0.0])
    visible = torch.tensor([True, True, False, False, False, False])
    splats.accumulate(grad, visible, width=200, height=100)
    assert splats.gradient_sum[1] == pytest.approx(0.1)
    assert splats.gradient_count.tolist() == [1, 1, 0, 0, 0, 0]
