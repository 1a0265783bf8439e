"""Gaussians to write and read, shared by the tests of the formats."""

import torch
from hypothesis import strategies as st

from unseen.core.gaussians import Gaussians


def random_gaussians(num: int, degree: int, seed: int = 0) -> Gaussians:
    """Values as a trained scene has them, inside the range of the quantised formats."""
    g = torch.Generator().manual_seed(seed)
    k = (degree + 1) ** 2 - 1
    return Gaussians(
        means=torch.randn(num, 3, generator=g) * 2,
        quats=torch.randn(num, 4, generator=g) * 3,
        log_scales=torch.rand(num, 3, generator=g) * 8 - 8,
        logit_opacities=torch.randn(num, generator=g) * 2,
        sh0=torch.rand(num, 3, generator=g) * 3 - 1.5,
        shN=torch.rand(num, k, 3, generator=g) * 1.8 - 0.9,
    )


gaussians_strategy = st.builds(random_gaussians, st.integers(1, 40), st.integers(0, 3), st.integers(0, 2**31))


def rotation_error(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """Angle in radians between the rotations of quaternions."""
    p, q = (torch.nn.functional.normalize(x.double(), dim=-1) for x in (p, q))
    return 2 * torch.minimum((p - q).norm(dim=-1), (p + q).norm(dim=-1)).clamp(max=2).div(2).asin()


def differences(a: Gaussians, b: Gaussians) -> dict[str, float]:
    """Greatest difference in each property: units, natural logarithm, radians, opacity, colour, harmonic."""
    assert len(a) == len(b), f"{len(a)} against {len(b)}"
    if not len(a):
        return dict.fromkeys(("position", "log_scale", "rotation", "opacity", "rgb", "sh"), 0.0)
    assert a.sh_degree == b.sh_degree, f"degree {a.sh_degree} against {b.sh_degree}"
    return {
        "position": float((a.means - b.means).abs().max()),
        "log_scale": float((a.log_scales - b.log_scales).abs().max()),
        "rotation": float(rotation_error(a.quats, b.quats).max()),
        "opacity": float((a.opacities - b.opacities).abs().max()),
        "rgb": float((a.rgb - b.rgb).abs().max()),
        "sh": float((a.shN - b.shN).abs().max()) if a.sh_degree else 0.0,
    }


def assert_close(a: Gaussians, b: Gaussians, **bounds: float) -> dict[str, float]:
    """Check `differences` against bounds of the same names; a property without a bound must agree to rounding."""
    found = differences(a, b)
    rounding = {"position": 1e-5, "log_scale": 1e-5, "rotation": 1e-5, "opacity": 1e-6, "rgb": 1e-5, "sh": 1e-5}
    for name, value in found.items():
        assert value <= bounds.get(name, rounding[name]), f"{name}: {value} in {found}"
    return found


def matched(a: Gaussians, b: Gaussians) -> Gaussians:
    """The Gaussians of `b` in the order of `a`, by the nearest centre; each is taken once."""
    if not len(a):
        return b
    index = torch.cdist(a.means.double(), b.means.double()).argmin(1)
    assert len(index.unique()) == len(index)
    return b.select(index)
