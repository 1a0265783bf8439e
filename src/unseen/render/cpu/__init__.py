"""The `cpu` backend: compiled, multi-threaded, with analytic gradients. float32 in and out."""

from typing import Any

import torch
from torch import Tensor

from unseen.core.errors import NonFiniteError
from unseen.render.cpu.function import Composite, Frame, Project, Shade, check_colors
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
    means2d, covs2d, depths, opacities2d = Project.apply(
        means, quats, scales, opacities, scene.viewmats, scene.Ks, frame
    )
    features, backgrounds = _features(scene, settings, means, depths, frame)
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
    scene: Scene, settings: Settings, means: Tensor, depths: Tensor, frame: Frame
) -> tuple[Tensor, Tensor | None]:
    """What is composited, [C N or N, D], and its background: colours, evaluated SH, depths."""
    if settings.depth == "only":
        return depths.view(-1, 1), None
    colors, backgrounds = scene.colors.contiguous(), scene.backgrounds
    n = len(means)
    if settings.sh_degree is None:
        check_colors(colors)
    else:
        centers = torch.linalg.inv(scene.viewmats)[:, :3, 3].contiguous()
        colors = Shade.apply(means, colors.view(-1, *colors.shape[-3:]), centers, frame)
    if settings.depth == "append":
        colors = torch.cat([colors.expand(frame.cameras, n, -1), depths[..., None]], -1)
        if backgrounds is not None:
            backgrounds = torch.cat([backgrounds, backgrounds.new_zeros(frame.cameras, 1)], -1)
    return colors.view(-1, colors.shape[-1]), backgrounds
