"""The picture of a request: a file inside folders the user named, or its bytes as base64."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path

from jaxtyping import UInt8
from torch import Tensor

from unseen.core.errors import InputError
from unseen.io.atomic import PathLike
from unseen.io.images import decode_image

MAX_PIXELS = 50_000_000
MAX_BYTES = 256 << 20
_LONGEST_PATH = 4096


def picture_bytes(prompt: str, roots: Sequence[PathLike]) -> bytes:
    """The file that `image_prompt` stands for, not yet decoded.

    A data URL is base64 after its first comma. A text with a dot (which base64 has not), or one that names a file
    inside `roots`, is a path, relative to the first of the roots that has it. Anything else is base64.

    Raises:
        InputError: a path outside the roots (whether or not anything is there), no such file, a file too large, or no
            base64.
    """
    if prompt.startswith("data:"):
        head, comma, body = prompt.partition(",")
        if not comma or not head.endswith(";base64"):
            raise InputError(f"image_prompt starts with {head[:40]!r}: expected data:image/...;base64,...")
        return _decoded(body)
    if len(prompt) <= _LONGEST_PATH and (path := _inside(prompt, roots)) is not None:
        return path_bytes(path)
    if "." in prompt and len(prompt) <= _LONGEST_PATH:
        allowed = " or ".join(str(root) for root in roots) or "no folder"
        raise InputError(f"image_prompt {prompt!r} is no file inside {allowed}: name its folder with --image-root")
    return _decoded(prompt)


def path_bytes(path: PathLike) -> bytes:
    """A picture file's bytes.

    Raises:
        InputError: not there, or too large.
    """
    try:
        size = Path(path).stat().st_size
        if size > MAX_BYTES:
            raise InputError(f"{path} has {size >> 20} MiB: expected a picture of at most {MAX_BYTES >> 20}")
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the picture {path}: {error.strerror or error}") from error


def decoded_picture(data: bytes, name: str) -> UInt8[Tensor, "H W 3"]:
    """A picture, upright; `name` is what messages call it.

    Raises:
        InputError: more than 50 million pixels.
        FormatError: not a picture, or a damaged one.
    """
    return decode_image(data, name, max_pixels=MAX_PIXELS)


def as_data_url(data: bytes) -> str:
    """A picture file's bytes as FlashWorld's requests hold them."""
    kind = "jpeg" if data[:2] == b"\xff\xd8" else "webp" if data[8:12] == b"WEBP" else "png"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _inside(text: str, roots: Sequence[PathLike]) -> Path | None:
    """The file of that name inside one of the folders, links followed; None when there is none."""
    for root in roots:
        folder = Path(root).resolve()
        try:
            path = (folder / text).resolve()
            if path.is_relative_to(folder) and path.is_file():
                return path
        except (OSError, ValueError):  # too long, or holds a NUL: no path
            continue
    return None


def _decoded(text: str) -> bytes:
    if len(text) > MAX_BYTES * 4 // 3:
        raise InputError(f"image_prompt holds {len(text) >> 20} MiB of base64: expected {MAX_BYTES >> 20} at most")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        shown = text[:24] + "..." * (len(text) > 24)
        raise InputError(
            f"image_prompt {shown!r} is broken base64 ({error}), and no file that may be read: "
            "expected a picture's base64, a data URL, or a path"
        ) from error
