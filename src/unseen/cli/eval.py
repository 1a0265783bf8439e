"""`unseen eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unseen.cli.console import guarded, reporting, show
from unseen.cli.options import Debug, Json


@guarded
def run(
    out: Annotated[Path, typer.Argument(help="Folder of `unseen fit`.")],
    renders: Annotated[
        bool, typer.Option("--renders", help="Leave photo and render side by side in OUT/eval.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Judge a fitted scene by the photos it never saw: PSNR and SSIM, per photo and mean."""
    from unseen.jobs.fit import evaluate_run

    with reporting(quiet=json) as reporter:
        found = evaluate_run(out, renders, lambda k, n: reporter.stage("evaluation", k, n))
    rows = [f"{view['photo']:<32} {view['psnr']:6.2f} dB  SSIM {view['ssim']:.4f}" for view in found["views"]]
    show(found, json, [*rows, f"mean of {found['photos']:<24} {found['psnr']:6.2f} dB  SSIM {found['ssim']:.4f}"])
