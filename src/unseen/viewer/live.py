"""A viewer in the browser fed by this process (viser): Gaussians from a file, or an avatar whose motion and expression
can be played with. The page it serves comes from this machine; nothing is asked of the network."""

from __future__ import annotations

import contextlib
import io
import math
import socket
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import viser

from unseen.core.camera import Camera
from unseen.core.errors import InputError, ResourceError
from unseen.core.gaussians import Gaussians
from unseen.core.rotations import quaternion_to_matrix
from unseen.head.avatar import Avatar
from unseen.head.params import HeadParams
from unseen.head.sliders import sliders_of
from unseen.io.scene import SUFFIXES, load_gaussians

MAX_RATE_HZ = 30.0
_TYPICAL_SIZE = 0.1  # standard deviation in the units sent: viser keeps covariances as float16
_MAX_VARIANCE = 6e4


def serve(source: Path | str, host: str = "127.0.0.1", port: int = 8080) -> None:
    """Show `source` in the browser until Ctrl-C; arguments and errors as `start`."""
    viewer = start(source, host, port)
    print(f"open http://{'localhost' if host in ('0.0.0.0', '127.0.0.1') else host}:{port} (Ctrl-C ends)", flush=True)
    try:
        viewer.run()
    except KeyboardInterrupt:
        pass
    finally:
        viewer.stop()


def start(source: Path | str, host: str = "127.0.0.1", port: int = 8080) -> LiveViewer:
    """Open a viewer without waiting.

    Args:
        source: a .ply, .splat or .spz file, or a folder with avatar.safetensors or with one such file. Colours are
            shown without their view dependence (band 0).
        host: address to listen on.
        port: port to listen on, exactly this one.

    Raises:
        InputError: `source` does not exist or holds nothing to show.
        FormatError: the file is not what its suffix says.
        ResourceError: the port is taken or not allowed.
    """
    scene = load_source(Path(source))
    server = open_server(host, port)
    return AvatarViewer(server, scene) if isinstance(scene, Avatar) else LiveViewer(server, scene)


def open_server(host: str, port: int) -> viser.ViserServer:
    """A server of empty pages.

    Raises:
        ResourceError: the port is taken or not allowed.
    """
    _check_port(host, port)
    with contextlib.redirect_stdout(io.StringIO()):  # viser's own greeting
        server = viser.ViserServer(host=host, port=port, verbose=False, label="unseen")
    if server.get_port() != port:
        server.stop()
        raise ResourceError(f"port {port} of {host} was taken in this moment: choose another port")
    return server


def load_source(source: Path) -> Avatar | Gaussians:
    """What there is to show in a file or folder.

    Raises:
        InputError: nothing there, or a folder with no scene or several.
    """
    if source.suffix == ".safetensors" or (source / "avatar.safetensors").is_file():
        return Avatar.load(source if source.is_file() else source / "avatar.safetensors")
    if not source.exists():
        raise InputError(f"{source} does not exist: expected a splat file or the folder of an avatar")
    if not source.is_dir():
        return load_gaussians(source)
    found = sorted(path for path in source.iterdir() if path.suffix.lower() in SUFFIXES)
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise InputError(f"{source} holds no avatar.safetensors, and splat files: {names}; expected one of them")
    return load_gaussians(found[0])


class LiveViewer:
    """Splats in a browser page. `tick` brings the page up to date; `run` does so until interrupted."""

    def __init__(self, server: viser.ViserServer, splats: Gaussians, camera: Camera | None = None) -> None:
        self.server = server
        splats = splats.detach().finite()
        if not len(splats):
            server.stop()
            raise InputError("nothing to show: the scene holds no finite Gaussian")
        self.unit = _TYPICAL_SIZE / float(splats.scales.median())
        server.gui.configure_theme(dark_mode=True, show_logo=False, show_share_button=False)
        self.node = server.scene.add_gaussian_splats("/splats", *self._arrays(splats))
        self._place_camera(splats, camera)
        self._add_controls(len(splats))

    def run(self) -> None:
        """Keep the page up to date; returns only through an exception such as KeyboardInterrupt."""
        while True:
            began = time.monotonic()
            self.tick()
            time.sleep(max(0.0, 1 / MAX_RATE_HZ - (time.monotonic() - began)))

    def tick(self) -> None:
        """Nothing moves in a static scene."""

    def show(self, splats: Gaussians) -> None:
        """Show other splats in place of those shown; the number of them may differ."""
        arrays = self._arrays(splats.detach().finite())
        self.node.set_gaussians(*arrays)

    def stop(self) -> None:
        """Close the port."""
        self.server.stop()

    def _arrays(self, splats: Gaussians) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        half = quaternion_to_matrix(splats.quats) * (self.unit * splats.scales)[:, None]
        covariances = (half @ half.transpose(1, 2)).clamp(-_MAX_VARIANCE, _MAX_VARIANCE)
        means, rgb, opacity = self.unit * splats.means, splats.rgb.clamp(0, 1), splats.opacities[:, None]
        return means.numpy(), covariances.numpy(), rgb.numpy(), opacity.numpy()

    def _place_camera(self, splats: Gaussians, camera: Camera | None) -> None:
        centre = splats.means.median(0).values
        if camera is None:
            radius = float((splats.means - centre).norm(dim=1).median())
            eye, fov_y = centre + torch.tensor([0, 0, 6 * max(radius, 1e-6)]), math.radians(40)
        else:
            eye, fov_y = camera.center, 2 * math.atan(0.5 * camera.height / float(camera.K[1, 1]))
        first = self.server.initial_camera
        first.position, first.look_at, first.fov = (self.unit * eye).numpy(), (self.unit * centre).numpy(), fov_y
        first.near = 0.01 * self.unit * float((eye - centre).norm())
        first.far = 1e4 * first.near
        self._turn_over(False)

    def _turn_over(self, upside_down: bool) -> None:
        """Which way is up: +y as heads have it, or -y as most .ply scenes do."""
        up = -1.0 if upside_down else 1.0
        self.server.scene.set_up_direction((0.0, up, 0.0))
        self.server.initial_camera.up = (0.0, up, 0.0)
        for client in self.server.get_clients().values():
            client.camera.up_direction = (0.0, up, 0.0)

    def _add_controls(self, count: int) -> None:
        self.server.gui.add_markdown(f"{count:,} splats")
        over = self.server.gui.add_checkbox("y points down", False, hint="Most .ply scenes have y pointing down.")
        over.on_update(lambda _: self._turn_over(over.value))


class AvatarViewer(LiveViewer):
    """An avatar with its motion on a timeline and sliders that add expression, jaw and neck to it."""

    def __init__(self, server: viser.ViserServer, avatar: Avatar) -> None:
        self.avatar = avatar
        self.frame = 0.0
        self.changed = threading.Event()
        with torch.no_grad():
            first = avatar.posed(avatar.params[0])
        super().__init__(server, first, avatar.camera)
        self.last_tick = time.monotonic()

    def tick(self) -> None:
        """Advance the motion if it plays, and send the splats anew if anything changed."""
        now = time.monotonic()
        elapsed, self.last_tick = now - self.last_tick, now
        if self.play.value and self.server.get_clients():
            self.frame = (self.frame + elapsed * self.avatar.fps * self.speed.value) % len(self.avatar.params)
            self._set(self.timeline, int(self.frame))  # its callback marks the change
        if self.changed.is_set():
            self.changed.clear()
            with torch.no_grad():
                self.show(self.avatar.posed(self.pose()))

    def pose(self) -> HeadParams:
        """Parameters of the frame shown, with what the sliders add."""
        params = self.avatar.params[int(self.timeline.value)]
        for slider, handle in self.sliders.values():
            params = slider.added(params, handle.value)
        return params

    def _add_controls(self, count: int) -> None:
        gui = self.server.gui
        gui.add_markdown(f"{count:,} splats, {len(self.avatar.params)} frames")
        last = max(len(self.avatar.params) - 1, 1)
        self.play = gui.add_checkbox("play", len(self.avatar.params) > 1)
        self.timeline = gui.add_slider("frame", 0, last, 1, 0)
        self.speed = gui.add_slider("speed", 0.1, 2.0, 0.1, 1.0)
        with gui.add_folder("added to the motion"):
            self.sliders = {
                s.name: (s, gui.add_slider(s.name, s.low, s.high, s.step, 0.0)) for s in sliders_of(self.avatar.model)
            }
            reset = gui.add_button("reset")
        added: list[Any] = [handle for _, handle in self.sliders.values()]
        for handle in (self.timeline, *added):
            handle.on_update(lambda _: self.changed.set())

        @reset.on_click
        def _(_) -> None:
            for slider in added:
                self._set(slider, 0.0)

        @self.timeline.on_update
        def _(_) -> None:
            if int(self.frame) != self.timeline.value:  # moved by hand
                self.frame = float(self.timeline.value)

    @staticmethod
    def _set(handle: Any, value: float) -> None:
        handle.value = value


def _check_port(host: str, port: int) -> None:
    """Refuse a port that cannot be had; viser would silently take the next one."""
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ResourceError(f"cannot listen on port {port} of {host}: {reason}; choose another with --port") from error
