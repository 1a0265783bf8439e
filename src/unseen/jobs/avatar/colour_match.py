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


class ColourMoments(NamedTuple):
    """Sums over some pixels of a render r and a photo p, per channel: of 1, r, p, r r, r p, p p, [6, 3] float64. They
    add up, and tell the best match and its error without the pixels."""

    sums: Float[ndarray, "6 3"]

    @classmethod
    def of(cls, judged: JudgedFrame, mask: Float[Tensor, "H W"]) -> ColourMoments:
        """Of the pixels inside a mask."""
        r, p = (x[mask > 0].double() for x in (judged.render, judged.target))
        parts = [torch.ones_like(r), r, p, r * r, r * p, p * p]
        return cls(torch.stack([x.sum(0) for x in parts]).numpy())

    def __add__(self, other: tuple) -> ColourMoments:
        return ColourMoments(self.sums + other[0])


class ColourMatch(NamedTuple):
    """photo ~ gain * render + offset, per channel, [3] each."""

    gain: Float[ndarray, "3"]
    offset: Float[ndarray, "3"]

    @classmethod
    def fitted(cls, moments: ColourMoments) -> ColourMatch:
        """Least squares. A render of one flat colour keeps its gain of 1."""
        n, r, p, rr, rp, _ = moments.sums
        variance = rr - r * r / n
        flat = variance < 1e-9 * n
        gain = np.where(flat, 1.0, (rp - r * p / n) / np.where(flat, 1.0, variance))
        return cls(gain, (p - gain * r) / n)

    def psnr(self, moments: ColourMoments) -> float:
        """PSNR in dB of the matched render on the pixels that the moments describe, not clamped to [0, 1]; NaN without
        pixels."""
        n, r, p, rr, rp, pp = moments.sums
        if not n.all():
            return float("nan")
        a, b = self.gain, self.offset
        mse = ((pp + a * a * rr + b * b * n - 2 * a * rp - 2 * b * p + 2 * a * b * r) / n).mean()
        return float(min(-10 * np.log10(max(mse, 1e-30)), MAX_PSNR_DB))
