"""Captures become triplets to train fixers with (`unseen curate`)."""

from unseen.jobs.curate.job import CurateRequest, run_curate
from unseen.jobs.curate.plan import FullPlan, SmallPlan

__all__ = ["CurateRequest", "FullPlan", "SmallPlan", "run_curate"]
