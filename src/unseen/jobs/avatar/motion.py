"""Fine-tuning of the tracked motion: per-frame corrections with an optimiser of their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unseen.head.params import HeadParams
from unseen.jobs.avatar.config import MotionRates


class MotionTuner:
    """Corrections added to tracked parameters. Adam row by row: a frame that is not looked at does not move (dense Adam
    would keep pushing it with old momentum).

    Args:
        params: the tracked motion, T frames.
        rates: learning rate per parameter.
        fitted: the frames that may be corrected, int [T'].
    """

    def __init__(self, params: HeadParams, rates: MotionRates, fitted: np.ndarray) -> None:
        self.params, self.fitted = params, np.sort(fitted)
        self.names = [name for name in vars(rates) if getattr(rates, name) > 0]
        widths = [getattr(params, name).shape[1] for name in self.names]
        self.slices = dict(zip(self.names, np.split(np.arange(sum(widths)), np.cumsum(widths)[:-1]), strict=True))
        self.rates = torch.cat([torch.full((w,), getattr(rates, n)) for n, w in zip(self.names, widths, strict=True)])
        self.delta, self.m, self.v = (torch.zeros(len(params), sum(widths)) for _ in range(3))
        self.count = torch.zeros(len(params))

    def frame(self, t: int, delta: Float[Tensor, "D"]) -> HeadParams:
        """Parameters of frame t with a correction, T = 1."""
        base = self.params[t]
        moved = {name: getattr(base, name) + delta[self.slices[name]][None] for name in self.names}
        return replace(base, **moved)

    def step(self, t: int, gradient: Float[Tensor, "D"], factor: float) -> None:
        """One Adam step on the correction of frame t, rates multiplied by `factor`."""
        self.count[t] += 1
        self.m[t] += 0.1 * (gradient - self.m[t])
        self.v[t] += 0.01 * (gradient.square() - self.v[t])
        m = self.m[t] / (1 - 0.9 ** self.count[t])
        v = self.v[t] / (1 - 0.99 ** self.count[t])
        self.delta[t] -= factor * self.rates * m / (v.sqrt() + 1e-12)

    def tuned(self) -> HeadParams:
        """The whole motion, corrected. Frames that were not fitted get the correction interpolated between their fitted
        neighbours in time (the nearest one's beyond the ends): nothing of their own pixels enters."""
        times = np.arange(len(self.params))
        known = self.delta[self.fitted].numpy()
        filled = np.stack([np.interp(times, self.fitted, known[:, d]) for d in range(known.shape[1])], -1)
        delta = torch.from_numpy(filled).float()
        return replace(self.params, **{n: getattr(self.params, n) + delta[:, self.slices[n]] for n in self.names})

    def state(self) -> dict[str, Tensor]:
        """Everything needed to continue bit-exact."""
        return {f"motion.{name}": getattr(self, name) for name in ("delta", "m", "v", "count")}

    def load(self, state: dict[str, Tensor]) -> None:
        """Inverse of `state`."""
        for name in ("delta", "m", "v", "count"):
            setattr(self, name, state[f"motion.{name}"].clone())
