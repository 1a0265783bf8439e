"""Key maps: which tensors of one layout are which of another, and how they are folded. Strict both ways.

A `KeyMap` is a table of links. A link joins one or more tensors on the left to one or more on the right by a `Form`:
the same tensor under another name, a 1 x 1 convolution that is a linear layer, a transposed matrix, or one matrix that
holds several stacked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import torch
from torch import Tensor

from unseen.core.errors import InputError
from unseen.priors.weights.tensors import Entry, Shape, Tensors, shapes_of

_NAMED = 10

Fold = Callable[[Sequence[Tensor]], list[Tensor]]
Slots = tuple[tuple[str, Shape], ...]


class KeyMismatchError(InputError):
    """Tensors are missing, unused or of another shape than the network's.

    Attributes:
        missing, unused: names.
        misshapen: shape found and shape expected by name.
    """

    def __init__(
        self, what: str, missing: list[str], unused: list[str], misshapen: dict[str, tuple[Shape, Shape]]
    ) -> None:
        self.missing, self.unused, self.misshapen = missing, unused, misshapen
        odd = [f"{name} {list(found)} instead of {list(expected)}" for name, (found, expected) in misshapen.items()]
        parts = [_listed("missing", missing), _listed("unused", unused), _listed("of another shape", odd)]
        super().__init__(f"{what}: {'; '.join(part for part in parts if part)}")


@dataclass(frozen=True)
class Form:
    """How the tensors of a link are folded; the two directions undo each other exactly."""

    name: str
    to_right: Fold
    to_left: Fold


def _unchanged(tensors: Sequence[Tensor]) -> list[Tensor]:
    return list(tensors)


def _transposed(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [tensor.t() for tensor in tensors]


def stacked(parts: int) -> Form:
    """One tensor on the left is `parts` equal ones on the right, stacked along their first axis."""
    return Form(f"stacked {parts}", lambda t: list(t[0].chunk(parts)), lambda t: [torch.cat(list(t))])


def stacked_convolutions(parts: int) -> Form:
    """One 1 x 1 convolution on the left is `parts` linear layers on the right, stacked."""
    return Form(
        f"stacked {parts} 1x1",
        lambda t: list(t[0][..., 0, 0].chunk(parts)),
        lambda t: [torch.cat(list(t))[..., None, None]],
    )


def reshaped(left: Shape, right: Shape) -> Form:
    """The same numbers in another shape."""
    return Form("reshaped", lambda t: [t[0].reshape(right)], lambda t: [t[0].reshape(left)])


SAME = Form("same", _unchanged, _unchanged)
TRANSPOSED = Form("transposed", _transposed, _transposed)
CONVOLUTION_1X1 = Form("1x1", lambda t: [t[0][..., 0, 0]], lambda t: [t[0][..., None, None]])


@dataclass(frozen=True)
class Link:
    """Tensors of one layout and the same of the other: names and shapes on both sides."""

    left: Slots
    right: Slots
    form: Form = SAME


@dataclass(frozen=True)
class KeyMap:
    """All links between two layouts of one network."""

    links: tuple[Link, ...]

    @cached_property
    def left(self) -> dict[str, Shape]:
        """Shape by name on the left."""
        return {name: shape for link in self.links for name, shape in link.left}

    @cached_property
    def right(self) -> dict[str, Shape]:
        """Shape by name on the right."""
        return {name: shape for link in self.links for name, shape in link.right}

    def reversed(self) -> KeyMap:
        """The map read from right to left."""
        return KeyMap(
            tuple(
                Link(link.right, link.left, Form(link.form.name, link.form.to_left, link.form.to_right))
                for link in self.links
            )
        )

    def respelled(self, spell: Callable[[str], str]) -> KeyMap:
        """The map with the names on the left spelled otherwise."""
        return KeyMap(
            tuple(Link(tuple((spell(n), s) for n, s in link.left), link.right, link.form) for link in self.links)
        )


class Remapped:
    """`source`, named and folded as the left of `key_map`, seen as its right.

    Args:
        what: names the network in errors.

    Raises:
        KeyMismatchError: a tensor of the left is missing, of another shape, or has no place in the map.
    """

    def __init__(self, source: Tensors, key_map: KeyMap, what: str) -> None:
        check(shapes_of(source), key_map.left, what)
        self.source = source
        self.places = {name: (link, i) for link in key_map.links for i, (name, _) in enumerate(link.right)}
        entries = source.entries
        self.entries = {
            name: Entry(link.right[i][1], reduce(torch.promote_types, [entries[inner].dtype for inner, _ in link.left]))
            for name, (link, i) in self.places.items()
        }

    def read(self, name: str) -> Tensor:
        """One tensor."""
        link, i = self.places[name]
        return link.form.to_right([self.source.read(inner) for inner, _ in link.left])[i]


def check(found: Mapping[str, Shape], expected: Mapping[str, Shape], what: str) -> None:
    """Compare what is there with what a network needs.

    Raises:
        KeyMismatchError: they differ; it names what is missing, unused or misshapen.
    """
    missing, unused, misshapen = differences(found, expected)
    if missing or unused or misshapen:
        raise KeyMismatchError(what, missing, unused, misshapen)


def differences(
    found: Mapping[str, Shape], expected: Mapping[str, Shape]
) -> tuple[list[str], list[str], dict[str, tuple[Shape, Shape]]]:
    """Names that are missing, names that are unused, and (found, expected) of those whose shapes differ."""
    missing = [name for name in expected if name not in found]
    unused = [name for name in found if name not in expected]
    misshapen = {n: (tuple(found[n]), s) for n, s in expected.items() if n in found and tuple(found[n]) != s}
    return missing, unused, misshapen


def same(left: str, right: str, shape: Shape) -> Link:
    """One tensor under two names."""
    return Link(((left, shape),), ((right, shape),))


def layer(left: str, right: str, weight: Shape, bias: bool = True) -> Iterable[Link]:
    """The weight and the bias of a layer under two names."""
    yield same(f"{left}.weight", f"{right}.weight", weight)
    if bias:
        yield same(f"{left}.bias", f"{right}.bias", weight[:1])


def identity(shapes: Mapping[str, Shape]) -> KeyMap:
    """The map of a layout to itself."""
    return KeyMap(tuple(same(name, name, shape) for name, shape in shapes.items()))


def _listed(what: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{len(names)} {what}: {', '.join(names[:_NAMED])}{more}"
