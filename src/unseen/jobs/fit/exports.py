"""The files of a fitted scene."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unseen.core.errors import InputError
from unseen.core.gaussians import Gaussians
from unseen.fit.world import Similarity
from unseen.io.ply import save_ply
from unseen.io.scene import FORMATS, save_gaussians
from unseen.viewer.static import write_viewer

PAGE = "html"


def parse_formats(text: str) -> tuple[str, ...]:
    """Suffixes from a list such as "spz, .html"."""
    return tuple(filter(None, (part.strip().lstrip(".") for part in text.split(","))))


def check_formats(formats: Sequence[str]) -> None:
    """Refuse what cannot be written before the work.

    Raises:
        InputError: an ending that is unknown or only read.
    """
    endings = [f.ending.lstrip(".") for f in FORMATS if f.save] + [PAGE]
    for suffix in formats:
        if suffix not in endings:
            raise InputError(f"cannot export {suffix!r}: expected some of {', '.join(endings)}")


def export_scene(out: Path, splats: Gaussians, world: Similarity, formats: Sequence[str]) -> None:
    """Write scene.ply and what else is asked for.

    Files are in the source's world, taken to have y down as COLMAP's mostly do; the page shows the fit's, which has +Y
    up.

    Raises:
        ResourceError: the machine refuses a write.
    """
    original = world.inverse().gaussians(splats)
    save_ply(out / "scene.ply", original)
    for suffix in formats:
        if suffix == PAGE:
            write_viewer(out / "viewer.html", splats, title=out.name)
        elif suffix != "ply":
            save_gaussians(out / f"scene.{suffix}", original, "RDF")
