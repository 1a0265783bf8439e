"""A real garden as ground truth: a user's point cloud as Gaussians, photographed from an orbit like its own cameras.

The file is gsplat's test data or alike, an .npz with `means3d` [N, 3], `colors` [N, 3] (bytes), `viewmats` [C, 4, 4]
(world to camera), `Ks` [C, 3, 3], `width` and `height`. It is not part of this package.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.spatial import cKDTree
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.errors import FormatError, InputError
from unseen.core.gaussians import Gaussians
from unseen.io.atomic import PathLike
from unseen.render import rasterization
from unseen.synthetic.scenes.film import Shot

NEIGHBOURS = 3
OPACITY = 0.92
SMALLEST, LARGEST = 0.25, 3.0  # scales, in units of their median
COMPANY, RING = 12, 2000  # neighbours, and points of one distance, that a point is compared with
ALONE, ALONE_IN_RING = 1.6, 3.5  # times the usual gap between points
SOLID = 0.5  # alpha from which on a pixel has a depth
_ARRAYS = {"means3d": (2, 3), "colors": (2, 3), "viewmats": (3, 4), "Ks": (3, 3)}


@dataclass(frozen=True)
class Orbit:
    """A circle of cameras: the point they look at, the unit direction up, their distance from the axis through that
    point and their height above it, in world units."""

    target: Float[Tensor, "3"]
    up: Float[Tensor, "3"]
    radius: float
    height: float


@dataclass(frozen=True)
class Garden:
    """Gaussians made from points, and the cameras that came with them."""

    splats: Gaussians
    cameras: tuple[Camera, ...]

    @property
    def orbit(self) -> Orbit:
        """The orbit its own cameras lie on."""
        return fitted_orbit(self.cameras)


def garden(path: PathLike) -> Garden:
    """Load a garden: one Gaussian per point, round, as wide as the mean distance to its three nearest neighbours.

    Points that float alone are left out.

    Raises:
        InputError: no such file.
        FormatError: it lacks an array, or one has another shape.
    """
    arrays = _read(Path(path))
    width, height = int(arrays["width"]), int(arrays["height"])
    views, intrinsics = (torch.from_numpy(arrays[name]).float() for name in ("viewmats", "Ks"))
    cameras = tuple(Camera(view, k, width, height) for view, k in zip(views, intrinsics, strict=True))
    means, rgb = arrays["means3d"].astype(np.float64), arrays["colors"].astype(np.float32) / 255
    kept = _in_company(means)
    means, rgb = means[kept], rgb[kept]
    gaps, _ = cKDTree(means).query(means, k=NEIGHBOURS + 1)
    scale = gaps[:, 1:].mean(1)
    scale = np.clip(scale, SMALLEST * np.median(scale), LARGEST * np.median(scale))
    scales = torch.from_numpy(scale).float()[:, None].expand(-1, 3).contiguous()
    quats = torch.tensor([1.0, 0, 0, 0]).expand(len(means), 4).contiguous()
    opacities = torch.full((len(means),), OPACITY)
    return Garden(
        Gaussians.from_rgb(torch.from_numpy(means).float(), scales, quats, opacities, torch.from_numpy(rgb)), cameras
    )


def _in_company(means: Float[np.ndarray, "N 3"]) -> Bool[np.ndarray, "N"]:
    """Points that lie among others: not much farther from their neighbours than those are from theirs, and not much
    farther than is usual at their distance from the middle."""
    gaps, near = cKDTree(means).query(means, k=min(COMPANY, len(means)))
    gap = gaps[:, 1:].mean(1)
    usual = np.median(gap[near[:, 1:]], axis=1)
    away = np.linalg.norm(means - np.median(means, axis=0), axis=1)
    order = np.argsort(away)
    rings = np.array_split(order, max(1, len(means) // RING))
    common = np.empty_like(gap)
    for ring in rings:
        common[ring] = np.median(gap[ring])
    return (gap <= ALONE * usual) & (gap <= ALONE_IN_RING * common)


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as content:
            arrays = {name: content[name] for name in (*_ARRAYS, "width", "height")}
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: expected an .npz with the points of a garden") from error
    except KeyError as error:
        raise FormatError(f"{path}: {error.args[0]}; expected {', '.join(_ARRAYS)}, width and height") from error
    except (OSError, ValueError, EOFError) as error:
        raise FormatError(f"{path} is not an .npz of plain arrays: {error}") from error
    for name, (dims, last) in _ARRAYS.items():
        if arrays[name].ndim != dims or arrays[name].shape[-1] != last or len(arrays[name]) <= NEIGHBOURS * (dims == 2):
            raise FormatError(f"{path}: {name} has shape {arrays[name].shape}, expected {dims} axes ending in {last}")
    return arrays


def fitted_orbit(cameras: tuple[Camera, ...]) -> Orbit:
    """The circle that some cameras lie on: up is level with all their horizontal
    axes, the target the point nearest to all optical axes.

    Raises:
        InputError: fewer than two cameras, or all look the same way.
    """
    poses = torch.stack([camera.camera_to_world.double() for camera in cameras])
    eyes, ahead = poses[:, :3, 3], poses[:, :3, 2]
    up = torch.linalg.svd(poses[:, :3, 0]).Vh[2]
    up = up * torch.sign(-poses[:, :3, 1].mean(0) @ up)
    across = torch.eye(3, dtype=torch.float64) - ahead[:, :, None] * ahead[:, None, :]
    if len(cameras) < 2 or float(torch.linalg.cond(across.sum(0))) > 1e6:
        raise InputError(f"{len(cameras)} cameras that look the same way give no orbit: expected two or more around it")
    target = torch.linalg.solve(across.sum(0), (across @ eyes[:, :, None]).sum(0))[:, 0]
    offset = eyes - target
    heights = offset @ up
    radius = (offset - heights[:, None] * up).norm(dim=1).mean()
    return Orbit(target.float(), up.float(), float(radius), float(heights.mean()))


def garden_cameras(
    scene: Garden, count: int, width: int, height: int, *, sway: float = 0.12, seed: int = 0
) -> list[Camera]:
    """Cameras all around on the scene's own orbit, rising and falling by about `sway` of its radius.

    The field of view across the picture's height is that of the scene's own first camera.
    """
    orbit, rng = scene.orbit, np.random.default_rng([seed, 0x6A2D])
    own = scene.cameras[0]
    focal = float(own.K[1, 1]) * height / own.height
    start = scene.cameras[0].center - orbit.target
    first = torch.nn.functional.normalize(start - (start @ orbit.up) * orbit.up, dim=0)
    second = torch.linalg.cross(orbit.up, first)
    phase = rng.uniform(0, 2 * math.pi, 2)
    cameras = []
    for i in range(count):
        turn = 2 * math.pi * i / count
        lift = orbit.height + sway * orbit.radius * math.sin(3 * turn + phase[0])
        radius = orbit.radius * (1 + 0.5 * sway * math.sin(2 * turn + phase[1]))
        eye = orbit.target + radius * (math.cos(turn) * first + math.sin(turn) * second) + lift * orbit.up
        cameras.append(Camera.look_at(eye, orbit.target, width, height, focal_px=focal, up=orbit.up))
    return cameras


def shoot_splats(splats: Gaussians, camera: Camera, *, background: float = 0.0) -> Shot:
    """Photograph Gaussians; depth is the expected z where they are mostly opaque, the subject all of them."""
    with torch.no_grad():
        image, alpha, _ = rasterization(
            splats.means, splats.quats, splats.scales, splats.opacities, splats.rgb, camera.world_to_camera[None],
            camera.K[None], camera.width, camera.height, render_mode="RGB+ED",
            backgrounds=splats.means.new_full((1, 3), background),
        )  # fmt: skip
    coverage = (alpha[0, ..., 0] * 255 + 0.5).to(torch.uint8)
    depth = torch.where(alpha[0, ..., 0] > SOLID, image[0, ..., 3], torch.zeros(()))
    return Shot((image[0, ..., :3].clamp(0, 1) * 255 + 0.5).to(torch.uint8), depth, coverage, coverage)
