"""Real spherical harmonics to degree 3 in the sign convention of 3D Gaussian splatting files (odd m negative)."""

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


def rgb_to_sh0(rgb: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Band-0 coefficient whose colour (0.5 + C0 * sh0) is `rgb`."""
    return (rgb - 0.5) / C0


def sh0_to_rgb(sh0: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Colour of a band-0 coefficient, 0.5 + C0 * sh0 (not clamped)."""
    return 0.5 + C0 * sh0
