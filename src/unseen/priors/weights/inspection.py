"""What a checkpoint holds, from its headers alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from unseen.core.errors import InputError
from unseen.priors.weights.checkpoint import open_checkpoint, sha256
from unseen.priors.weights.components import Component, Parts, take_apart
from unseen.priors.weights.inventory import inventory_of
from unseen.priors.weights.links import KeyMismatchError
from unseen.priors.weights.tensors import Tensors


def run_inspect(path: Path, entry: str | None = None, checksum: bool = True) -> dict[str, Any]:
    """Describe weights: `files` (with size and, if asked for, SHA-256), `tensors`, `parameters`, `dtypes`, `networks`
    {name: {layout, tensors, parameters, sizes, problem}}, `aside` (what is known and no network's), `unknown` (names),
    `inventory` ([dtype, shape] by name). `problem` says why a network could not be converted, None if it can.

    Raises:
        InputError: nothing there.
        FormatError: a damaged file, or one that holds more than tensors; nothing has been executed.
    """
    checkpoint = open_checkpoint(path, entry)
    entries = checkpoint.tensors.entries
    parts = _parts(checkpoint.tensors)
    return {
        "files": [
            {"file": str(f), "bytes": f.stat().st_size, **({"sha256": sha256(f)} if checksum else {})}
            for f in checkpoint.files
        ],
        "tensors": len(entries),
        "parameters": sum(entry.count for entry in entries.values()),
        "dtypes": dict(Counter(str(entry.dtype).removeprefix("torch.") for entry in entries.values())),
        "networks": {name: _described(part) for name, part in parts.components.items()},
        "aside": {reason: len(names) for reason, names in parts.aside.items()},
        "unknown": parts.unknown,
        "inventory": inventory_of(checkpoint.tensors),
    }


def _parts(tensors: Tensors) -> Parts:
    """The checkpoint taken apart; weights of a network that is not known here are all unknown."""
    try:
        return take_apart(tensors)
    except InputError:
        return Parts(unknown=list(tensors.entries))


def _described(part: Component) -> dict[str, Any]:
    entries = part.tensors.entries.values()
    found = {"layout": part.layout.name, "tensors": len(entries), "parameters": sum(e.count for e in entries)}
    try:
        part.in_diffusers()
    except KeyMismatchError as error:
        return {**found, "sizes": asdict(part.shape), "problem": str(error)}
    except InputError as error:
        return {**found, "sizes": None, "problem": str(error)}
    return {**found, "sizes": asdict(part.shape), "problem": None}
