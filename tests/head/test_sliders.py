from dataclasses import replace

import pytest
import torch

from unseen.head.params import HeadParams
from unseen.head.procedural import procedural_head
from unseen.head.sliders import SampledSliders, sample_sliders, sliders_of


def motion(frames: int = 3) -> HeadParams:
    """A head that turns, nods, talks."""
    params = HeadParams.zeros(procedural_head(), frames)
    g = torch.Generator().manual_seed(0)
    values = {
        n: 0.15 * torch.randn(getattr(params, n).shape, generator=g) for n in ("rotation", "neck_pose", "translation")
    }
    return replace(params, expr=0.3 * torch.randn(params.expr.shape, generator=g), **values)


def moved(sampled: SampledSliders, name: str, value: float, frame: int) -> torch.Tensor:
    """What a page adds to a frame: straight lines between samples and zero."""
    first = 0
    for slider in sampled.sliders:
        if slider.name == name:
            break
        first += len(slider.samples)
    at = torch.tensor([0.0, *slider.samples])
    moves = torch.cat([torch.zeros_like(sampled.moves[:1]), sampled.moves[first : first + len(slider.samples)]])
    order = at.argsort()
    at, moves = at[order], moves[order]
    k = int((at[1:] < value).sum().clamp(max=len(at) - 2))
    move = torch.lerp(moves[k], moves[k + 1], float((value - at[k]) / (at[k + 1] - at[k])))
    return move @ sampled.turns[frame].T


@pytest.mark.parametrize(
    ("name", "value", "tolerance_m"),
    [
        ("expression 2", 1.7, 2e-3),
        ("expression 0", -3.0, 4e-3),
        ("jaw (rad)", 0.25, 3e-3),
        ("neck turn (rad)", 0.4, 12e-3),
    ],
)
def test_samples_tell_what_the_model_would_do(name, value, tolerance_m):
    model, params = procedural_head(), motion()
    sampled = sample_sliders(model, params)
    slider = next(s for s in sampled.sliders if s.name == name)
    before, after = model.vertices(params), model.vertices(slider.added(params, value))
    for frame in range(len(params)):
        wanted = after[frame] - before[frame]
        assert float(wanted.norm(dim=1).max()) > 1e-3
        off = (moved(sampled, name, value, frame) - wanted).norm(dim=1).max()
        assert float(off) < tolerance_m, f"{1e3 * float(off):.1f} mm of {1e3 * float(wanted.norm(dim=1).max()):.1f}"


def test_a_slider_adds_to_every_frame_and_to_nothing_else():
    model, params = procedural_head(), motion()
    for slider in sliders_of(model):
        added = slider.added(params, slider.high)
        change = getattr(added, slider.field) - getattr(params, slider.field)
        assert torch.allclose(change[:, slider.column], torch.tensor(slider.high))
        change[:, slider.column] = 0
        assert not change.any() and slider.low <= 0 < slider.high
        assert max(slider.samples) == slider.high
        assert min(slider.samples) in (slider.low, slider.high)
