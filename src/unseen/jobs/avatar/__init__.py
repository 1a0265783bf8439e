"""The avatar job: a monocular head video becomes an animatable Gaussian head avatar."""

from unseen.jobs.avatar.config import AvatarConfig, MotionRates, PriorConfig
from unseen.jobs.avatar.job import AvatarRequest, run_avatar

__all__ = ["AvatarConfig", "AvatarRequest", "MotionRates", "PriorConfig", "run_avatar"]
