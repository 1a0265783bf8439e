"""How jobs report what they are doing."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Receives a job's progress; the command line shows it, tests and scripts ignore it."""

    def stage(self, name: str, done: int, total: int) -> None:
        """`done` of `total` units of the stage `name` are finished."""

    def note(self, message: str) -> None:
        """One line a person should read."""


class Silent:
    """A reporter nobody watches."""

    def stage(self, name: str, done: int, total: int) -> None:
        """Ignored."""

    def note(self, message: str) -> None:
        """Ignored."""
