"""`unseen doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from unseen.cli.console import guarded, reporting, show
from unseen.cli.options import Debug, Json


@guarded
def run(
    warm: Annotated[
        bool, typer.Option("--warm", help="Compile all kernels now, so that the first job starts at once.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Say what this machine can do: devices, optional packages, head models, compiled kernels."""
    from unseen.jobs.doctor import examine, warm_kernels

    if warm:
        with reporting(quiet=json) as reporter:
            warm_kernels(reporter)
    findings = examine()
    show(findings, json, [f"{name:<14} {text}" for name, text in findings.items()])
