"""Reading files nobody vouches for: refusals in one clear line, and no more memory than the file's size warrants."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unseen.core.errors import FormatError, InputError
from unseen.io.atomic import PathLike

_FREE_BYTES = 64 << 20
_MAX_EXPANSION = 200  # no scene of this size compresses further; deflate and lossless WebP reach 1000 and more on zeros


def read_bytes(path: PathLike) -> bytes:
    """The whole file.

    Raises:
        InputError: no such file, or the machine refuses to read it.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def read_sibling(path: PathLike, name: str) -> bytes:
    """The file `name` beside `path`, which names it.

    Raises:
        InputError: no such file, or the machine refuses to read it.
        FormatError: the name is a path, which could lead anywhere.
    """
    if name != Path(name).name or name in ("", "..") or "\\" in name or "\0" in name:
        raise FormatError(f"{path} names the file {name[:80]!r}: expected a plain name in its folder")
    try:
        return Path(path).with_name(name).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read {name[:80]}, which {path} names: {reason}") from error


def check_expansion(path: PathLike, unpacked_bytes: int, stored_bytes: int) -> None:
    """Refuse to unpack what is far larger than the stored bytes can honestly hold, before memory is spent on it.

    Raises:
        FormatError: more than 64 MiB, and more than 200 times what is stored.
    """
    if unpacked_bytes > max(_FREE_BYTES, _MAX_EXPANSION * stored_bytes):
        raise FormatError(
            f"{path} is damaged: its header announces {unpacked_bytes} bytes of content, packed into {stored_bytes}"
        )


def parse_json_object(path: PathLike, text: bytes, what: str) -> dict[str, Any]:
    """The JSON object in `text`; `what` names it in errors.

    Raises:
        FormatError: no JSON, or no object.
    """
    try:
        value = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is damaged: its {what} is no JSON ({type(error).__name__})") from None
    if not isinstance(value, dict):
        raise FormatError(f"{path} is damaged: its {what} is a JSON {type(value).__name__}, expected an object")
    return value


@contextmanager
def damaged_if_it_fails(path: PathLike, what: str) -> Iterator[None]:
    """Turn what goes wrong while a damaged structure is taken apart (a missing key, an index out of range, a value of
    another type) into one `FormatError` that names the file and `what` was read."""
    try:
        yield
    except (ArithmeticError, AttributeError, EOFError, LookupError, TypeError, ValueError, struct.error) as error:
        reason = f"{type(error).__name__} {error}" if str(error) else type(error).__name__
        raise FormatError(f"{path} is damaged or truncated: cannot read its {what} ({reason[:160]})") from error
