"""`unseen fix`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unseen.cli.console import guarded, reporting, show
from unseen.cli.fixers import FixerName, fixer_of
from unseen.cli.options import Debug, Device, Json, Seed


@guarded
def run(
    renders: Annotated[Path, typer.Argument(help="A render, a folder of renders, or a video.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Picture, folder or .mp4 for the result.")],
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            help="A photo of the same place; may be given several times. For a folder of renders also a folder of "
            "photos of the same names."
        ),
    ] = None,
    fixer: FixerName = "tiny",
    steady: Annotated[
        bool, typer.Option(help="Of a video: show each frame the one before; else each is on its own.")
    ] = True,
    device: Device = "auto",
    seed: Seed = 0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Repair renders with the help of photos: a picture, a folder, a video."""
    from unseen.core.errors import InputError
    from unseen.jobs.fixing import FixRequest, run_fix

    request = FixRequest(renders, tuple(reference or ()), out, steady, seed)
    if missing := [path for path in request.references if not path.exists()]:
        raise InputError(f"the reference {missing[0]} does not exist")
    kind = request.kind
    if (chosen := fixer_of(fixer, device)) is None:
        raise InputError("--fixer none repairs nothing: give tiny, gsvar:PATH or difix:PATH")
    with reporting(quiet=json) as reporter:
        summary = run_fix(request, chosen, reporter)
    change = 100 * summary["mean_change"]
    show(summary, json, [f"{kind}: {summary['pictures']} fixed, changed by {change:.1f} % on average", f"in {out}"])
