"""Real spherical harmonics to degree 3 in the sign convention of 3D Gaussian splatting files (odd m negative)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

C0 = 0.28209479177387814
C1 = 0.4886025119029199
C2 = (1.0925484305920792, -1.0925484305920792, 0.31539156525252005, -1.0925484305920792, 0.5462742152960396)
C3 = (
    -0.5900435899266435,
    2.890611442640554,
    -0.4570457994644658,
    0.3731763325901154,
    -0.4570457994644658,
    1.445305721320277,
    -0.5900435899266435,
)

MAX_DEGREE = 3


def num_coefficients(degree: int) -> int:
    """Number of coefficients K = (degree + 1)^2 of all bands up to `degree`."""
    return (degree + 1) ** 2


def degree_of(num: int) -> int:
    """Inverse of `num_coefficients`; raises ValueError when `num` is not 1, 4, 9 or 16."""
    for degree in range(MAX_DEGREE + 1):
        if num_coefficients(degree) == num:
            return degree
    raise ValueError(f"{num} spherical-harmonic coefficients: expected 1, 4, 9 or 16")


def sh_basis(degree: int, dirs: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch K"]:
    """Basis values at unit directions, bands 0..degree, m from -l to l inside a band."""
    x, y, z = dirs.unbind(-1)
    basis = [torch.full_like(x, C0)]
    if degree >= 1:
        basis += [-C1 * y, C1 * z, -C1 * x]
    if degree >= 2:
        xx, yy, zz = x * x, y * y, z * z
        basis += [
            C2[0] * x * y,
            C2[1] * y * z,
            C2[2] * (2 * zz - xx - yy),
            C2[3] * x * z,
            C2[4] * (xx - yy),
        ]
    if degree >= 3:
        basis += [
            C3[0] * y * (3 * xx - yy),
            C3[1] * x * y * z,
            C3[2] * y * (4 * zz - xx - yy),
            C3[3] * z * (2 * zz - 3 * xx - 3 * yy),
            C3[4] * x * (4 * zz - xx - yy),
            C3[5] * z * (xx - yy),
            C3[6] * x * (xx - 3 * yy),
        ]
    return torch.stack(basis, -1)


def evaluate_sh(
    degree: int, dirs: Float[Tensor, "*batch 3"], coefficients: Float[Tensor, "*batch K D"]
) -> Float[Tensor, "*batch D"]:
    """Sum of the first (degree + 1)^2 coefficients times their basis; `dirs` are normalised here. No 0.5 offset."""
    dirs = torch.nn.functional.normalize(dirs, dim=-1)
    basis = sh_basis(degree, dirs)
    return (basis[..., None] * coefficients[..., : basis.shape[-1], :]).sum(-2)


def sh_rotation(degree: int, rotation: Float[Tensor, "3 3"]) -> Float[Tensor, "K K"]:
    """Matrix that turns coefficients with the scene: what was seen along d is then seen along R d.

    Real Wigner matrices, one block per band. A band is closed under rotation, so they are the exact solution of
    basis(d) D = basis(R^T d) over enough directions d (float64, K of them suffice, more condition it well).
    """
    dirs = _spread_directions(4 * num_coefficients(degree)).to(rotation.device)
    turned = dirs @ rotation.double()  # rows R^T d
    before, after = sh_basis(degree, dirs), sh_basis(degree, turned)
    blocks = []
    for band in range(degree + 1):
        columns = slice(band**2, (band + 1) ** 2)
        blocks.append(torch.linalg.lstsq(before[:, columns], after[:, columns]).solution)
    return torch.block_diag(*blocks).to(rotation)


def _spread_directions(count: int) -> Float[Tensor, "N 3"]:
    """Directions spread over the sphere along a golden spiral, float64."""
    i = torch.arange(count, dtype=torch.float64) + 0.5
    z, angle = 1 - 2 * i / count, i * math.pi * (3 - math.sqrt(5))
    radius = (1 - z * z).sqrt()
    return torch.stack([radius * angle.cos(), radius * angle.sin(), z], -1)


def rgb_to_sh0(rgb: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Band-0 coefficient whose colour (0.5 + C0 * sh0) is `rgb`."""
    return (rgb - 0.5) / C0


def sh0_to_rgb(sh0: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Colour of a band-0 coefficient, 0.5 + C0 * sh0 (not clamped)."""
    return 0.5 + C0 * sh0
