"""A scene or an animated avatar as ONE self-contained HTML page that opens offline, with its own WebGL2 renderer."""

from __future__ import annotations

import html
import json
import math
import re
from dataclasses import dataclass
from importlib import resources
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.errors import InputError, ShapeError
from unseen.core.gaussians import Gaussians
from unseen.head.binding import face_frames, to_global
from unseen.head.sliders import SampledSliders
from unseen.io.atomic import PathLike, write_text
from unseen.viewer.packing import Packer

BACKGROUNDS = ("dark", "grey", "white", "black")
_SCRIPTS = ("payload.js", "sliders.js", "splats.js", "sorting.js", "camera.js", "renderer.js", "stage.js", "viewer.js")
_FOV_Y_RAD = math.radians(35)


@dataclass(frozen=True)
class AnimatedSplats:
    """Splats that ride on the triangles of a moving mesh (see `unseen.head.binding` for the mathematics).

    Attributes:
        local: N splats in triangle space.
        binding: parent triangle of each splat, [N].
        faces: vertex ids of the F triangles, [F, 3].
        vertices: posed vertices of T frames, metres, world axes y up, [T, V, 3].
        fps: frames per second of the motion.
        sliders: what can be added to the motion by hand.
    """

    local: Gaussians
    binding: Int[Tensor, "N"]
    faces: Int[Tensor, "F 3"]
    vertices: Float[Tensor, "T V 3"]
    fps: float
    sliders: SampledSliders | None = None

    def __post_init__(self) -> None:
        shapes = [tuple(t.shape) for t in (self.binding, self.faces, self.vertices)]
        fits = shapes[0] == (len(self.local),) and shapes[1][1:] == (3,) and len(shapes[2]) == 3 and shapes[2][2] == 3
        if not fits or shapes[2][0] < 1:
            raise ShapeError(
                f"AnimatedSplats of {len(self.local)} splats got binding, faces and vertices of shapes {shapes}: "
                "expected [N], [F, 3] and [T >= 1, V, 3]"
            )
        if self.sliders and (self.sliders.moves.shape[1:], len(self.sliders.turns)) != (shapes[2][1:], shapes[2][0]):
            raise ShapeError(
                f"AnimatedSplats.sliders of shapes {tuple(self.sliders.moves.shape)} and "
                f"{tuple(self.sliders.turns.shape)}: expected [M, {shapes[2][1]}, 3] and [{shapes[2][0]}, 3, 3]"
            )
        for name, index, limit in (("binding", self.binding, len(self.faces)), ("faces", self.faces, shapes[2][1])):
            if index.numel() and (int(index.min()) < 0 or int(index.max()) >= limit):
                raise ShapeError(f"AnimatedSplats.{name} holds indices outside 0..{limit - 1}")
        if not self.fps > 0:
            raise InputError(f"AnimatedSplats of {self.fps} frames per second: expected a positive rate")

    def at(self, frame: int) -> Gaussians:
        """Splats in the world at one frame."""
        return to_global(self.local, self.binding, face_frames(self.vertices[frame], self.faces))


def write_viewer(
    path: PathLike,
    gaussians: Gaussians | None = None,
    rig: AnimatedSplats | None = None,
    *,
    title: str = "unseen",
    camera: Camera | None = None,
    background: str = "dark",
) -> None:
    """Write the page atomically. It plays in any browser with WebGL2, from disk, and asks nothing of the network.

    Stored exactly: positions. Quantised: log scales, colours, opacities and vertices to 16 bits over their range,
    quaternion components to 1/32767, spherical harmonics above band 0 to 8 bits. Splats that hold NaN or infinity are
    left out.

    Args:
        path: output, usually .html.
        gaussians: a static scene; give this or `rig`.
        rig: an animated avatar.
        title: shown in the page.
        camera: first view, also what "first view" returns to; without it the scene is framed from the front (+Z, y
            up). The direction that is up follows the camera, so y-down scenes need one.
        background: one of "dark", "grey", "white", "black"; the page can change it.

    Raises:
        InputError: not exactly one of `gaussians` and `rig`, nothing to show, or an unknown background.
        ResourceError: the file cannot be written.
    """
    if (gaussians is None) == (rig is None):
        raise InputError("write_viewer shows either gaussians or a rig: give exactly one")
    if background not in BACKGROUNDS:
        raise InputError(f"background {background!r}: expected one of {', '.join(BACKGROUNDS)}")
    packer = Packer()
    if rig is not None:
        shown = _finite(rig.at(0))[0]
        _pack_rig(packer, rig)
    else:
        assert gaussians is not None
        shown = _finite(gaussians)[0]
        _pack_splats(packer, shown)
    if not len(shown):
        raise InputError(f"nothing to show in {path}: the scene holds no finite Gaussian")
    manifest = {
        "title": title,
        "background": background,
        "fps": rig.fps if rig else 0,
        "sliders": _slider_manifest(rig.sliders) if rig and rig.sliders else [],
        "view": _view(shown, camera),
        "arrays": packer.manifest,
    }
    assets = resources.files("unseen.viewer") / "assets"
    parts = {
        "TITLE": html.escape(title),
        "MANIFEST": json.dumps(manifest).replace("<", "\\u003c"),
        "PAYLOAD": packer.base64(),
        "SCRIPT": "\n".join(_without_modules((assets / name).read_text("utf-8")) for name in _SCRIPTS),
    }
    template = (assets / "viewer.html").read_text("utf-8")
    write_text(path, re.sub(r"@@([A-Z]+)@@", lambda match: parts[match[1]], template))


def _without_modules(script: str) -> str:
    """A module as a part of one script: the page holds all of them in one scope, and `file://` loads no modules."""
    return re.sub(r"^export (?=\w)", "", re.sub(r"^import .*;\n", "", script, flags=re.M), flags=re.M)


def _pack_splats(packer: Packer, g: Gaussians) -> None:
    unit = torch.nn.functional.normalize(g.quats, dim=1)
    log_scales = g.log_scales.clamp(-30, 30)
    packer.add("means", g.means.numpy())
    packer.add("quats", (unit * 32767).round().to(torch.int16).numpy())
    packer.add_quantised("log_scales", log_scales.numpy(), *_range(log_scales))
    packer.add_quantised("opacities", g.opacities.numpy(), 0.0, 1.0)
    packer.add_quantised("rgb", g.rgb.numpy(), *_range(g.rgb))
    if g.sh_degree:
        largest = float(torch.quantile(g.shN.abs().flatten()[: 1 << 24], 0.999)) or 1.0  # a few outliers may saturate
        packer.add_quantised("sh", g.shN.numpy(), -largest, largest, bits=8)


def _pack_rig(packer: Packer, rig: AnimatedSplats) -> None:
    vertices = rig.vertices.detach().to("cpu", torch.float32)
    if not vertices.isfinite().all():
        raise InputError("the rig's vertices hold NaN or infinity")
    local, kept = _finite(rig.local)
    flat = vertices.flatten(0, 1)
    _pack_splats(packer, local)
    packer.add("binding", rig.binding.cpu()[kept].numpy().astype("u4"))
    packer.add("faces", rig.faces.cpu().numpy().astype("u4"))
    packer.add_quantised("vertices", vertices.numpy(), flat.amin(0).numpy(), flat.amax(0).numpy(), delta=True)
    if rig.sliders:
        moves = rig.sliders.moves.detach().to("cpu", torch.float32)
        largest = float(moves.abs().max()) or 1.0
        packer.add_quantised("moves", moves.numpy(), -largest, largest)
        packer.add("turns", rig.sliders.turns.detach().to("cpu", torch.float32).numpy())


def _slider_manifest(sampled: SampledSliders) -> list[dict[str, Any]]:
    return [
        {"name": s.name, "low": s.low, "high": s.high, "step": s.step, "samples": s.samples} for s in sampled.sliders
    ]


def _finite(gaussians: Gaussians) -> tuple[Gaussians, Int[Tensor, "M"]]:
    """The Gaussians without NaN and infinity, as float32 on the CPU, and their indices."""
    g = gaussians.detach().to("cpu", torch.float32)
    kept = torch.ones(len(g), dtype=torch.bool)
    for values in (g.means, g.quats, g.log_scales, g.logit_opacities[:, None], g.sh.flatten(1)):
        kept &= values.isfinite().all(1)
    return g.select(kept), kept.nonzero()[:, 0]


def _range(values: Tensor) -> tuple[float, float]:
    return (float(values.min()), float(values.max())) if values.numel() else (0.0, 1.0)


def _view(splats: Gaussians, camera: Camera | None) -> dict[str, Any]:
    """First view for the page: eye, point looked at, up, and intrinsics in pixels of an image size."""
    centre = splats.means.median(0).values
    if camera is None:
        radius = float((splats.means - centre).norm(dim=1).quantile(0.95)) if len(splats) < 1 << 24 else 1.0
        distance = 1.15 * max(radius, 1e-6) / math.sin(_FOV_Y_RAD / 2)
        camera = Camera.look_at(centre + torch.tensor([0, 0, distance]), centre, 1024, 1024, fov_y_rad=_FOV_Y_RAD)
    camera = camera.to("cpu", torch.float32)
    rotation, eye = camera.world_to_camera[:3, :3], camera.center
    distance = float((centre - eye) @ rotation[2])
    if not distance > 0:  # the scene's middle lies behind: turn about what is ahead
        ahead = (splats.means - eye) @ rotation[2]
        distance = float(ahead[ahead > 0].median()) if bool((ahead > 0).any()) else 1.0
    k, up = camera.K, _upright(-rotation[1])
    level = torch.linalg.cross(rotation[2], up)  # the image's right if the camera were not tilted
    return {
        "eye": eye.tolist(),
        "target": (eye + distance * rotation[2]).tolist(),
        "up": up.tolist(),
        "roll": math.atan2(float(rotation[0] @ torch.linalg.cross(rotation[2], level)), float(rotation[0] @ level)),
        "focal": [float(k[0, 0]), float(k[1, 1])],
        "center": [float(k[0, 2]), float(k[1, 2])],
        "size": [camera.width, camera.height],
    }


def _upright(up: Float[Tensor, "3"]) -> Float[Tensor, "3"]:
    """The world axis a camera's up is near to (within 40 degrees), which is what to orbit about; else the up itself."""
    axis = torch.zeros(3)
    largest = int(up.abs().argmax())
    axis[largest] = up[largest].sign()
    return axis if float(up @ axis) > math.cos(math.radians(40)) else up
