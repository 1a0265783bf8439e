"""Weights of a module from a file, strictly, and what is wrong with a file said in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from unseen.core.errors import FormatError, InputError


def load_strictly(module: torch.nn.Module, path: Path) -> None:
    """Load a module's weights from a .safetensors file.

    Raises:
        InputError: no such file.
        FormatError: damaged, or with names or shapes that are not the module's: all are told.
    """
    from safetensors.torch import load_file

    if not path.is_file():
        raise InputError(f"no weights at {path}: expected a folder of a model")
    with as_format_error(path):
        module.load_state_dict({k: v.float() for k, v in load_file(path).items()})


@contextmanager
def as_format_error(path: Path) -> Iterator[None]:
    """Turn what libraries raise over the contents of `path` into a FormatError that names it."""
    from safetensors import SafetensorError

    try:
        yield
    except (SafetensorError, RuntimeError, ValueError, TypeError, KeyError) as error:
        raise FormatError(f"{path} does not fit: {error}") from error
