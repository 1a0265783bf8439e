"""Reading and writing Gaussians by the end of the file's name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from unseen.core.errors import InputError
from unseen.core.gaussians import Gaussians
from unseen.core.sh import MAX_DEGREE
from unseen.io.atomic import PathLike
from unseen.io.axes import Axes
from unseen.io.compressed_ply import load_compressed_ply, save_compressed_ply
from unseen.io.gltf import load_gltf, save_gltf
from unseen.io.ksplat import load_ksplat
from unseen.io.ply import load_ply, save_ply
from unseen.io.sog import META, load_sog, picture_paths, save_sog
from unseen.io.splat import load_splat, save_splat
from unseen.io.spz import load_spz, save_spz


@dataclass(frozen=True)
class SplatFormat:
    """A file format of Gaussians.

    Attributes:
        ending: what names of its files end with, in lower case.
        name: for people.
        load: reads a file; takes `axes` when the format fixes them.
        save: writes a file, None where the format is only read; takes `axes` when the format fixes them.
        y_up: whether the format fixes its axes, which is +Y up wherever one does.
        max_sh_degree: bands of view-dependent colour it holds.
    """

    ending: str
    name: str
    load: Callable[..., Gaussians]
    save: Callable[..., None] | None
    y_up: bool = False
    max_sh_degree: int = MAX_DEGREE


FORMATS = (
    SplatFormat(
        ".compressed.ply", "compressed .ply (PlayCanvas, SuperSplat)", load_compressed_ply, save_compressed_ply
    ),
    SplatFormat(".ply", ".ply of 3D Gaussian splatting (INRIA)", load_ply, save_ply),
    SplatFormat(".splat", ".splat (antimatter15)", load_splat, save_splat, max_sh_degree=0),
    SplatFormat(".spz", ".spz (Niantic)", load_spz, save_spz, y_up=True),
    SplatFormat(".sog", ".sog 2 (PlayCanvas), one file", load_sog, save_sog),
    SplatFormat(META, ".sog 2 (PlayCanvas), a folder", load_sog, save_sog),
    SplatFormat(".glb", "binary glTF with KHR_gaussian_splatting", load_gltf, save_gltf, y_up=True),
    SplatFormat(".gltf", "glTF with KHR_gaussian_splatting", load_gltf, save_gltf, y_up=True),
    SplatFormat(".ksplat", ".ksplat (mkkellogg)", load_ksplat, None),
)
"""All formats; of two endings that fit a name the earlier one counts."""

SUFFIXES = tuple(sorted({"." + f.ending.rsplit(".", 1)[1] for f in FORMATS if f.ending != META}))
"""Last parts of the names of single files that may hold Gaussians."""


def format_of(path: PathLike) -> SplatFormat:
    """The format of a file by its name.

    Raises:
        InputError: no format has such names.
    """
    name = Path(path).name.lower()
    for candidate in FORMATS:
        if name.endswith(candidate.ending):
            return candidate
    endings = ", ".join(f.ending for f in FORMATS)
    raise InputError(f"{path} has the suffix {Path(path).suffix!r}: expected a splat file, one of {endings}")


def load_gaussians(path: PathLike, axes: Axes = "RDF") -> Gaussians:
    """Read a file of any format in `FORMATS`.

    Args:
        path: input.
        axes: axes of the Gaussians returned where the format fixes its own (.spz, glTF): "RDF" (y down, as .ply files
            from photos have it) or "RUB" (y up). Those of other formats are left as they are.

    Raises:
        InputError: no such file, or an unknown suffix.
        FormatError: the bytes are not what the suffix says.
    """
    found = format_of(path)
    return found.load(path, axes=axes) if found.y_up else found.load(path)


def save_gaussians(path: PathLike, gaussians: Gaussians, axes: Axes = "RDF") -> None:
    """Write a file of the format its name asks for; docs/formats.md says what each keeps.

    Args:
        path: output.
        gaussians: any device.
        axes: axes the Gaussians are in, for formats that fix their own (.spz, glTF); others are written as they are.

    Raises:
        InputError: unknown suffix, a format that is only read, or a scene the format cannot hold.
        ResourceError: the file cannot be written.
    """
    found = format_of(path)
    if found.save is None:
        endings = ", ".join(f.ending for f in FORMATS if f.save)
        raise InputError(f"{path}: {found.ending} is only read here; write one of {endings}")
    if found.y_up:
        found.save(path, gaussians, axes=axes)
    else:
        found.save(path, gaussians)


def stored_bytes(path: PathLike) -> int:
    """Size of a file on disk; of a .sog folder, by its meta.json, with the pictures it names.

    Raises:
        InputError: no such file.
        FormatError: a damaged meta.json.
    """
    parts = [Path(path), *(picture_paths(path) if Path(path).name == META else [])]
    try:
        return sum(part.stat().st_size for part in parts)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
