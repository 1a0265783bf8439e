"""How jobs report what they are doing."""

from __future__ import annotations

import json
import os
import time
from typing import Any, Protocol


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


class LineReporter:
    """Tells another program: a line of JSON per event, `{"stage", "done", "total"}` or `{"note"}`.

    A stage tells at most five times a second, and always its end. A listener that went away is no reason to stop.

    Args:
        descriptor: of the open file, usually a pipe.
    """

    VARIABLE = "UNSEEN_PROGRESS"
    """Environment variable by which a program is told the descriptor."""
    EVERY_S = 0.2

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.told: dict[str, float] = {}

    def stage(self, name: str, done: int, total: int) -> None:
        """One line, unless this stage told one just now."""
        now = time.monotonic()
        if done < total and now - self.told.get(name, -self.EVERY_S) < self.EVERY_S:
            return
        self.told[name] = now
        self._tell({"stage": name, "done": done, "total": total})

    def note(self, message: str) -> None:
        """One line."""
        self._tell({"note": message})

    def _tell(self, event: dict[str, Any]) -> None:
        try:
            os.write(self.descriptor, json.dumps(event).encode() + b"\n")
        except OSError:
            return
