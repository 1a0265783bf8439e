"""The output folder of a job: one run, and never two mixed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from unseen.core.errors import FormatError, InputError


def check_folder(out: Path, description: dict[str, Any], resume: bool) -> None:
    """Refuse to mix two runs in one folder.

    Args:
        out: the folder, which need not exist.
        description: what determines this run's result, as it is kept in config.json; keys the earlier run's has
            besides do not matter.
        resume: whether an earlier run may be continued.

    Raises:
        InputError: `out` is a file, or holds another run, or the same run and `resume` is not set.
        FormatError: its config.json is damaged.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file, expected a folder for the results")
    earlier = out / "config.json"
    if not earlier.is_file():
        return
    if not resume:
        raise InputError(f"{out} already holds a run: choose another folder, or --resume to continue it")
    try:
        before = json.loads(earlier.read_text())
    except ValueError as error:
        raise FormatError(f"{earlier} is damaged: {error}") from error
    now = json.loads(json.dumps(description))
    if different := sorted(k for k in now if before.get(k) != now[k]):
        raise InputError(
            f"{out} holds a run with another {' and '.join(different)} (see its config.json): give the same "
            "options to resume it, or choose another folder"
        )
