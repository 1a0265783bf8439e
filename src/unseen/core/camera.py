"""Pinhole cameras: OpenCV axes (x right, y down, z forward), world-to-camera matrices, intrinsics in pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.errors import ShapeError


@dataclass(frozen=True)
class Camera:
    """One pinhole camera.

    Attributes:
        world_to_camera: rigid transform, OpenCV camera axes, [4, 4].
        K: intrinsics in pixels, centres of pixels at +0.5, [3, 3].
        width, height: image size in pixels.
    """

    world_to_camera: Float[Tensor, "4 4"]
    K: Float[Tensor, "3 3"]
    width: int
    height: int

    def __post_init__(self) -> None:
        if tuple(self.world_to_camera.shape) != (4, 4) or tuple(self.K.shape) != (3, 3):
            raise ShapeError(
                f"Camera got world_to_camera {tuple(self.world_to_camera.shape)} and K {tuple(self.K.shape)}, "
                "expected (4, 4) and (3, 3)"
            )

    @property
    def camera_to_world(self) -> Float[Tensor, "4 4"]:
        """Inverse of `world_to_camera`."""
        return torch.linalg.inv(self.world_to_camera)

    @property
    def center(self) -> Float[Tensor, "3"]:
        """Position of the optical centre in the world."""
        return -self.world_to_camera[:3, :3].T @ self.world_to_camera[:3, 3]

    @classmethod
    def look_at(
        cls,
        eye: Sequence[float] | Tensor,
        target: Sequence[float] | Tensor,
        width: int,
        height: int,
        fov_y_rad: float | None = None,
        focal_px: float | None = None,
        up: Sequence[float] | Tensor = (0.0, 1.0, 0.0),
    ) -> Camera:
        """Camera at `eye` looking at `target`; world `up` points up in the image. Give `fov_y_rad` or `focal_px`."""
        if (fov_y_rad is None) == (focal_px is None):
            raise ValueError("look_at needs exactly one of fov_y_rad and focal_px")
        focal = focal_px if focal_px is not None else 0.5 * height / math.tan(0.5 * float(fov_y_rad or 0.0))
        eye, target, up = (torch.as_tensor(v, dtype=torch.float32) for v in (eye, target, up))
        forward = torch.nn.functional.normalize(target - eye, dim=0)
        right = torch.linalg.cross(forward, up)
        if right.norm() < 1e-6:  # looking along `up`: any right vector will do
            right = torch.linalg.cross(forward, torch.tensor([0.0, 0.0, -1.0]))
        right = torch.nn.functional.normalize(right, dim=0)
        rotation = torch.stack([right, torch.linalg.cross(forward, right), forward])
        return cls.from_parts(rotation, -rotation @ eye, focal, width, height)

    @classmethod
    def from_parts(
        cls, rotation: Float[Tensor, "3 3"], translation: Float[Tensor, "3"], focal_px: float, width: int, height: int
    ) -> Camera:
        """Camera from world-to-camera rotation and translation, square pixels, principal point at the image centre."""
        matrix = torch.eye(4)
        matrix[:3, :3], matrix[:3, 3] = rotation, translation
        k = torch.tensor([[focal_px, 0, width / 2], [0, focal_px, height / 2], [0, 0, 1.0]])
        return cls(matrix, k, width, height)

    def resized(self, width: int, height: int) -> Camera:
        """The same view at another resolution."""
        scale = torch.tensor([[width / self.width], [height / self.height], [1.0]], dtype=self.K.dtype)
        return replace(self, K=self.K * scale, width=width, height=height)

    def project(self, points: Float[Tensor, "*batch 3"]) -> tuple[Float[Tensor, "*batch 2"], Float[Tensor, "*batch"]]:
        """Pixel coordinates and depths (z in the camera frame) of world points."""
        local = points @ self.world_to_camera[:3, :3].T + self.world_to_camera[:3, 3]
        pixels = local @ self.K.T
        return pixels[..., :2] / pixels[..., 2:], local[..., 2]

    def unproject(
        self, pixels: Float[Tensor, "*batch 2"], depth: Float[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch 3"]:  # fmt: skip
        """World points at pixel coordinates and depths (z in the camera frame); inverse of `project`."""
        rays = torch.cat([pixels, torch.ones_like(pixels[..., :1])], -1) @ torch.linalg.inv(self.K).T
        pose = self.camera_to_world
        return (rays * depth[..., None]) @ pose[:3, :3].T + pose[:3, 3]

    def points(self, depth: Float[Tensor, "H W"]) -> Float[Tensor, "H W 3"]:
        """World points that the centres of the pixels show, at these depths (z in the camera frame)."""
        rows, columns = (torch.arange(n, device=depth.device) + 0.5 for n in depth.shape)
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        return self.unproject(torch.stack([x, y], -1), depth)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Camera:
        """Copy on another device or in another dtype."""
        return replace(self, world_to_camera=self.world_to_camera.to(device, dtype), K=self.K.to(device, dtype))


def stack_cameras(cameras: Sequence[Camera]) -> tuple[Float[Tensor, "C 4 4"], Float[Tensor, "C 3 3"]]:
    """`viewmats` and `Ks` of several cameras of one image size, as `rasterization` takes them."""
    sizes = {(c.width, c.height) for c in cameras}
    if len(sizes) != 1:
        raise ShapeError(f"cameras of one batch must share their image size, got {sorted(sizes)}")
    return torch.stack([c.world_to_camera for c in cameras]), torch.stack([c.K for c in cameras])
