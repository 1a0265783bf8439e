"""What a picture's EXIF data say of the camera that took it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import ExifTags

from unseen.io.images import open_header

_FILM_DIAGONAL_MM = math.hypot(36, 24)
_MM_PER_UNIT = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
"""FocalPlaneResolutionUnit: inch, centimetre, millimetre, micrometre."""
_PLAUSIBLE = (0.2, 20.0)
"""Focal lengths in units of the longer side; what lies outside is a mistake in the file."""


@dataclass(frozen=True)
class Device:
    """Pictures with equal devices share their intrinsics.

    Attributes:
        width, height: of the stored picture.
        maker, model: of the camera; empty where the file does not say.
        focal_px: from EXIF; None where it does not tell.
    """

    width: int
    height: int
    maker: str
    model: str
    focal_px: float | None


def device_of(path: Path) -> Device:
    """The camera a picture says it was taken with; raises InputError, FormatError as `picture_head`."""
    with open_header(path) as file:
        width, height = file.size
        exif = file.getexif()
        detail = exif.get_ifd(ExifTags.IFD.Exif)
        maker, model = (str(exif.get(tag, "")).strip("\0 ") for tag in (ExifTags.Base.Make, ExifTags.Base.Model))
    return Device(width, height, maker, model, focal_px(detail, width, height))


def focal_px(detail: Mapping[int, Any], width: int, height: int) -> float | None:
    """Focal length in pixels from the EXIF sub-directory; None where it does not tell a plausible one.

    FocalLengthIn35mmFilm counts by the diagonal (CIPA DCG-001); else FocalLength over the size of the sensor's pixels,
    which FocalPlaneXResolution gives for the picture as taken, PixelXDimension wide.
    """
    film = _number(detail, ExifTags.Base.FocalLengthIn35mmFilm)
    if film:
        return _plausible(film / _FILM_DIAGONAL_MM * math.hypot(width, height), width, height)
    focal_mm = _number(detail, ExifTags.Base.FocalLength)
    resolution = _number(detail, ExifTags.Base.FocalPlaneXResolution)
    unit = _MM_PER_UNIT.get(int(_number(detail, ExifTags.Base.FocalPlaneResolutionUnit) or 2))
    taken = max(_number(detail, tag) or 0 for tag in (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight))
    if not (focal_mm and resolution and unit):
        return None
    longer = max(width, height)
    return _plausible(focal_mm / unit * resolution * longer / (taken or longer), width, height)


def _plausible(focal: float, width: int, height: int) -> float | None:
    low, high = _PLAUSIBLE
    return focal if low < focal / max(width, height) < high else None


def _number(detail: Mapping[int, Any], tag: int) -> float | None:
    try:
        value = float(detail[tag])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return value if math.isfinite(value) and value > 0 else None
