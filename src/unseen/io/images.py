"""Reading and writing pictures (PNG, JPEG, WebP and what else Pillow reads)."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from unseen.core.errors import FormatError, InputError, ShapeError
from unseen.io.atomic import PathLike, atomic_write

ImageLike = Tensor | np.ndarray

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


def read_image(path: PathLike, *, alpha: bool = False) -> UInt8[Tensor, "H W C"]:
    """Read a picture upright (EXIF orientation applied) as RGB, or RGBA with `alpha`; 16 bits are reduced to 8.

    A transparent picture read without `alpha` loses its alpha channel; nothing is composited.

    Raises:
        InputError: no such file.
        FormatError: not a picture, or a damaged one.
    """
    return torch.from_numpy(np.array(_open(path).convert("RGBA" if alpha else "RGB")))


def read_image_float(path: PathLike, *, alpha: bool = False) -> Float[Tensor, "H W C"]:
    """Like `read_image`, as float32 in [0, 1]."""
    return read_image(path, alpha=alpha).float() / 255


def read_channels(path: PathLike) -> UInt8[np.ndarray, "H W C"]:
    """Read a picture upright, as RGBA where it has an alpha channel or a transparent colour, else as RGB.

    Raises:
        InputError: no such file.
        FormatError: not a picture, or a damaged one.
    """
    image = _open(path)
    return np.array(image.convert("RGBA" if _has_alpha(image) else "RGB"))


def decode_image(data: bytes, name: str, *, max_pixels: int) -> UInt8[Tensor, "H W 3"]:
    """A picture file's bytes, upright, as RGB; `name` is what messages call it.

    Raises:
        InputError: it has more than `max_pixels`, which its head says before anything is decoded.
        FormatError: not a picture, or a damaged one.
    """
    return torch.from_numpy(np.array(_open(name, io.BytesIO(data), max_pixels).convert("RGB")))


def read_mask(path: PathLike) -> Float[Tensor, "H W"]:
    """Read a matte as float32 in [0, 1]: the alpha channel where the picture has one, its luma otherwise."""
    image = _open(path)
    band = image.convert("RGBA").getchannel("A") if _has_alpha(image) else image.convert("L")
    return torch.from_numpy(np.array(band)).float() / 255


def write_image(path: PathLike, image: ImageLike, *, quality: int = 95, exif: Image.Exif | None = None) -> None:
    """Write a picture atomically, the format chosen by the suffix (.png, .jpg, .webp).

    Args:
        path: output.
        image: uint8 or float in [0, 1] (clamped), [H, W], [H, W, 1], [H, W, 3] or [H, W, 4].
        quality: of JPEG and WebP, 1 to 100.
        exif: what the camera tells about the picture.

    Raises:
        InputError: unknown suffix, or JPEG asked for a picture with alpha.
        ShapeError: not an image.
        ResourceError: the file cannot be written.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in _FORMATS:
        raise InputError(f"cannot write {path}: {suffix!r} is no known picture format, use {', '.join(_FORMATS)}")
    pixels = to_uint8_image(image, keep=True)
    if _FORMATS[suffix] == "JPEG" and pixels.shape[2] == 4:
        raise InputError(f"cannot write {path}: JPEG holds no alpha channel, use .png")
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    options: dict[str, Any] = {"compress_level": 4} if suffix == ".png" else {"quality": quality}
    if exif is not None:
        options["exif"] = exif
    with atomic_write(path) as temporary:
        picture.save(temporary, _FORMATS[suffix], **options)


def write_depth(path: PathLike, depth: Float[Tensor, "H W"], unit: float) -> None:
    """Write a depth map atomically as 16-bit grey .png in steps of `unit`; what is too far for it becomes 0, unknown.

    Raises:
        ResourceError: the file cannot be written.
    """
    steps = np.rint(depth.detach().cpu().numpy() / unit)
    with atomic_write(path) as temporary:
        Image.fromarray(np.where(steps <= 0xFFFF, steps, 0).astype(np.uint16)).save(temporary, "PNG")


def to_uint8_image(image: ImageLike, *, keep: bool = False) -> np.ndarray:
    """An image as a uint8 array [H, W, 3]; with `keep`, [H, W, C] with the channels it has (1, 3 or 4).

    Accepts tensors and arrays, uint8 or float in [0, 1] (clamped, rounded to nearest), [H, W] or [H, W, C].

    Raises:
        ShapeError: another shape or dtype.
    """
    pixels = image.detach().cpu().numpy() if isinstance(image, Tensor) else np.asarray(image)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    channels = (1, 3, 4) if keep else (1, 3)
    if pixels.ndim != 3 or pixels.shape[2] not in channels or 0 in pixels.shape:
        raise ShapeError(f"image has shape {tuple(image.shape)}, expected [H, W] or [H, W, C] with C in {channels}")
    if np.issubdtype(pixels.dtype, np.floating):
        pixels = (np.nan_to_num(pixels).clip(0, 1) * 255 + 0.5).astype(np.uint8)
    elif pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * 255
    elif pixels.dtype != np.uint8:
        raise ShapeError(f"image has dtype {pixels.dtype}, expected uint8, bool or float in [0, 1]")
    return pixels if keep or pixels.shape[2] == 3 else np.broadcast_to(pixels, (*pixels.shape[:2], 3))


@contextmanager
def open_header(path: PathLike, data: io.BytesIO | None = None) -> Iterator[Image.Image]:
    """A picture as Pillow opens it: head read, pixels not yet decoded; what goes wrong inside names the file, or
    whatever `path` calls the bytes in `data`.

    Raises:
        InputError: no such file, or too large a picture.
        FormatError: not a picture, or a damaged one.
    """
    try:
        with Image.open(data or path) as file:
            yield file
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: expected a picture") from error
    except IsADirectoryError as error:
        raise InputError(f"{path} is a folder: expected a picture") from error
    except PermissionError as error:
        raise InputError(f"{path} cannot be read: permission denied") from error
    except UnidentifiedImageError as error:
        raise FormatError(f"{path} is not a picture of a known format: expected PNG, JPEG or WebP") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path} is too large a picture: {error}") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise FormatError(f"{path} is damaged: {error}") from error


def _has_alpha(image: Image.Image) -> bool:
    return "A" in image.getbands() or "transparency" in image.info


def _open(path: PathLike, data: io.BytesIO | None = None, max_pixels: int | None = None) -> Image.Image:
    """Decoded picture, upright, with 16-bit greys reduced to 8 bits."""
    with open_header(path, data) as file:
        if max_pixels is not None and file.width * file.height > max_pixels:
            raise InputError(f"{path} has {file.width} x {file.height} pixels: expected at most {max_pixels} in all")
        image = ImageOps.exif_transpose(file)
        image.load()
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip at 255
        return Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) / 257 + 0.5).astype(np.uint8))
    return image
