"""Converting Gaussians from one file format to another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unseen.core.errors import InputError
from unseen.core.gaussians import Gaussians
from unseen.core.sh import MAX_DEGREE, num_coefficients
from unseen.io.atomic import make_folder
from unseen.io.axes import Axes, rdf_to_rub
from unseen.io.ordering import by_visibility
from unseen.io.scene import FORMATS, SplatFormat, format_of, load_gaussians, save_gaussians, stored_bytes
from unseen.viewer.static import write_viewer

PAGE = ".html"


@dataclass(frozen=True)
class ConvertRequest:
    """What to convert.

    Attributes:
        source: file to read.
        target: file to write; its name decides the format, .html is a page with a viewer.
        axes: axes of files whose format does not fix them: "RDF" (y down) or "RUB" (y up).
        sh_degree: keep the bands up to this one; None keeps all.
        max_splats: keep at most this many, those of the largest opacity times area; None keeps all.
    """

    source: Path
    target: Path
    axes: Axes = "RDF"
    sh_degree: int | None = None
    max_splats: int | None = None


def run_convert(request: ConvertRequest) -> dict[str, Any]:
    """Convert a file. Gaussians that hold NaN or infinity are left out.

    Raises:
        InputError: no such file, unknown formats, or a target that is only read.
        FormatError: the source is damaged, or not what its name says.
        ResourceError: the target cannot be written.
    """
    page = request.target.suffix.lower() == PAGE
    max_degree = MAX_DEGREE if page else _check_target(request.target).max_sh_degree
    given = load_gaussians(request.source, request.axes)
    splats = _reduce(given.finite(), request, max_degree)
    make_folder(request.target.parent)
    if page:
        write_viewer(request.target, splats if request.axes == "RUB" else rdf_to_rub(splats), title=request.source.stem)
    else:
        save_gaussians(request.target, splats, request.axes)
    return {
        "splats": len(splats),
        "splats_left_out": len(given) - len(splats),
        "sh_degree": splats.sh_degree,
        "bytes": stored_bytes(request.target),
    }


def _check_target(target: Path) -> SplatFormat:
    """The format to write; what cannot be written is refused before the work."""
    found = format_of(target)
    if found.save is None:
        endings = ", ".join([f.ending for f in FORMATS if f.save] + [PAGE])
        raise InputError(f"{target}: {found.ending} is only read here; write one of {endings}")
    return found


def _reduce(splats: Gaussians, request: ConvertRequest, max_degree: int) -> Gaussians:
    """Fewer bands and fewer Gaussians, in the order they had."""
    degree = max_degree if request.sh_degree is None else min(request.sh_degree, max_degree)
    splats = replace(splats, shN=splats.shN[:, : num_coefficients(degree) - 1])
    if request.max_splats is not None and len(splats) > request.max_splats:
        splats = splats.select(by_visibility(splats)[: request.max_splats].sort().values)
    return splats
