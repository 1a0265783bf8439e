"""Checkpoints that torch wrote (.ckpt, .pt, .pth, .bin): pickles, of which only the tensors are taken.

`torch.load(weights_only=True)` builds tensors, plain containers and argparse's namespaces (settings of runs), and refuses
every other class or function, so nothing in such a file runs. Files of torch >= 1.6 are memory-mapped.
"""

from __future__ import annotations

import pickle
import zipfile
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unseen.core.errors import FormatError, InputError
from unseen.priors.weights.tensors import InMemory

_STATE_DICT = "state_dict"  # where Lightning keeps the weights among a run's other state
_NAMED = 5
_SAVE_TENSORS = (
    "take the .safetensors of the same weights; or, only if you trust whoever made the file, load it where it was made "
    "and save the tensors alone: torch.save(checkpoint['state_dict'], 'weights.pt')"
)


def open_torch_file(path: Path, entry: str | None = None) -> InMemory:
    """The tensors of one torch checkpoint.

    `entry` names the part that holds the weights when the file has several; a Lightning checkpoint's `state_dict` is
    found without it.

    Raises:
        InputError: no such file, or no or several parts that could be the weights.
        FormatError: damaged, or it holds more than tensors and plain containers; nothing has been executed.
    """
    return InMemory(_weights_in(load_plain(path), path, entry))


def load_plain(path: Path) -> Mapping[str, Any]:
    """All that a torch checkpoint holds: tensors, memory-mapped, in plain containers.

    Raises:
        InputError: no such file.
        FormatError: damaged, no mapping, or it holds more than that; nothing has been executed.
    """
    value = _load(path)
    if not isinstance(value, Mapping):
        raise FormatError(f"{path} holds a {type(value).__name__}, expected a mapping from names to tensors")
    return value


def _load(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"no checkpoint at {path}")
    try:
        with torch.serialization.safe_globals([Namespace]):  # the command line of a run: plain values by name
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # a damaged or hostile pickle may fail in any way; all of them mean the same
        raise _refusal(path, error) from None


def _refusal(path: Path, error: Exception) -> FormatError:
    """One line about why torch would not read the file."""
    foreign = _foreign_names(path) or _name_in(error)
    if foreign:
        listed = ", ".join(foreign[:_NAMED]) + (f" and {len(foreign) - _NAMED} more" if len(foreign) > _NAMED else "")
        return FormatError(
            f"{path} holds more than tensors: it wants to use {listed}. Refused, nothing was executed: {_SAVE_TENSORS}"
        )
    if "TorchScript" in str(error):
        return FormatError(f"{path} is a TorchScript program, not weights: {_SAVE_TENSORS}")
    reason = str(error).split("\n")[0].split(". ")[0][:160] or type(error).__name__
    return FormatError(f"{path} is not a torch checkpoint, or is damaged or truncated: {reason}")


def _foreign_names(path: Path) -> list[str]:
    """Classes and functions the pickle names that are no tensors, as far as it can be walked."""
    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(str(path)))
    except Exception:  # of an old, a damaged or no checkpoint
        return []


def _name_in(error: Exception) -> list[str]:
    """The class or function that torch's message names, of files that cannot be walked."""
    words = str(error).split("GLOBAL ", 1) if isinstance(error, pickle.UnpicklingError) else []
    return [words[1].split()[0]] if len(words) == 2 else []


def _weights_in(value: Mapping[str, Any], path: Path, entry: str | None) -> dict[str, Tensor]:
    """The state dict within what a checkpoint holds."""
    parts = [str(name) for name, part in value.items() if _is_state_dict(part)]
    if entry is not None:
        if entry not in parts:
            raise InputError(
                f"{path} has no weights under {entry!r}; it has them under: {', '.join(parts) or 'nothing'}"
            )
        return _tensors(value[entry], path)
    if _STATE_DICT in parts:
        return _tensors(value[_STATE_DICT], path)
    if any(isinstance(part, Tensor) for part in value.values()):
        return _tensors(value, path)
    if len(parts) != 1:
        named = f"under each of {', '.join(parts)}: name one of them (--entry)" if parts else "nowhere in it"
        raise InputError(f"{path} holds weights {named}")
    return _tensors(value[parts[0]], path)


def _is_state_dict(value: Any) -> bool:
    return isinstance(value, Mapping) and any(isinstance(part, Tensor) for part in value.values())


def _tensors(state: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    """The mapping, if it holds dense tensors and nothing else."""
    others = [
        str(name) for name, part in state.items() if not (isinstance(part, Tensor) and part.layout == torch.strided)
    ]
    if others:
        raise FormatError(
            f"{path} holds {len(others)} things that are no dense tensors among its weights, {others[0]} first: "
            "save the tensors alone"
        )
    return {str(name): part for name, part in state.items()}
