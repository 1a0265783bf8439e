"""A fit watched in the browser while it runs, at little cost to it."""

from __future__ import annotations

import time
from typing import Any

from unseen.core.errors import InputError
from unseen.core.gaussians import Gaussians
from unseen.viewer.live import LiveViewer, open_server

MAX_SHARE = 0.04
"""Share of the fit's time that showing it may take."""


class FitViewer:
    """Shows a fit's splats every so often; a watcher of its loop.

    What the last showing took decides when the next is due, so that all of them stay under `MAX_SHARE`; while nobody
    looks, nothing is sent.

    Args:
        port: of this machine to listen on.

    Raises:
        ResourceError: the port is taken or not allowed.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.server = open_server(host, port)
        self.viewer: LiveViewer | None = None
        self.due = 0.0

    def __call__(self, trainer: Any, loss: float) -> None:
        """Show the trainer's splats, if it is time and somebody looks."""
        began = time.monotonic()
        if began < self.due or (self.viewer is not None and not self.server.get_clients()):
            return
        self._show(trainer.gaussians())
        spent = time.monotonic() - began
        self.due = began + spent / MAX_SHARE

    def _show(self, splats: Gaussians) -> None:
        if self.viewer is not None:
            self.viewer.show(splats)
            return
        try:
            self.viewer = LiveViewer(self.server, splats)
        except InputError:  # not one finite splat
            self.due = time.monotonic() + 1.0

    def stop(self) -> None:
        """Close the port."""
        self.server.stop()
