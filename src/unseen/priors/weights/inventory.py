"""Checking weights against an inventory: what is missing, extra or misshapen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unseen.core.errors import FormatError, InputError
from unseen.io.reading import parse_json_object, read_bytes
from unseen.priors.weights.checkpoint import open_checkpoint
from unseen.priors.weights.components import take_apart
from unseen.priors.weights.links import differences
from unseen.priors.weights.published import published
from unseen.priors.weights.tensors import Entry, Shape, Tensors

_PREFIX = "torch."


def run_verify(path: Path, inventory: str, entry: str | None = None) -> dict[str, Any]:
    """Compare weights with an inventory: a name of `PUBLISHED`, or a JSON file {name: shape or [dtype, shape]}.

    A published network is looked for in the checkpoint and checked in whatever layout it is there; a file's names are
    taken as they are.

    Returns `matches`, `layout`, `tensors` (how many were expected), `missing` and `extra` (names), `misshapen`
    {name: {found, expected}}.

    Raises:
        InputError: no such file or inventory, or the checkpoint does not hold that network.
        FormatError: a damaged file.
    """
    tensors = open_checkpoint(path, entry).tensors
    if Path(inventory).suffix == ".json":
        return _verified(tensors.entries, read_inventory(Path(inventory)), "as in the file")
    network = published(inventory)
    components = take_apart(tensors).components
    if network.network not in components:
        raise InputError(
            f"{path} holds no {network.network}: expected {inventory} among {', '.join(components) or 'nothing'}"
        )
    part = components[network.network]
    expected = {name: (None, shape) for name, shape in network.shapes(part.layout.name).items()}
    return _verified(part.tensors.entries, expected, part.layout.name)


def read_inventory(path: Path) -> dict[str, tuple[str | None, Shape]]:
    """Dtype (None for any) and shape by name from a JSON file; raises FormatError if it is none."""
    found = {}
    for name, value in parse_json_object(path, read_bytes(path), "inventory").items():
        dtype, shape = (
            value if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) else (None, value)
        )
        if not isinstance(shape, list) or not all(isinstance(size, int) for size in shape):
            raise FormatError(f"{path}: {name} has no shape: expected [sizes] or [dtype, [sizes]]")
        found[name] = (dtype, tuple(shape))
    return found


def inventory_of(tensors: Tensors) -> dict[str, list[Any]]:
    """The inventory of a checkpoint: [dtype, shape] by name."""
    return {name: [str(e.dtype).removeprefix(_PREFIX), list(e.shape)] for name, e in sorted(tensors.entries.items())}


def _verified(
    found: Mapping[str, Entry], expected: Mapping[str, tuple[str | None, Shape]], layout: str
) -> dict[str, Any]:
    shapes = {name: shape for name, (_, shape) in expected.items()}
    missing, extra, misshapen = differences({name: entry.shape for name, entry in found.items()}, shapes)
    odd: dict[str, dict[str, Any]] = {
        name: {"found": list(there), "expected": list(wanted)} for name, (there, wanted) in misshapen.items()
    }
    for name, (dtype, _) in expected.items():
        there = str(found[name].dtype).removeprefix(_PREFIX) if name in found else dtype
        if dtype is not None and dtype != there:
            odd[name] = {"found": there, "expected": dtype}
    return {
        "matches": not (missing or extra or odd),
        "layout": layout,
        "tensors": len(expected),
        "missing": missing,
        "extra": extra,
        "misshapen": odd,
    }
