"""Finding the files of photos, and fitting solved cameras to them, from the heads of the files alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.errors import FormatError, InputError
from unseen.io.atomic import PathLike
from unseen.io.images import open_header
from unseen.io.lens import Lens

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
_QUARTERS = {1: 0, 6: 1, 3: 2, 8: 3}
"""Quarters of a turn clockwise that stand a picture upright, by its EXIF orientation; the others are mirrored."""
_PROPORTION_TOLERANCE = 0.02


@dataclass(frozen=True)
class PictureHead:
    """Size of the stored picture in pixels, and its EXIF orientation (1 to 8)."""

    width: int
    height: int
    orientation: int


def picture_head(path: PathLike) -> PictureHead:
    """What the head of a picture says.

    Raises:
        InputError: no such file.
        FormatError: not a picture.
    """
    with open_header(path) as file:
        orientation = file.getexif().get(0x0112, 1)
        return PictureHead(*file.size, orientation if orientation in range(1, 9) else 1)


def check_not_mirrored(path: PathLike) -> None:
    """Raise InputError for a picture that is stored mirrored: no camera takes such; errors as `picture_head`."""
    orientation = picture_head(path).orientation
    if orientation not in _QUARTERS:
        raise InputError(f"{path} is stored mirrored (EXIF orientation {orientation}): save it upright first")


def quarters_upright(path: PathLike) -> int:
    """Quarters of a turn clockwise that stand a stored picture upright, 0 to 3; errors as `picture_head`."""
    return _QUARTERS.get(picture_head(path).orientation, 0)


def list_pictures(folder: PathLike) -> list[str]:
    """Names of all pictures below `folder`, posix paths relative to it, sorted; hidden files and folders left out.

    Raises:
        InputError: no such folder, or no pictures in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"{folder} is no folder: expected one with pictures")
    names = sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.suffix.lower() in PICTURE_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )
    if not names:
        raise InputError(f"{folder} holds no pictures: expected {', '.join(PICTURE_SUFFIXES)} files")
    return names


def find_picture(folder: Path, name: str) -> Path | None:
    """The picture `name` in `folder`, or one with a suffix appended (Blender) or replaced (images_4); else None."""
    path = folder / name
    if path.is_file():
        return path
    suffixes = (*PICTURE_SUFFIXES, *(suffix.upper() for suffix in PICTURE_SUFFIXES))
    appended = (path.with_name(path.name + suffix) for suffix in suffixes)
    replaced = (path.with_suffix(suffix) for suffix in suffixes)
    return next((option for option in (*appended, *replaced) if option.is_file()), None)


def find_mask(folder: Path | None, name: str) -> Path | None:
    """The mask of the picture `name`: of the same name, with .png appended (COLMAP), or with another suffix."""
    return None if folder is None else find_picture(folder, name)


def solved_camera(path: Path, lens: Lens, world_to_camera: Float[Tensor, "4 4"]) -> tuple[Camera, Lens | None]:
    """The upright pinhole and the upright lens of a picture whose camera was solved for its stored pixels.

    The solver may have seen the picture at another resolution. Programs that solve cameras pass EXIF orientation over;
    a stored picture that lies on its side is turned upright here with its camera. Where only the upright picture has
    the proportions of the camera, the camera is taken as it is.

    Args:
        path: the picture.
        lens: of the solved camera.
        world_to_camera: its pose, float64.

    Returns:
        Camera after undistortion at the file's resolution, and its lens, None where nothing is distorted.

    Raises:
        InputError: no such picture, or one that is stored mirrored.
        FormatError: not a picture, or one whose proportions are not the camera's.
    """
    head = picture_head(path)
    width, height = head.width, head.height
    turned = head.orientation >= 5
    if same_proportions(lens.width, lens.height, width, height):
        check_not_mirrored(path)
        lens = lens.resized(width, height).turned(_QUARTERS[head.orientation])
        turn = _turn(_QUARTERS[head.orientation]).to(world_to_camera)
        world_to_camera = turn @ world_to_camera
    elif turned and same_proportions(lens.width, lens.height, height, width):
        lens = lens.resized(height, width)
    else:
        raise FormatError(
            f"{path} has {width} x {height} pixels, its camera {lens.width} x {lens.height}: "
            "expected the same proportions; are these the pictures the cameras were solved for?"
        )
    pinhole = lens.pinhole()
    camera = Camera(world_to_camera.float(), pinhole.K, pinhole.width, pinhole.height)
    return camera, None if lens.is_pinhole else lens


def posix_name(name: str) -> str:
    """A picture's name as posix path without ./ and backslashes."""
    return PurePosixPath(name.replace("\\", "/")).as_posix()


def same_proportions(width: int, height: int, other_width: int, other_height: int) -> bool:
    """Whether two sizes differ in scale only, give or take what rounding to whole pixels does."""
    return abs(math.log(width / height) - math.log(other_width / other_height)) < _PROPORTION_TOLERANCE


def _turn(quarters: int) -> Float[Tensor, "4 4"]:
    """Camera axes of a picture turned clockwise: x becomes y, y becomes -x."""
    quarter = torch.tensor([[0.0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    return torch.linalg.matrix_power(quarter, quarters)
