"""Fixers by name."""

from __future__ import annotations

import torch

from unseen.priors.fixer.fixing import Fixer
from unseen.priors.fixer.pipeline import FixerPipeline

NONE, DIFIX_PREFIX = "none", "difix:"


def load_fixer(name: str, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Fixer | None:
    """A fixer: "tiny", a folder that `save_pretrained` wrote, "gsvar:FILE[,FILE]", "difix:NAME", or None for "none".

    Args:
        name: of the model.
        device: where it computes.
        dtype: of most weights.

    Raises:
        InputError: no such model.
        FormatError: a damaged file, or weights that do not fit, named.
        ResourceError: it is not on this machine and cannot be fetched.
    """
    if name == NONE:
        return None
    if name.startswith(DIFIX_PREFIX):
        from unseen.priors.fixer.difix import Difix

        difix: Fixer = Difix.from_pretrained(name.removeprefix(DIFIX_PREFIX), device, dtype)
        return difix
    return FixerPipeline.from_pretrained(name, device, dtype)
