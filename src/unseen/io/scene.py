"""Reading and writing Gaussians by the suffix of the file."""

from __future__ import annotations

from pathlib import Path

from unseen.core.errors import InputError
from unseen.core.gaussians import Gaussians
from unseen.io.atomic import PathLike
from unseen.io.ply import load_ply, save_ply
from unseen.io.splat import load_splat, save_splat
from unseen.io.spz import load_spz, save_spz

_LOADERS = {".ply": load_ply, ".splat": load_splat, ".spz": load_spz}
_SAVERS = {".ply": save_ply, ".splat": save_splat, ".spz": save_spz}
SUFFIXES = tuple(_LOADERS)


def load_gaussians(path: PathLike) -> Gaussians:
    """Read a .ply, .splat or .spz file, all in the axes a .ply has.

    Raises:
        InputError: no such file, or an unknown suffix.
        FormatError: the bytes are not what the suffix says.
    """
    return _LOADERS[_suffix(path)](path)


def save_gaussians(path: PathLike, gaussians: Gaussians) -> None:
    """Write a .ply (exact), .splat or .spz (quantised) file, chosen by the suffix; axes as a .ply has them.

    Raises:
        InputError: unknown suffix.
        ResourceError: the file cannot be written.
    """
    _SAVERS[_suffix(path)](path, gaussians)


def _suffix(path: PathLike) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path} has the suffix {suffix!r}: expected a splat file, one of {', '.join(SUFFIXES)}")
    return suffix
