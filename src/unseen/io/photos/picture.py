"""Decoding one photo: upright, undistorted, resized."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from unseen.core.camera import Camera
from unseen.core.errors import FormatError, InputError
from unseen.io.images import open_header, read_channels, read_mask
from unseen.io.lens import Lens
from unseen.io.photoset import Photo, Picture
from unseen.io.picture_files import quarters_upright, same_proportions
from unseen.io.resample import resample_area, resample_nearest

_RESAMPLING = Image.Resampling.BOX


def load_photo(photo: Photo, scale: float = 1.0) -> Picture:
    """Decode a photo with its mask and depth.

    Pictures of any mode Pillow reads (grey, 16 bits, CMYK, palette, alpha) become RGB and alpha. Undistortion and
    reduction are one resampling, which averages over the area a pixel covers; depth takes the nearest value. Masks and
    depth may have another resolution than the picture; those that lie as the picture is stored are turned with it.

    Args:
        photo: from a reader.
        scale: size of the result, in (0, 1]; sides are rounded to whole pixels.

    Raises:
        InputError: a file is missing, or `scale` is out of range.
        FormatError: a file is damaged or of other proportions than the photo; the message names it.
    """
    if not 0 < scale <= 1:
        raise InputError(f"a photo at scale {scale}: expected more than 0 and at most 1")
    full = photo.camera
    camera = full.resized(max(1, round(full.width * scale)), max(1, round(full.height * scale)))
    lens = photo.lens or _lens_of(full)
    stored = read_channels(photo.path)
    if stored.shape[:2] != (lens.height, lens.width):
        raise FormatError(
            f"{photo.path} has {stored.shape[1]} x {stored.shape[0]} pixels, expected {lens.width} x {lens.height}: "
            "was it changed after its camera was read?"
        )
    pixels = _reduced(stored, photo.lens, full, camera)
    mask = None if photo.mask is None else _mask(photo, photo.mask, camera)
    depth = None if photo.depth is None else _depth(photo, photo.depth, camera)
    alpha = np.ascontiguousarray(pixels[..., 3]) if pixels.shape[2] == 4 else None
    return Picture(np.ascontiguousarray(pixels[..., :3]), mask, alpha, depth, camera)


def _reduced(pixels: UInt8[np.ndarray, "H W C"], lens: Lens | None, full: Camera, camera: Camera) -> np.ndarray:
    if lens is not None:
        return resample_area(pixels, lens, camera)
    if (camera.width, camera.height) == (full.width, full.height):
        return pixels
    return np.array(Image.fromarray(pixels).resize((camera.width, camera.height), _RESAMPLING))


def _mask(photo: Photo, path: Path, camera: Camera) -> UInt8[np.ndarray, "H W"]:
    lens = photo.lens or _lens_of(photo.camera)
    values = _upright(photo, path, np.asarray(read_mask(path) * 255).round().astype(np.uint8), lens)
    if photo.lens is None:
        return np.array(Image.fromarray(values).resize((camera.width, camera.height), _RESAMPLING))
    return resample_area(values[..., None], lens.resized(values.shape[1], values.shape[0]), camera)[..., 0]


def _depth(photo: Photo, path: Path, camera: Camera) -> Float32[np.ndarray, "H W"]:
    lens = photo.lens or _lens_of(photo.camera)
    values = _upright(photo, path, _read_depth(path), lens)
    known = np.isfinite(values) & (values > 0)
    values = np.where(known, values, 0).astype(np.float32) * np.float32(photo.depth_scale)
    return resample_nearest(values, lens.resized(values.shape[1], values.shape[0]), camera)


def _read_depth(path: Path) -> np.ndarray:
    """Values as stored, [H, W]."""
    if path.suffix.lower() in (".npy", ".npz"):
        try:
            values = np.load(path, allow_pickle=False)
            if isinstance(values, np.lib.npyio.NpzFile):
                with values as archive:
                    values = archive[archive.files[0]]
        except FileNotFoundError as error:
            raise InputError(f"{path} does not exist: expected a depth map") from error
        except (OSError, ValueError, EOFError, IndexError, zipfile.BadZipFile) as error:
            raise FormatError(f"{path} is damaged: {error}") from error
    else:
        with open_header(path) as image:
            values = np.array(image)
    values = np.squeeze(values)
    if values.ndim != 2 or values.dtype.kind not in "uif":
        raise FormatError(f"{path} has shape {values.shape} of {values.dtype}: expected a depth map [H, W] of numbers")
    return values.astype(np.float32)


def _upright(photo: Photo, path: Path, values: np.ndarray, lens: Lens) -> np.ndarray:
    """A map that belongs to the picture, turned as the picture is where it lies as that is stored."""
    height, width = values.shape
    if not same_proportions(width, height, lens.width, lens.height):
        quarters = quarters_upright(photo.path)
        if quarters % 2 == 0 or not same_proportions(height, width, lens.width, lens.height):
            raise FormatError(
                f"{path} has {width} x {height} pixels, its photo {lens.width} x {lens.height}: "
                "expected the same proportions"
            )
        values = np.rot90(values, -quarters)
    return np.ascontiguousarray(values)


def _lens_of(camera: Camera) -> Lens:
    k = camera.K.detach().cpu().double()
    return Lens(camera.width, camera.height, (float(k[0, 0]), float(k[1, 1])), (float(k[0, 2]), float(k[1, 2])))
