"""The world a fit works in: centred on the cameras, +Y up, cameras within 1 of the origin; and the way back."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.errors import FormatError, InputError, ShapeError
from unseen.core.gaussians import Gaussians
from unseen.io.atomic import PathLike, write_json
from unseen.io.photoset import PhotoSet

_UNDECIDED_UP = 0.2
"""Length of the mean of the cameras' up vectors below which they do not agree on what is up."""


@dataclass(frozen=True)
class Similarity:
    """x -> scale * rotation x + translation, from a source's world to the one a fit works in.

    Attributes:
        scale: positive.
        rotation, translation: float64.
    """

    scale: float
    rotation: Float[Tensor, "3 3"]
    translation: Float[Tensor, "3"]

    def __post_init__(self) -> None:
        if tuple(self.rotation.shape) != (3, 3) or tuple(self.translation.shape) != (3,):
            raise ShapeError(
                f"Similarity got rotation {tuple(self.rotation.shape)} and translation "
                f"{tuple(self.translation.shape)}, expected (3, 3) and (3,)"
            )
        if not 0 < self.scale < math.inf:
            raise InputError(f"Similarity got scale {self.scale}, expected a positive number")
        object.__setattr__(self, "rotation", self.rotation.double())
        object.__setattr__(self, "translation", self.translation.double())

    @classmethod
    def identity(cls) -> Similarity:
        """Nothing moves."""
        return cls(1.0, torch.eye(3), torch.zeros(3))

    def inverse(self) -> Similarity:
        """The way back."""
        back = self.rotation.T
        return Similarity(1 / self.scale, back, -back @ self.translation / self.scale)

    def points(self, points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
        """Points moved, in their own dtype and on their device."""
        rotation, translation = self.rotation.to(points.device), self.translation.to(points.device)
        return (self.scale * points.double() @ rotation.T + translation).to(points)

    def camera(self, camera: Camera) -> Camera:
        """The camera that sees the moved world as `camera` sees the world; its depths are `scale` times as large."""
        pose = camera.world_to_camera.double().cpu()
        moved = torch.eye(4, dtype=torch.float64)
        moved[:3, :3] = pose[:3, :3] @ self.rotation.T
        moved[:3, 3] = self.scale * pose[:3, 3] - moved[:3, :3] @ self.translation
        return replace(camera, world_to_camera=moved.to(camera.world_to_camera))

    def gaussians(self, gaussians: Gaussians) -> Gaussians:
        """Gaussians moved, turned and resized, with their view-dependent colours turned along."""
        device = gaussians.means.device
        return gaussians.transform(self.rotation.to(device), self.translation.to(device), self.scale)

    def photos(self, photoset: PhotoSet) -> PhotoSet:
        """Photos with their cameras, depths and points moved."""
        photos = tuple(
            replace(photo, camera=self.camera(photo.camera), depth_scale=photo.depth_scale * self.scale)
            for photo in photoset.photos
        )
        return replace(photoset, photos=photos, points=self.points(photoset.points))

    def save(self, path: PathLike) -> None:
        """Write as JSON; raises ResourceError where the machine refuses."""
        write_json(
            path,
            {"scale": self.scale, "rotation": self.rotation.tolist(), "translation": self.translation.tolist()},
        )

    @classmethod
    def load(cls, path: PathLike) -> Similarity:
        """Read what `save` wrote, exactly.

        Raises:
            InputError: no such file.
            FormatError: it holds something else.
        """
        try:
            content: dict[str, Any] = json.loads(Path(path).read_bytes())
            rotation, translation = (
                torch.tensor(content[name], dtype=torch.float64) for name in ("rotation", "translation")
            )
            return cls(float(content["scale"]), rotation, translation)
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error
        except (KeyError, TypeError, ValueError, InputError) as error:
            raise FormatError(f"{path} holds no scale, rotation and translation: {error}") from error


def normalise(photoset: PhotoSet) -> Similarity:
    """The similarity that puts a source's world in order, from its cameras alone.

    The mean of the cameras' centres becomes the origin, the mean of their up vectors +Y, the direction they are most
    spread along horizontally the x axis, the distance of the farthest one 1 (nerfstudio orients and centres so, too).
    Where the up vectors cancel, the direction in which the centres vary least is up. Where all cameras are in one
    place, the median distance of the points sets the scale.

    Raises:
        InputError: there are no photos, or a camera is not finite.
    """
    if not photoset.photos:
        raise InputError(f"{photoset.source} has no photos: expected at least one")
    poses = torch.stack([photo.camera.world_to_camera for photo in photoset.photos]).double().cpu()
    if not bool(poses.isfinite().all()):
        raise InputError(f"{photoset.source} has a camera whose pose is not finite")
    centers = -(poses[:, :3, :3].transpose(1, 2) @ poses[:, :3, 3:])[..., 0]
    origin = centers.mean(0)
    rotation = _upright(-poses[:, 1, :3].mean(0), centers - origin)
    scale = 1 / _radius(centers - origin, photoset.points.double().cpu() - origin)
    return Similarity(scale, rotation, -scale * rotation @ origin)


def _upright(mean_up: Float[Tensor, "3"], offsets: Float[Tensor, "C 3"]) -> Float[Tensor, "3 3"]:
    """Rotation whose rows are the new axes in the source's world."""
    _, directions = torch.linalg.eigh(offsets.T @ offsets)  # columns, by growing spread
    up = mean_up
    if float(mean_up.norm()) < _UNDECIDED_UP:
        up = directions[:, 0] if float(directions[:, 0] @ mean_up) >= 0 else -directions[:, 0]
    up = torch.nn.functional.normalize(up, dim=0)
    level = torch.eye(3, dtype=torch.float64) - up[:, None] * up
    flat = offsets @ level
    spread = flat.T @ flat + 1e-9 * offsets.square().sum() * level + 1e-30 * level
    right = torch.linalg.eigh(spread).eigenvectors[:, -1]
    right = torch.nn.functional.normalize(level @ right, dim=0)
    right = right * right[right.abs().argmax()].sign()
    return torch.stack([right, up, torch.linalg.cross(right, up)])


def _radius(centers: Float[Tensor, "C 3"], points: Float[Tensor, "P 3"]) -> float:
    """Distance of the farthest camera from the origin; else the median distance of the points; else 1."""
    cameras = float(centers.norm(dim=1).max())
    distances = points.norm(dim=1)
    depth = float(distances.median()) if len(points) else 0.0
    if cameras > 1e-4 * depth:
        return cameras
    return depth or 1.0
