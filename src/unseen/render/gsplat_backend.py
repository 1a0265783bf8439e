"""The `gsplat` backend: hands the call to the CUDA package gsplat (1.5 or newer)."""

from typing import Any

from torch import Tensor

from unseen.render.settings import Scene, Settings

_RENDER_MODES = {"none": "RGB", "append": "RGB+D", "only": "D"}


def rasterize(scene: Scene, settings: Settings) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Render `scene` with gsplat, unpacked so that `info` has one row per camera and Gaussian."""
    import gsplat

    colors = scene.colors
    if settings.depth == "only" and settings.sh_degree is None:
        colors = colors[..., :1]  # not looked at, but gsplat wants at least one channel
    return gsplat.rasterization(
        *scene[:4],
        colors,
        *scene[5:7],
        settings.width,
        settings.height,
        near_plane=settings.near_plane,
        far_plane=settings.far_plane,
        eps2d=settings.eps2d,
        sh_degree=settings.sh_degree,
        packed=False,
        backgrounds=scene.backgrounds if settings.depth != "only" else None,
        render_mode=_RENDER_MODES[settings.depth],
        absgrad=settings.absgrad,
        rasterize_mode="antialiased" if settings.antialiased else "classic",
    )
