"""Heads: the parametric model, FLAME's files, the procedural default, landmarks, tracking, binding of Gaussians."""

from unseen.head.model import JOINT_NAMES, HeadModel, HeadOutput, LandmarkEmbedding
from unseen.head.params import HeadParams

__all__ = ["JOINT_NAMES", "HeadModel", "HeadOutput", "HeadParams", "LandmarkEmbedding"]
