"""Worlds from a prompt or a picture and a camera path, in a few steps (FlashWorld, arXiv 2510.13678)."""

from unseen.priors.world.cameras import Frame, WorldCameras
from unseen.priors.world.config import WorldConfig
from unseen.priors.world.pipeline import World, WorldPipeline

__all__ = ["Frame", "World", "WorldCameras", "WorldConfig", "WorldPipeline"]
