"""The neck of models that have shoulders."""

from __future__ import annotations

from dataclasses import replace

import torch

from unseen.head.model import HeadModel


def with_head_shift(model: HeadModel) -> HeadModel:
    """The model with three more expression directions: the head slides against the shoulders along x, y, z, 1 cm per
    unit, fading over the neck. One neck joint turns the head but cannot also move it as real vertebrae do."""
    above = model.lbs_weights[:, 1:].sum(-1)
    shift = 0.01 * above[:, None, None] * torch.eye(3, dtype=model.dtype)
    return replace(model, exprdirs=torch.cat([model.exprdirs, shift], -1))
