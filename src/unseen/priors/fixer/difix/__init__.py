"""Difix: renders repaired in one step of diffusion, with a look at photos (Wu et al. 2025, Difix3D+)."""

from unseen.priors.fixer.difix.config import DifixConfig, sd_turbo
from unseen.priors.fixer.difix.model import Difix

__all__ = ["Difix", "DifixConfig", "sd_turbo"]
