"""Named tensors that are read one at a time: what every source of weights looks like, and views of one.

A view renames, selects or casts without reading: `read` does its work when a tensor is asked for, so a checkpoint of
any size passes through in the memory of its largest tensor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from unseen.core.errors import InputError, NonFiniteError

Shape = tuple[int, ...]

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
"""Precisions weights are converted to, by the names people use."""


@dataclass(frozen=True)
class Entry:
    """What is known of a tensor before it is read."""

    shape: Shape
    dtype: torch.dtype

    @property
    def count(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Size of the values."""
        return self.count * self.dtype.itemsize


class Tensors(Protocol):
    """Named tensors; only `read` touches their values."""

    @property
    def entries(self) -> Mapping[str, Entry]:
        """Shape and dtype by name."""

    def read(self, name: str) -> Tensor:
        """One tensor, on the CPU. It may be a view of the file: do not write to it."""


@dataclass(frozen=True)
class InMemory:
    """Tensors already loaded (a state dict)."""

    tensors: Mapping[str, Tensor]

    @property
    def entries(self) -> dict[str, Entry]:
        """Shape and dtype by name."""
        return {name: Entry(tuple(t.shape), t.dtype) for name, t in self.tensors.items()}

    def read(self, name: str) -> Tensor:
        """One tensor."""
        return self.tensors[name].detach().cpu()


@dataclass(frozen=True)
class Renamed:
    """A selection of `source` under other names.

    Attributes:
        names: for each name here, the name in the source.
    """

    source: Tensors
    names: Mapping[str, str]

    @property
    def entries(self) -> dict[str, Entry]:
        """Shape and dtype by name."""
        entries = self.source.entries
        return {name: entries[inner] for name, inner in self.names.items()}

    def read(self, name: str) -> Tensor:
        """One tensor."""
        return self.source.read(self.names[name])


class Joined:
    """Several sources as one.

    Raises:
        InputError: two of them hold a tensor of the same name.
    """

    def __init__(self, parts: Iterable[Tensors]) -> None:
        self.owner: dict[str, Tensors] = {}
        self.entries: dict[str, Entry] = {}
        for part in parts:
            for name, entry in part.entries.items():
                if name in self.owner:
                    raise InputError(f"the tensor {name} is there twice: expected each in one file only")
                self.owner[name], self.entries[name] = part, entry

    def read(self, name: str) -> Tensor:
        """One tensor."""
        return self.owner[name].read(name)


@dataclass(frozen=True)
class Cast:
    """`source` with floating-point tensors in another precision; others as they are."""

    source: Tensors
    dtype: torch.dtype

    @property
    def entries(self) -> dict[str, Entry]:
        """Shape and dtype by name."""
        return {
            name: Entry(entry.shape, self.dtype) if entry.dtype.is_floating_point else entry
            for name, entry in self.source.entries.items()
        }

    def read(self, name: str) -> Tensor:
        """One tensor, rounded to the nearest.

        Raises:
            NonFiniteError: a finite value is too large for the precision.
        """
        tensor = self.source.read(name)
        if not tensor.is_floating_point():
            return tensor
        cast = tensor.to(self.dtype)
        if self.dtype is torch.float16 and int(cast.isinf().sum()) > int(tensor.isinf().sum()):
            largest = float(tensor[tensor.isfinite()].abs().max())
            raise NonFiniteError(f"{name} holds {largest:.4g}, too large for fp16 (65504): convert to bf16 or fp32")
        return cast


def renamed(source: Tensors, rename: Callable[[str], str | None]) -> Renamed:
    """`source` with `rename` applied to every name; names it turns into None are left out.

    Raises:
        InputError: two tensors get the same name.
    """
    names: dict[str, str] = {}
    for inner in source.entries:
        name = rename(inner)
        if name is None:
            continue
        if name in names:
            raise InputError(f"{names[name]} and {inner} would both become {name}: names must stay apart")
        names[name] = inner
    return Renamed(source, names)


def shapes_of(source: Tensors) -> dict[str, Shape]:
    """Shape by name."""
    return {name: entry.shape for name, entry in source.entries.items()}
