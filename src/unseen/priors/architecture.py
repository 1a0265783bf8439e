"""Descriptions of architectures, kept as JSON beside their weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from unseen.priors.loading import INDEX, as_format_error, read_index

A = TypeVar("A", bound="Architecture")


@dataclass(frozen=True)
class Architecture:
    """What a model is made of: a frozen dataclass of numbers, tuples and dictionaries of them."""

    @classmethod
    def from_dict(cls: type[A], found: dict[str, Any]) -> A:
        """Inverse of `as_dict`, through JSON too; raises TypeError over other names."""
        return cls(**{name: _with_tuples(value) for name, value in found.items()})

    @classmethod
    def of_folder(cls: type[A], folder: Path, kind: str) -> A:
        """What a model's folder says.

        Raises:
            InputError: no model there, or one of another kind.
            FormatError: a damaged description.
        """
        found = read_index(folder, kind)
        with as_format_error(folder / INDEX):
            return cls.from_dict(found)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def _with_tuples(value: Any) -> Any:
    """JSON has lists alone."""
    if isinstance(value, dict):
        return {name: _with_tuples(part) for name, part in value.items()}
    return tuple(value) if isinstance(value, list) else value
