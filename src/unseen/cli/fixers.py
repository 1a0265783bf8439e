"""The fixer an option names."""

from __future__ import annotations

from typing import Annotated, Any

import typer

FixerName = Annotated[
    str,
    typer.Option(
        "--fixer",
        help="tiny (comes with unseen), gsvar:PATH (GS-VAR or VARSR checkpoint), difix:PATH, a folder, or none.",
    ),
]


def fixer_of(name: str, device: str) -> Any:
    """The fixer, or None for `none`, which loads nothing.

    Raises:
        InputError: there is no fixer of that name.
        MissingDependencyError: what it needs is not installed, or its device is not there.
    """
    if name == "none":
        return None
    from unseen.core.devices import resolve_device
    from unseen.priors.fixer.loading import load_fixer

    return load_fixer(name, resolve_device(device))
