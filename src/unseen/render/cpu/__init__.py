"""The `cpu` backend: compiled, multi-threaded, with analytic gradients. float32 in and out."""

from typing import Any

import torch
from torch import Tensor

from unseen.core.errors import NonFiniteError
from unseen.render.cpu.function import Composite, Frame, Project
from unseen.render.cpu.layout import TILE
from unseen.render.settings import Scene, Settings


def rasterize(scene: Scene, settings: Settings) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Render `scene`; arguments as `unseen.render.rasterization` has checked them."""
    for name in ("viewmats", "Ks", "backgrounds"):
        tensor = getattr(scene, name)
        if tensor is not None and not bool(torch.isfinite(tensor).all()):
            raise NonFiniteError(f"{name} holds NaN or infinity")
    cameras, n = len(scene.viewmats), len(scene.means)
    frame = Frame(settings, cameras, n)
    with_sh = settings.sh_degree is not None
    colors = scene.colors.contiguous()
    checked = colors.view(-1, n, *colors.shape[-2:]) if with_sh else colors.view(-1, n, 1, colors.shape[-1])
    means2d, covs2d, depths, opacities, shaded = Project.apply(
        scene.means.contiguous(),
        scene.quats.contiguous(),
        scene.scales.contiguous(),
        scene.opacities.contiguous(),
        checked if with_sh else checked.detach(),
        scene.viewmats,
        _centers(scene.viewmats),
        scene.Ks,
        frame,
    )
    features = shaded if with_sh else colors
    backgrounds = scene.backgrounds
    if settings.depth == "only":
        features, backgrounds = depths[..., None], None
    elif settings.depth == "append":
        features = torch.cat([features.expand(cameras, n, -1), depths[..., None]], -1)
        if backgrounds is not None:
            backgrounds = torch.cat([backgrounds, backgrounds.new_zeros(cameras, 1)], -1)
    flat = features.contiguous().view(-1, features.shape[-1])
    renders, alphas = Composite.apply(means2d, covs2d, opacities, flat, backgrounds, frame)
    info = {
        "means2d": means2d,
        "conics": torch.from_numpy(frame.conics),
        "depths": depths,
        "opacities": opacities,
        "radii": torch.from_numpy(frame.radii),
        "tile_size": TILE,
    }
    return renders, alphas, info


def _centers(viewmats: Tensor) -> Tensor:
    """Camera centres in the world [C, 3]."""
    return torch.linalg.inv(viewmats)[:, :3, 3].contiguous()
