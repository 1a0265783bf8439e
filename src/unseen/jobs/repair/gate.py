"""The gate: what a fixer made may enter the fit only where photos do not say otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from unseen.jobs.repair.evidence import Hearing

LEAST_EVIDENCE = 0.05
"""Mean of `Hearing.settled` below which a view cannot be checked."""
WORSE_FACTOR, WORSE_BY = 1.1, 0.01
"""A fixed view may be so much farther from the photos than the render it was made of, where photos are sure."""
SHOWN_FACTOR = 1.5
"""One that is only shown, where no photo sees anything, so many times that."""


@dataclass(frozen=True)
class Verdict:
    """What becomes of a fixed view.

    Attributes:
        reason: why it was rejected; empty where it was not.
        weight: how far each of its pixels may change the fit, 0 to 1, [H, W].
        free: how far each pixel of the render may be changed when it is shown, 0 to 1, [H, W].
        error_before, error_after: of render and fixed view against the photos, where these are sure.
    """

    reason: str
    weight: Float[Tensor, "H W"]
    free: Float[Tensor, "H W"]
    error_before: float
    error_after: float


def judged(
    render: Float[Tensor, "H W 3"], fixed: Float[Tensor, "H W 3"], trust: Float[Tensor, "H W"], heard: Hearing
) -> Verdict:
    """Whether a fixed view may enter the fit, and with what weights.

    Its pixels weigh as much as the fixer trusts them, less where the photos have settled what is there and the render
    shows it, and nothing where it contradicts what they have settled. When a render is shown, only what no photo sees
    is changed, and nothing if the fixed view is grossly wrong where it can be checked.

    Args:
        render: what the fixer was given.
        fixed: what it made of it.
        trust: its own weights, 0 to 1.
        heard: what the photos say about the view.
    """
    before, after = heard.error(render), heard.error(fixed)
    left_open = 1 - heard.settled * heard.agreement(render)
    contradicted = heard.settled * (1 - heard.agreement(fixed))
    weight = trust.clamp(0, 1) * left_open * (1 - contradicted)
    limit = WORSE_FACTOR * before + WORSE_BY
    free = heard.open * (after <= SHOWN_FACTOR * limit)  # also false where it is not finite
    return Verdict(_reason(fixed, trust, heard, after > limit), weight, free, before, after)


def _reason(fixed: Tensor, trust: Tensor, heard: Hearing, worse: bool) -> str:
    if not (bool(fixed.isfinite().all()) and bool(trust.isfinite().all())):
        return "not finite"
    if float(heard.settled.mean()) < LEAST_EVIDENCE:
        return "nothing to check it by"
    if worse:
        return "contradicts the photos"
    return ""
