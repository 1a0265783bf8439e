"""Folders of posed photographs: pictures, depth, masks, transforms.json and a COLMAP model, all of one exact truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.errors import InputError
from unseen.io.atomic import PathLike, make_folder, write_json
from unseen.io.colmap import write_colmap
from unseen.io.images import write_depth, write_image
from unseen.io.transforms import camera_to_entry
from unseen.synthetic.scenes.film import Shot, shoot
from unseen.synthetic.scenes.scene import Scene
from unseen.synthetic.scenes.walks import DIAGONAL_35MM

DEPTH_UNIT = 0.001  # world units per step of the 16-bit depth pictures
POINTS = 20_000
_MAKE, _MODEL, _EXIF_IFD, _FOCAL_MM, _FOCAL_35MM = 0x010F, 0x0110, 0x8769, 0x920A, 0xA405
_SENSOR_DIAGONAL_MM = 7.0  # of the camera that the EXIF data describe


@dataclass(frozen=True)
class Album:
    """What a folder of photographs holds.

    Attributes:
        folder: where it is.
        cameras: one per photograph.
        names: of the pictures, relative to `folder`/images.
        points: surface points that photographs show, world units, [P, 3].
        point_colors: in [0, 1], [P, 3].
    """

    folder: Path
    cameras: tuple[Camera, ...]
    names: tuple[str, ...]
    points: Float[Tensor, "P 3"]
    point_colors: Float[Tensor, "P 3"]


def photograph(
    scene: Scene,
    cameras: Sequence[Camera],
    folder: PathLike,
    *,
    supersampling: int = 2,
    noise: float = 0.0,
    exposure_stops: float = 0.0,
    masks: bool = False,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Album:
    """Photograph a scene into a folder; see `write_album` for what it then holds.

    Args:
        scene: what is seen.
        cameras: from where.
        folder: made if absent.
        supersampling: samples per pixel along each axis.
        noise: standard deviation of the sensor's noise, image range 1.
        exposure_stops: standard deviation of the exposure from photograph to photograph, in powers of two.
        masks: write masks of what the scene is about.
        seed: of noise, exposure and points.
        progress: called with the number of photographs taken.
    """
    gains = 2.0 ** np.random.default_rng([seed, 0xE9]).normal(scale=exposure_stops, size=len(cameras))
    shots = (
        shoot(scene, camera, supersampling=supersampling, exposure=float(gain), noise=noise, seed=seed * 100_003 + i)
        for i, (camera, gain) in enumerate(zip(cameras, gains, strict=True))
    )
    return write_album(folder, cameras, shots, model=scene.name, masks=masks, seed=seed, progress=progress)


def write_album(
    folder: PathLike,
    cameras: Sequence[Camera],
    shots: Iterable[Shot],
    *,
    model: str,
    depth_unit: float = DEPTH_UNIT,
    masks: bool = False,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Album:
    """Write photographs as they come.

    images/NNNN.jpg (quality 95, EXIF with focal length), depth/NNNN.png (16-bit z depth in steps of `depth_unit`, 0
    where there is none or it is too far), masks/NNNN.png (white: the scene's subject), transforms.json, and a COLMAP
    model in sparse/0 with points drawn from the surfaces the photographs show.

    Args:
        folder: made if absent.
        cameras: one per photograph.
        shots: the photographs, in the same order.
        model: name of the camera model in the EXIF data.
        depth_unit: world units per step of the depth pictures.
        masks: write masks.
        seed: of the points.
        progress: called with the number of photographs written.

    Raises:
        InputError: no cameras.
        ResourceError: the machine refuses.
    """
    if not cameras:
        raise InputError("an album of no photographs: expected at least one camera")
    out = Path(folder)
    for name in ("images", "depth", *(["masks"] if masks else [])):
        make_folder(out / name)
    rng = np.random.default_rng([seed, 0x9017])
    share = -(-POINTS // len(cameras))
    names, clouds = [], []
    for i, (camera, shot) in enumerate(zip(cameras, shots, strict=True)):
        stem = f"{i + 1:04d}"
        write_image(out / "images" / f"{stem}.jpg", shot.image, exif=_exif(camera, model))
        write_depth(out / "depth" / f"{stem}.png", shot.depth, depth_unit)
        if masks:
            write_image(out / "masks" / f"{stem}.png", shot.subject)
        names.append(f"{stem}.jpg")
        clouds.append(surface_points(camera, shot, share, rng))
        if progress is not None:
            progress(i + 1)
    points, colors = (torch.cat(part) for part in zip(*clouds, strict=True))
    write_json(out / "transforms.json", _transforms(cameras, names, depth_unit, masks))
    write_colmap(out, cameras, names, points, colors)
    return Album(out, tuple(cameras), tuple(names), points, colors)


def _transforms(cameras: Sequence[Camera], names: Sequence[str], depth_unit: float, masks: bool) -> dict:
    frames = []
    for camera, name in zip(cameras, names, strict=True):
        stem = Path(name).stem
        frame = {"file_path": f"images/{name}", "depth_file_path": f"depth/{stem}.png", **camera_to_entry(camera)}
        frames.append(frame | ({"mask_path": f"masks/{stem}.png"} if masks else {}))
    return {"camera_model": "PINHOLE", "depth_unit_scale_factor": depth_unit, "frames": frames}


def _exif(camera: Camera, model: str) -> Image.Exif:
    """Make, model and focal length, true to the camera."""
    equivalent = float(camera.K[0, 0]) * DIAGONAL_35MM / float(np.hypot(camera.width, camera.height))
    exif = Image.Exif()
    exif[_MAKE], exif[_MODEL] = "unseen", model
    exif.get_ifd(_EXIF_IFD)[_FOCAL_MM] = round(equivalent * _SENSOR_DIAGONAL_MM / DIAGONAL_35MM, 3)
    exif.get_ifd(_EXIF_IFD)[_FOCAL_35MM] = round(equivalent)
    return exif


def surface_points(
    camera: Camera, shot: Shot, count: int, rng: np.random.Generator
) -> tuple[Float[Tensor, "P 3"], Float[Tensor, "P 3"]]:
    """Points of the surfaces at some pixels' centres, in the world, and their colours.

    Args:
        camera: of the photograph.
        shot: the photograph.
        count: at most.
        rng: of the pixels.
    """
    rows, columns = torch.nonzero(shot.depth > 0, as_tuple=True)
    chosen = torch.from_numpy(rng.permutation(len(rows))[:count])
    y, x = rows[chosen], columns[chosen]
    z = shot.depth[y, x].double()
    rays = torch.stack([x + 0.5, y + 0.5, torch.ones_like(z)], -1).double() @ torch.linalg.inv(camera.K.double()).T
    pose = camera.camera_to_world.double()
    points = (rays * z[:, None]) @ pose[:3, :3].T + pose[:3, 3]
    return points.float(), shot.image[y, x].float() / 255
