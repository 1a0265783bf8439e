"""Posing many frames at once without gradients."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from unseen.head.model import HeadModel
from unseen.head.params import HeadParams


def posed_vertices(model: HeadModel, params: HeadParams, chunk: int = 32) -> Float[Tensor, "T V 3"]:
    """Vertices of every frame, computed without gradients a few frames at a time."""
    with torch.no_grad():
        return torch.cat([model.vertices(params[slice(i, i + chunk)]) for i in range(0, len(params), chunk)])
