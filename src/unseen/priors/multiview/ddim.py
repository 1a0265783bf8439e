"""DDIM (Song et al. 2021) without noise, from any time of the schedule on; eta = 0."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.errors import InputError

STEP = 20
"""Timesteps per step where the number of steps is left open: GAF's k."""


@dataclass(frozen=True)
class Schedule:
    """Signal and noise of every timestep, as a diffusers scheduler defines them.

    Attributes:
        alphas: cumulative products, [1000].
        final: the one before timestep 0.
        prediction: "epsilon" or "v_prediction".
        offset, trailing: where in its stride a step lies (diffusers' `steps_offset` and `timestep_spacing`).
    """

    alphas: Float[Tensor, "T"]
    final: float
    prediction: str
    offset: int
    trailing: bool

    @classmethod
    def of(cls, scheduler: object) -> Schedule:
        """The schedule of a diffusers DDIMScheduler.

        Raises:
            InputError: it predicts something else, or spaces its steps in another way.
        """
        c = scheduler.config  # type: ignore[attr-defined]
        if c.prediction_type not in ("epsilon", "v_prediction"):
            raise InputError(f"prediction type {c.prediction_type!r}: expected epsilon or v_prediction")
        if c.timestep_spacing not in ("leading", "trailing"):
            raise InputError(f"timestep spacing {c.timestep_spacing!r}: expected leading or trailing")
        alphas, final = scheduler.alphas_cumprod, scheduler.final_alpha_cumprod  # type: ignore[attr-defined]
        return cls(alphas.double(), float(final), c.prediction_type, c.steps_offset, c.timestep_spacing == "trailing")

    @property
    def length(self) -> int:
        """Number of timesteps."""
        return len(self.alphas)

    def timesteps(self, strength: float, steps: int | None) -> list[int]:
        """Timesteps from `strength` (a fraction of the schedule) down, evenly spaced; a step per `STEP` when `steps` is
        None. All of diffusers' own for strength 1.

        Raises:
            InputError: a strength outside (0, 1] or no steps.
        """
        if not 0 < strength <= 1:
            raise InputError(f"strength {strength}: expected more than 0, at most 1")
        start = strength * self.length
        steps = math.ceil(start / STEP) if steps is None else steps
        if steps < 1:
            raise InputError(f"{steps} steps: expected at least 1")
        stride = start / steps
        if self.trailing:
            times = [round(start - k * stride) - 1 for k in range(steps)]
        else:
            times = [round(start - (k + 1) * stride) + self.offset for k in range(steps)]
        return [min(max(t, 0), self.length - 1) for t in times]

    def levels(self, t: int) -> tuple[float, float]:
        """Factors of signal and noise at a timestep."""
        a = float(self.alphas[t]) if t >= 0 else self.final
        return math.sqrt(a), math.sqrt(1 - a)

    def noised(self, clean: Tensor, noise: Tensor, t: int) -> Tensor:
        """The clean latents with noise at timestep t."""
        signal, sigma = self.levels(t)
        return signal * clean + sigma * noise

    def clean_and_noise(self, noisy: Tensor, predicted: Tensor, t: int) -> tuple[Tensor, Tensor]:
        """What the prediction at timestep t takes the clean latents and the noise to be."""
        signal, sigma = self.levels(t)
        if self.prediction == "epsilon":
            return (noisy - sigma * predicted) / signal, predicted
        return signal * noisy - sigma * predicted, signal * predicted + sigma * noisy


def denoise(
    schedule: Schedule,
    noisy: Float[Tensor, "*shape"],
    timesteps: list[int],
    predict: Callable[[Tensor, int], Tensor],
    on_step: Callable[[int, int, Tensor], None] | None = None,
) -> Float[Tensor, "*shape"]:
    """From noisy latents at the first timestep to clean ones.

    Args:
        schedule: of the noise.
        noisy: latents at timesteps[0].
        timesteps: falling.
        predict: the network, of noisy latents and a timestep.
        on_step: told the step, of how many, and the clean latents as now believed.
    """
    for k, t in enumerate(timesteps):
        clean, noise = schedule.clean_and_noise(noisy, predict(noisy, t), t)
        before = timesteps[k + 1] if k + 1 < len(timesteps) else -1
        signal, sigma = schedule.levels(before)
        noisy = signal * clean + sigma * noise
        if on_step is not None:
            on_step(k, len(timesteps), clean)
    return noisy


def guided(unconditional: Tensor, conditional: Tensor, guidance: float) -> Tensor:
    """Classifier-free guidance (Ho and Salimans 2022)."""
    return torch.lerp(unconditional, conditional, guidance)
