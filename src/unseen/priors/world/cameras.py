"""The network's cameras: poses relative to the first one and to the path's extent, and rays.

A camera is 11 numbers, qw qx qy qz tx ty tz fx/W fy/H cx/W cy/H: camera-to-world, OpenGL axes (x right, y up, looking
along -z), as FlashWorld's requests and networks have it. Functions take any leading dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from unseen.core.camera import Camera, stack_cameras
from unseen.core.errors import InputError, ShapeError
from unseen.core.gaussians import Gaussians
from unseen.core.rotations import matrix_to_quaternion, quaternion_to_matrix

MARGIN = 0.01
"""Added to a path's extent before positions are divided by it, so that the farthest camera is nearer than 1."""
_PARALLEL = 1.0 - 1e-7


@dataclass(frozen=True)
class WorldCameras:
    """Cameras of one path, in the caller's frame.

    Attributes:
        values: the 11 numbers of each, [N, 11].
    """

    values: Float[Tensor, "N 11"]

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != 11:
            raise ShapeError(f"cameras have shape {tuple(self.values.shape)}, expected [N, 11]")

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def of(cls, cameras: Sequence[Camera]) -> WorldCameras:
        """From OpenCV cameras of one image size.

        Raises:
            ShapeError: their sizes differ.
        """
        viewmats, ks = stack_cameras(cameras)
        poses = torch.linalg.inv(viewmats.double())
        rotations = poses[:, :3, :3] * poses.new_tensor([1, -1, -1])  # OpenCV axes to OpenGL's
        width, height = cameras[0].width, cameras[0].height
        ks = ks.double()
        intrinsics = torch.stack(
            [ks[:, 0, 0] / width, ks[:, 1, 1] / height, ks[:, 0, 2] / width, ks[:, 1, 2] / height], -1
        )
        return cls(torch.cat([upright(matrix_to_quaternion(rotations)), poses[:, :3, 3], intrinsics], -1).float())

    def cameras(self, width: int, height: int) -> list[Camera]:
        """As OpenCV cameras with images of that size in pixels."""
        viewmats, ks = opencv(self.values, width, height)
        return [Camera(v, k, width, height) for v, k in zip(viewmats, ks, strict=True)]


@dataclass(frozen=True)
class Frame:
    """Where the network's frame lies in the caller's.

    Attributes:
        reference: camera-to-world matrix of the first camera, OpenGL axes, float64, [*batch, 4, 4].
        extent: largest distance of a camera from the first, in the caller's units, float64, [*batch].
    """

    reference: Float[Tensor, "*batch 4 4"]
    extent: Float[Tensor, "*batch"]

    @property
    def scale(self) -> Float[Tensor, "*batch"]:
        """The caller's units per unit of the network's."""
        return self.extent + MARGIN

    def to_network(self, values: Float[Tensor, "*batch N 11"]) -> Float[Tensor, "*batch N 11"]:
        """Cameras of the caller's frame in the network's."""
        poses = torch.linalg.inv(self.reference)[..., None, :, :] @ camera_to_world(values.double())
        quats = upright(matrix_to_quaternion(poses[..., :3, :3]))
        positions = poses[..., :3, 3] / self.scale[..., None, None]
        return torch.cat([quats, positions, values[..., 7:].double()], -1).to(values)

    def to_caller(self, gaussians: Gaussians) -> Gaussians:
        """Gaussians of the network's frame in the caller's: turned, enlarged and moved, colours turned along. For a
        frame without batch dimensions."""
        return gaussians.transform(self.reference[:3, :3], self.reference[:3, 3], float(self.scale))

    def gaussians_to_network(self, gaussians: Gaussians) -> Gaussians:
        """Inverse of `to_caller`."""
        turn = self.reference[:3, :3].T
        scale = float(self.scale)
        return gaussians.transform(turn, -turn @ self.reference[:3, 3] / scale, 1 / scale)


def normalized(values: Float[Tensor, "*batch N 11"]) -> tuple[Float[Tensor, "*batch N 11"], Frame]:
    """Cameras relative to the first one, at distances divided by the largest plus `MARGIN`; and what undoes it.

    Computed in float64: for a rotation on the spot far from the origin, rounding would be divided by 0.01.
    """
    poses = camera_to_world(values.double())
    frame = Frame(poses[..., 0, :, :], (poses[..., :3, 3] - poses[..., :1, :3, 3]).norm(dim=-1).amax(-1))
    return frame.to_network(values), frame


def camera_to_world(values: Float[Tensor, "*batch 11"]) -> Float[Tensor, "*batch 4 4"]:
    """Rigid matrices of cameras, OpenGL axes."""
    top = torch.cat([quaternion_to_matrix(values[..., :4]), values[..., 4:7, None]], -1)
    bottom = top.new_tensor([0, 0, 0, 1]).expand(*top.shape[:-2], 1, 4)
    return torch.cat([top, bottom], -2)


def opencv(
    values: Float[Tensor, "*batch 11"], width: int, height: int
) -> tuple[Float[Tensor, "*batch 4 4"], Float[Tensor, "*batch 3 3"]]:
    """`viewmats` and `Ks` as `rasterization` takes them, for images of that size in pixels."""
    poses = camera_to_world(values)
    turn = (poses[..., :3, :3] * poses.new_tensor([1, -1, -1])).transpose(-1, -2)
    viewmats = torch.zeros_like(poses)
    viewmats[..., :3, :3], viewmats[..., 3, 3] = turn, 1
    viewmats[..., :3, 3] = -(turn @ values[..., 4:7, None])[..., 0]
    fx, fy, cx, cy = (values[..., 7:] * values.new_tensor([width, height, width, height])).unbind(-1)
    o, i = torch.zeros_like(fx), torch.ones_like(fx)
    return viewmats, torch.stack([fx, o, cx, o, fy, cy, o, o, i], -1).unflatten(-1, (3, 3))


def resampled(values: Float[Tensor, "N 11"], count: int) -> Float[Tensor, "M 11"]:
    """The path with another number of cameras, evenly spaced in index.

    Raises:
        InputError: fewer than two cameras, or none asked for.
    """
    if len(values) < 2 or count < 1:
        raise InputError(f"a path of {len(values)} camera(s) cannot be resampled to {count}: expected at least 2 and 1")
    return at(values, torch.linspace(0, 1, count, dtype=values.dtype, device=values.device))


def at(values: Float[Tensor, "N 11"], fractions: Float[Tensor, "M"]) -> Float[Tensor, "M 11"]:
    """Cameras at fractions of a path, 0 its first and 1 its last: rotations slerped, the rest linear in the index."""
    places = fractions.clamp(0, 1) * (len(values) - 1)
    first = places.floor().long().clamp(max=len(values) - 2)
    return between(values[first], values[first + 1], places - first)


def between(
    a: Float[Tensor, "*batch D"], b: Float[Tensor, "*batch D"], fraction: Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch D"]:
    """Interpolated cameras or poses: the quaternion that comes first by the shorter arc, the rest linearly."""
    share = fraction[..., None]
    p, q = normalize(a[..., :4], dim=-1), normalize(b[..., :4], dim=-1)
    cosine = (p * q).sum(-1, keepdim=True)
    q, cosine = torch.where(cosine < 0, -q, q), cosine.abs()
    angle = cosine.clamp(max=_PARALLEL).acos()
    arc = (((1 - share) * angle).sin() * p + (share * angle).sin() * q) / angle.sin()
    turned = normalize(torch.where(cosine < _PARALLEL, arc, torch.lerp(p, q, share)), dim=-1)
    return torch.cat([turned, torch.lerp(a[..., 4:], b[..., 4:], share)], -1)


def rays(
    values: Float[Tensor, "*batch 11"], height: int, width: int, offsets: Float[Tensor, "*batch h w 2"] | None = None
) -> tuple[Float[Tensor, "*batch h w 3"], Float[Tensor, "*batch h w 3"]]:
    """Origins and unit directions of the rays through pixel centres of a grid.

    Args:
        values: cameras.
        height, width: of the grid; the intrinsics, being relative, fit any.
        offsets: of pixel positions, in units of the principal point (x = j + 0.5 + offset * cx).
    """
    fx, fy, cx, cy = (v[..., None, None] for v in values[..., 7:].unbind(-1))
    x = ((torch.arange(width, device=values.device, dtype=values.dtype) + 0.5) / width).expand(height, width)
    y = ((torch.arange(height, device=values.device, dtype=values.dtype) + 0.5) / height)[:, None].expand(height, width)
    if offsets is not None:
        x, y = x + offsets[..., 0] * cx, y + offsets[..., 1] * cy
    local = torch.stack([(x - cx) / fx, -(y - cy) / fy, -torch.ones_like(x).expand((x - cx).shape)], -1)
    turned = torch.einsum("...ij,...hwj->...hwi", quaternion_to_matrix(values[..., :4]), local)
    return values[..., None, None, 4:7].expand_as(turned), normalize(turned, dim=-1)


def ray_map(values: Float[Tensor, "*batch 11"], height: int, width: int) -> Float[Tensor, "*batch 6 h w"]:
    """Rays as the transformer is told them: direction, then the ray's point nearest to the network's origin."""
    origins, directions = rays(values, height, width)
    nearest = origins - (origins * directions).sum(-1, keepdim=True) * directions
    return torch.cat([directions, nearest], -1).movedim(-1, -3)


def upright(quats: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 4"]:
    """The same rotations with w >= 0."""
    return torch.where(quats[..., :1] < 0, -quats, quats)
