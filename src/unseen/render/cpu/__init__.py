"""The `cpu` backend: compiled, multi-threaded, with analytic gradients. float32 in and out."""

from typing import Any

import torch
from torch import Tensor

from unseen.core.errors import NonFiniteError
from unseen.render.cpu.function import Composite, Frame, Project, check_colors
from unseen.render.cpu.layout import TILE
from unseen.render.settings import Scene, Settings


def rasterize(scene: Scene, settings: Settings) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Render `scene`; arguments as `unseen.render.rasterization` has checked them."""
    for name in ("viewmats", "Ks", "backgrounds"):
        tensor = getattr(scene, name)
        if tensor is not None and not bool(torch.isfinite(tensor).all()):
            raise NonFiniteError(f"{name} holds NaN or infinity")
    frame = Frame(settings, len(scene.viewmats), len(scene.means))
    means, quats, scales, opacities = (t.contiguous() for t in scene[:4])
    shaded = settings.sh_degree is not None and settings.depth != "only"
    coefficients = scene.colors.contiguous().view(-1, *scene.colors.shape[-3:]) if shaded else None
    centers = torch.linalg.inv(scene.viewmats)[:, :3, 3].contiguous() if shaded else None
    means2d, covs2d, depths, opacities2d, colors = Project.apply(
        means, quats, scales, opacities, scene.viewmats, scene.Ks, coefficients, centers, frame
    )
    features, backgrounds = _features(scene, settings, colors if shaded else None, depths, frame)
    renders, alphas = Composite.apply(means2d, covs2d, opacities2d, features, backgrounds, frame)
    info = {
        "means2d": means2d,
        "conics": torch.from_numpy(frame.conics),
        "depths": depths,
        "opacities": opacities2d,
        "radii": torch.from_numpy(frame.radii),
        "tile_size": TILE,
    }
    return renders, alphas, info


def _features(
    scene: Scene, settings: Settings, shaded: Tensor | None, depths: Tensor, frame: Frame
) -> tuple[Tensor, Tensor | None]:
    """What is composited, [C N or N, D], and its background: colours, given or shaded, and depths."""
    if settings.depth == "only":
        return depths.view(-1, 1), None
    colors, backgrounds = scene.colors.contiguous() if shaded is None else shaded, scene.backgrounds
    if shaded is None:
        check_colors(colors)
    if settings.depth == "append":
        colors = torch.cat([colors.expand(frame.cameras, frame.gaussians, -1), depths[..., None]], -1)
        if backgrounds is not None:
            backgrounds = torch.cat([backgrounds, backgrounds.new_zeros(frame.cameras, 1)], -1)
    return colors.view(-1, colors.shape[-1]), backgrounds
