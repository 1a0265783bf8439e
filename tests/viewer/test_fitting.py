"""A viewer that looks on costs the fit little."""

import socket
import time

from fitting_scenes import blobs
from unseen.viewer.fitting import MAX_SHARE, FitViewer


class Fit:
    """A trainer as the viewer knows it."""

    def gaussians(self):
        return blobs(5000)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_showing_takes_its_share_and_no_more(monkeypatch):
    viewer = FitViewer(free_port())
    try:
        viewer(Fit(), 0.0)
        monkeypatch.setattr(viewer.server, "get_clients", lambda: {0: object()})
        shows: list[float] = []
        monkeypatch.setattr(viewer.viewer, "show", lambda splats: (time.sleep(0.005), shows.append(time.monotonic())))
        viewer.due, began = 0.0, time.monotonic()
        while time.monotonic() - began < 0.8:
            viewer(Fit(), 0.0)
            time.sleep(0.001)
        assert 2 <= len(shows) <= 1 + 0.8 * MAX_SHARE / 0.005
    finally:
        viewer.stop()


def test_nothing_is_sent_while_nobody_looks(monkeypatch):
    viewer = FitViewer(free_port())
    try:
        viewer(Fit(), 0.0)
        viewer.due = 0.0
        monkeypatch.setattr(viewer.viewer, "show", lambda splats: 1 / 0)
        viewer(Fit(), 0.0)
    finally:
        viewer.stop()
