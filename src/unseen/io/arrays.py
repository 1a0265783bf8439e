"""Named arrays in a compressed `.npz`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from unseen.core.errors import InputError
from unseen.io.atomic import atomic_write


def save_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write atomically.

    Raises:
        ResourceError: the machine refuses.
    """
    with atomic_write(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_arrays(path: Path, names: Iterable[str], what: str) -> dict[str, np.ndarray]:
    """Read the arrays of these names; nothing in the file is executed.

    Args:
        path: of the file.
        names: of the arrays.
        what: the file should be, and where such come from, for the message.

    Raises:
        InputError: it cannot be read, or lacks one.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names}
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise InputError(f"{path} is not {what} ({error})") from error


def array_files(folder: Path) -> list[Path]:
    """The `.npz` files of a folder, by name, without what a killed run left half written."""
    return sorted(path for path in folder.glob("*.npz") if not path.name.startswith("."))
