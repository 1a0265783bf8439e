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
