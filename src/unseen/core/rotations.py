"""Rotations as matrices, axis-angle vectors and wxyz quaternions. All functions are batched and differentiable."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize


def axis_angle_to_matrix(axis_angle_rad: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Rodrigues' formula, R = I + a K + b K^2 with a = sin t / t, b = (1 - cos t) / t^2.

    Both factors use their Taylor series below t^2 = 1e-6, so value and gradient are exact at zero rotation.
    """
    t2 = (axis_angle_rad * axis_angle_rad).sum(-1)[..., None, None]
    small = t2 < 1e-6
    safe = torch.where(small, torch.ones_like(t2), t2)
    t = safe.sqrt()
    a = torch.where(small, 1 - t2 / 6 + t2 * t2 / 120, t.sin() / t)
    b = torch.where(small, 0.5 - t2 / 24 + t2 * t2 / 720, (1 - t.cos()) / safe)
    k = skew(axis_angle_rad)
    eye = torch.eye(3, dtype=k.dtype, device=k.device)
    return eye + a * k + b * (k @ k)


def skew(v: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Matrix K with K w = v x w."""
    x, y, z = v.unbind(-1)
    o = torch.zeros_like(x)
    return torch.stack([o, -z, y, z, o, -x, -y, x, o], -1).reshape(*v.shape[:-1], 3, 3)


def quaternion_to_matrix(quats_wxyz: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation matrix of a quaternion, which is normalised first."""
    w, x, y, z = normalize(quats_wxyz, dim=-1).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z),
        2 * (x * y - w * z),
        2 * (x * z + w * y),
        2 * (x * y + w * z),
        1 - 2 * (x * x + z * z),
        2 * (y * z - w * x),
        2 * (x * z - w * y),
        2 * (y * z + w * x),
        1 - 2 * (x * x + y * y),
    ]
    return torch.stack(rows, -1).reshape(*quats_wxyz.shape[:-1], 3, 3)


def matrix_to_quaternion(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 4"]:
    """Unit wxyz quaternion of a rotation matrix.

    Of the four candidate formulas (one per component taken as pivot) the one with the largest pivot is used, which
    keeps the square root away from zero. Sign is arbitrary: q and -q are the same rotation.
    """
    m = matrix.flatten(-2)
    m00, m01, m02, m10, m11, m12, m20, m21, m22 = m.unbind(-1)
    squared = torch.stack(
        [1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22], -1
    )  # 4 w^2, 4 x^2, 4 y^2, 4 z^2
    candidates = torch.stack(
        [
            torch.stack([squared[..., 0], m21 - m12, m02 - m20, m10 - m01], -1),
            torch.stack([m21 - m12, squared[..., 1], m10 + m01, m02 + m20], -1),
            torch.stack([m02 - m20, m10 + m01, squared[..., 2], m12 + m21], -1),
            torch.stack([m10 - m01, m20 + m02, m21 + m12, squared[..., 3]], -1),
        ],
        -2,
    )
    pivot = squared.argmax(-1)[..., None, None].expand(*squared.shape[:-1], 1, 4)
    return normalize(candidates.gather(-2, pivot).squeeze(-2), dim=-1)


def matrix_to_axis_angle(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """Axis-angle vector (radians, norm in [0, pi]) of a rotation matrix."""
    q = matrix_to_quaternion(matrix)
    q = torch.where(q[..., :1] < 0, -q, q)
    sin_half = (q[..., 1:].square().sum(-1, keepdim=True) + 1e-24).sqrt()  # differentiable at the identity too
    angle = 2 * torch.atan2(sin_half, q[..., :1])
    factor = torch.where(sin_half < 1e-6, torch.full_like(sin_half, 2.0), angle / sin_half.clamp_min(1e-12))
    return q[..., 1:] * factor


def quaternion_multiply(p: Float[Tensor, "*batch 4"], q: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 4"]:
    """Hamilton product p (x) q of wxyz quaternions: first q, then p."""
    pw, px, py, pz = p.unbind(-1)
    qw, qx, qy, qz = q.unbind(-1)
    return torch.stack(
        [
            pw * qw - px * qx - py * qy - pz * qz,
            pw * qx + px * qw + py * qz - pz * qy,
            pw * qy - px * qz + py * qw + pz * qx,
            pw * qz + px * qy - py * qx + pz * qw,
        ],
        -1,
    )


def axis_angle_slerp(
    a: Float[Tensor, "*batch 3"], b: Float[Tensor, "*batch 3"], fraction: float | Float[Tensor, "*batch 1"]
) -> Float[Tensor, "*batch 3"]:
    """Shortest-path spherical interpolation between two axis-angle rotations; 0 gives a, 1 gives b."""
    ra, rb = axis_angle_to_matrix(a), axis_angle_to_matrix(b)
    delta = matrix_to_axis_angle(ra.transpose(-1, -2) @ rb)
    return matrix_to_axis_angle(ra @ axis_angle_to_matrix(delta * fraction))
