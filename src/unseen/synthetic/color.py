"""Colours of surfaces: given as seen (sRGB), kept linear."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

Color = tuple[float, float, float]


def linear(srgb: Color | np.ndarray) -> Float[np.ndarray, "*N 3"]:
    """sRGB values in [0, 1] as linear RGB."""
    s = np.asarray(srgb, float)
    return np.where(s <= 0.04045, s / 12.92, ((s + 0.055) / 1.055) ** 2.4)


def displayed(rgb: np.ndarray) -> np.ndarray:
    """Linear RGB as sRGB values in [0, 1]; what lies outside is clamped."""
    clamped = np.clip(rgb, 0, 1)
    return np.where(clamped <= 0.0031308, 12.92 * clamped, 1.055 * np.maximum(clamped, 1e-9) ** (1 / 2.4) - 0.055)


def mix(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    """`a` where `share` [H, W] is 0, `b` where it is 1."""
    return a * (1 - share[..., None]) + b * share[..., None]
