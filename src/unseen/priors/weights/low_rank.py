"""Low-rank adapters as peft names them (LoRA, Hu et al. 2021), folded into the weights they adapt."""

from __future__ import annotations

import re

from torch import Tensor

from unseen.core.errors import FormatError
from unseen.priors.weights.tensors import Entry, Tensors

_PEFT_ALPHA = 8
"""Of adapters that do not say: they are scaled by it over their rank."""
_ADAPTER = re.compile(r"(.+)\.lora_([AB])\.[^.]+\.weight")
_ADAPTED = re.compile(r"(.+)\.base_layer\.(weight|bias)")


class Folded:
    """Weights with their adapters added: W + alpha / rank * B A. Names are those of the network without adapters.

    Args:
        source: weights, those of adapted layers under `base_layer` or as they were, and adapters `lora_A`, `lora_B`.
        alpha: of the adapters; peft's own by default.
        what: names the source in errors.

    Raises:
        FormatError: half an adapter, or one of a layer that is not there.
    """

    def __init__(self, source: Tensors, what: str, alpha: float = _PEFT_ALPHA) -> None:
        self.source, self.alpha = source, alpha
        self.names: dict[str, str] = {}
        self.adapters: dict[str, dict[str, str]] = {}
        for name in source.entries:
            if match := _ADAPTER.fullmatch(name):
                self.adapters.setdefault(f"{match[1]}.weight", {})[match[2]] = name
            else:
                self.names[_ADAPTED.sub(r"\1.\2", name)] = name
        for name, parts in self.adapters.items():
            if name not in self.names or len(parts) != 2:
                raise FormatError(f"{what} has half an adapter, or one without its layer: {', '.join(parts.values())}")

    @property
    def entries(self) -> dict[str, Entry]:
        """Shape and dtype by name."""
        entries = self.source.entries
        return {name: entries[inner] for name, inner in self.names.items()}

    def read(self, name: str) -> Tensor:
        """One tensor."""
        weight = self.source.read(self.names[name])
        if name not in self.adapters:
            return weight
        a, b = (self.source.read(self.adapters[name][part]).float().flatten(1) for part in "AB")
        change = (b @ a).reshape(weight.shape) * (self.alpha / len(a))
        return (weight.float() + change).to(weight.dtype)
