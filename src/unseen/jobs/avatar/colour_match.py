"""What two cameras make of the same colours: one gain and one offset per channel for a whole video."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from unseen.fit.metrics import MAX_PSNR_DB
from unseen.jobs.avatar.evaluation import JudgedFrame

MAX_PIXELS = 1000
"""Pixels of one frame that a match is fitted to."""

_ROUNDS = 40
_REACH = 0.1  # differences the fit lets go of


class ColourMoments(NamedTuple):
    """Sums over some pixels of a render r and a photo p, per channel: of 1, r, p, r r, r p, p p, [6, 3] float64. They
    tell the error after any match without the pixels."""

    sums: Float[ndarray, "6 3"]

    @classmethod
    def of(cls, judged: JudgedFrame, mask: Float[Tensor, "H W"]) -> ColourMoments:
        """Of the pixels inside a mask."""
        r, p = (x[mask > 0].double() for x in (judged.render, judged.target))
        parts = [torch.ones_like(r), r, p, r * r, r * p, p * p]
        return cls(torch.stack([x.sum(0) for x in parts]).numpy())


def pixels_of(judged: JudgedFrame, mask: Float[Tensor, "H W"]) -> tuple[Float[ndarray, "N 3"], Float[ndarray, "N 3"]]:
    """At most `MAX_PIXELS` evenly spread pixels inside a mask, of the render and of the photo."""
    inside = (mask > 0).flatten().nonzero()[:, 0]
    chosen = inside[:: max(len(inside) // MAX_PIXELS, 1)]
    render, target = (x.flatten(0, 1)[chosen].double().numpy() for x in (judged.render, judged.target))
    return render, target


class ColourMatch(NamedTuple):
    """photo ~ gain * render + offset, per channel, [3] each."""

    gain: Float[ndarray, "3"]
    offset: Float[ndarray, "3"]

    @classmethod
    def fitted(cls, render: Float[ndarray, "N 3"], target: Float[ndarray, "N 3"]) -> ColourMatch:
        """Robust fit (Geman and McClure's loss, by iterated least squares from no change): plain least squares would
        grey a render that lacks parts until nothing stands out. A render of one flat colour keeps its gain of 1."""
        gain, offset = np.ones(3), np.zeros(3)
        for _ in range(_ROUNDS):
            weight = (1 + ((gain * render + offset - target) / _REACH) ** 2) ** -2
            total = weight.sum(0)
            r, p = (weight * render).sum(0) / total, (weight * target).sum(0) / total
            variance = (weight * (render - r) ** 2).sum(0) / total
            covariance = (weight * (render - r) * (target - p)).sum(0) / total
            gain = np.where(variance > 1e-9, covariance / np.maximum(variance, 1e-9), 1.0)
            offset = p - gain * r
        return cls(gain, offset)

    def psnr(self, moments: ColourMoments) -> float:
        """PSNR in dB of the matched render on the pixels that the moments describe, not clamped to [0, 1]; NaN without
        pixels."""
        n, r, p, rr, rp, pp = moments.sums
        if not n.all():
            return float("nan")
        a, b = self.gain, self.offset
        mse = ((pp + a * a * rr + b * b * n - 2 * a * rp - 2 * b * p + 2 * a * b * r) / n).mean()
        return float(min(-10 * np.log10(max(mse, 1e-30)), MAX_PSNR_DB))
