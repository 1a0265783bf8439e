"""Rendering: one function, `rasterization`, with gsplat's signature and semantics, on any machine."""

from unseen.render.rasterize import rasterization

__all__ = ["rasterization"]
