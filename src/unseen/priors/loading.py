"""A model's description and a module's weights from files, strictly; what is wrong with a file said in one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from unseen.core.errors import FormatError, InputError

INDEX = "model_index.json"


def read_object(path: Path, expected: str) -> dict[str, Any]:
    """A JSON object from a file.

    Args:
        path: of the file.
        expected: what should have been there, for the message.

    Raises:
        InputError: it cannot be read.
        FormatError: no JSON, or no object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror}): expected {expected}") from error
    except ValueError as error:
        raise FormatError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise FormatError(f"{path} holds a {type(found).__name__}, expected an object")
    return found


def read_index(folder: Path, kind: str) -> dict[str, Any]:
    """What a model's folder says of its configuration.

    Raises:
        InputError: no model there, or one of another kind.
        FormatError: a damaged description.
    """
    path = folder / INDEX
    found = read_object(path, f"the folder of a model ({kind})")
    if found.get("_class_name") != kind:
        raise InputError(f"{path} describes another kind of model: expected {kind}")
    return {k: v for k, v in found.items() if not k.startswith("_")}


def is_model(folder: Path, kind: str) -> bool:
    """Whether a folder holds a model of a kind."""
    try:
        read_index(folder, kind)
    except (InputError, FormatError):
        return False
    return True


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
