"""Photos become a scene (`unseen fit`)."""

from unseen.jobs.fit.evaluation import evaluate_run
from unseen.jobs.fit.job import FitRequest, run_fit

__all__ = ["FitRequest", "evaluate_run", "run_fit"]
