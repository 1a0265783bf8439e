"""Two checkpoints compared, layer by layer: their weights, and what the network makes of the same input with each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unseen.core.errors import InputError
from unseen.io.reading import parse_json_object, read_bytes
from unseen.priors.weights.checkpoint import Checkpoint, open_checkpoint
from unseen.priors.weights.components import Component, take_apart
from unseen.priors.weights.modules import build, example_inputs, load
from unseen.priors.weights.tensors import Joined, Tensors, renamed

Row = dict[str, Any]


def run_compare(a: Path, b: Path, outputs: bool = False, seed: int = 0, entry: str | None = None) -> dict[str, Any]:
    """Compare two checkpoints of whatever layouts; networks known here meet in diffusers' layout.

    Returns `weights`: rows {name, max_abs, max_rel} of the tensors both have, where max_rel is the largest difference
    over the largest value of A; `largest`: the largest max_abs; `only_in_a`, `only_in_b`: names; `misshapen`:
    {name: {a, b}}. A difference that is no finite number is None. With `outputs`, per network both have: rows {layer,
    max_abs, max_rel} in the order of computation, of fp32 networks given the same noise.

    Raises:
        InputError: nothing there, or no network to compare the outputs of.
        FormatError: a damaged file.
        MissingDependencyError: diffusers is needed for the outputs and not installed.
    """
    checkpoints = [open_checkpoint(path, entry) for path in (a, b)]
    sides = [_components(checkpoint) for checkpoint in checkpoints]
    first, second = (
        _in_diffusers(parts) if all(sides) else checkpoint.tensors
        for parts, checkpoint in zip(sides, checkpoints, strict=True)
    )
    found = _compare_weights(first, second)
    if outputs:
        found["outputs"] = _compare_outputs(sides[0], sides[1], checkpoints[0], seed)
    return found


def largest_of(rows: Sequence[Row]) -> float | None:
    """The largest max_abs of rows, None if one is no finite number, 0 if there are none."""
    values = [row["max_abs"] for row in rows]
    return None if None in values else max(values, default=0.0)


def _components(checkpoint: Checkpoint) -> dict[str, Component]:
    """The networks known here; none if the checkpoint is of others."""
    try:
        return take_apart(checkpoint.tensors).components
    except InputError:
        return {}


def _in_diffusers(parts: Mapping[str, Component]) -> Tensors:
    """All networks in diffusers' layout, each under its name."""
    return Joined(_under(name, part.in_diffusers()) for name, part in parts.items())


def _under(name: str, tensors: Tensors) -> Tensors:
    return renamed(tensors, lambda inner: f"{name}/{inner}")


def _compare_weights(a: Tensors, b: Tensors) -> dict[str, Any]:
    both = [name for name in a.entries if name in b.entries]
    misshapen = {n: (a.entries[n].shape, b.entries[n].shape) for n in both if a.entries[n].shape != b.entries[n].shape}
    rows = [{"name": n, **_difference(a.read(n), b.read(n))} for n in both if n not in misshapen]
    return {
        "weights": rows,
        "largest": largest_of(rows),
        "only_in_a": [name for name in a.entries if name not in b.entries],
        "only_in_b": [name for name in b.entries if name not in a.entries],
        "misshapen": {name: {"a": list(left), "b": list(right)} for name, (left, right) in misshapen.items()},
    }


def _difference(a: Tensor, b: Tensor) -> Row:
    """Largest absolute difference, and that over the largest value of `a`; None where that is no finite number."""
    a, b = a.double().flatten(), b.double().flatten()
    apart = torch.where((a == b) | (a.isnan() & b.isnan()), 0.0, (a - b).abs()).nan_to_num(nan=math.inf)
    largest = float(apart.max()) if apart.numel() else 0.0
    scale = float(a.abs().nan_to_num(0, 0, 0).max()) if a.numel() else 0.0
    relative = largest / scale if scale else (math.inf if largest else 0.0)
    return {"max_abs": _finite(largest), "max_rel": _finite(relative)}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _compare_outputs(
    a: Mapping[str, Component], b: Mapping[str, Component], checkpoint: Checkpoint, seed: int
) -> dict[str, list[Row]]:
    common = [name for name, part in a.items() if name in b and part.shape == b[name].shape]
    if not common:
        raise InputError("there is no network of the same sizes in both: nothing to compare the outputs of")
    return {name: _layers(a[name], b[name], _config(checkpoint, a[name]), seed) for name in common}


def _config(checkpoint: Checkpoint, part: Component) -> dict[str, Any] | None:
    """The network's own `config.json`, which alone knows the number of heads."""
    path = checkpoint.configs.get(part.network.name) or checkpoint.configs.get("")
    return parse_json_object(path, read_bytes(path), "configuration") if path else None


def _layers(a: Component, b: Component, config: dict[str, Any] | None, seed: int) -> list[Row]:
    """Differences of the outputs of all innermost layers, in the order of computation."""
    module = build(a.shape, config)
    made = []
    for part in (a, b):
        load(module, part.in_diffusers())
        made.append(_outputs(module, example_inputs(a.shape, seed)))
    return [{"layer": name, **_difference(first, made[1][name])} for name, first in made[0].items()]


@torch.inference_mode()
def _outputs(module: nn.Module, inputs: dict[str, Any]) -> dict[str, Tensor]:
    """Output of every innermost layer by name; one that runs again gets a number."""
    found: dict[str, Tensor] = {}
    with _watched(module, found):
        module(**inputs)
    return found


@contextmanager
def _watched(module: nn.Module, found: dict[str, Tensor]) -> Iterator[None]:
    """Keeps what the innermost layers return while the block runs."""

    def keep(name: str) -> Any:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                again = sum(known.split(" #")[0] == name for known in found)
                found[f"{name} #{again + 1}" if again else name] = output.clone()

        return hook

    leaves = [(name, inner) for name, inner in module.named_modules() if not list(inner.children())]
    handles = [inner.register_forward_hook(keep(name)) for name, inner in leaves]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
