"""The whole recipe, top to bottom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from unseen.head.model import HeadModel
from unseen.head.tracking.contour_fit import fit_contours
from unseen.head.tracking.landmark_fit import LandmarkTerm, fit_landmarks, rigid_start
from unseen.head.tracking.observations import Observations
from unseen.head.tracking.photometric import LEVELS, fit_photometric
from unseen.head.tracking.state import Progress, Track, TrackConfig, Unknowns


class Stages(Protocol):
    """Where finished stages are kept."""

    def load(self, stage: str) -> dict[str, Tensor] | None:
        """The unknowns at the end of a stage, or None."""

    def save(self, stage: str, unknowns: dict[str, Tensor]) -> None:
        """Keep the unknowns at the end of a stage."""


class NoStages:
    """Keeps nothing."""

    def load(self, stage: str) -> None:
        """Nothing is kept."""

    def save(self, stage: str, unknowns: dict[str, Tensor]) -> None:
        """Nothing is kept."""


def no_progress(stage: str, done: int, total: int) -> None:
    """Progress nobody watches."""


def track_head(
    model: HeadModel,
    observations: Observations,
    config: TrackConfig | None = None,
    seed: int = 0,
    progress: Progress = no_progress,
    stages: Stages | None = None,
) -> Track:
    """Fit a head model to a monocular video: one identity and camera, T poses and expressions.

    Landmarks first, then silhouettes (with the per-vertex offset), then colours from blurred to sharp, each stage
    keeping the terms before it.

    Raises:
        InputError: the model has no MediaPipe landmarks.
    """
    config, stages = config or TrackConfig(), stages or NoStages()
    u = rigid_start(model, observations, config)
    landmarks = LandmarkTerm(model, observations)

    def run(name: str, stage: Callable[[Unknowns], None]) -> None:
        done = stages.load(name)
        if done is None:
            stage(u)
            stages.save(name, u.state())
        else:
            u.load(done)

    run("landmarks", lambda u: fit_landmarks(model, u, landmarks, config, progress))
    if config.contour_rounds:
        run("silhouettes", lambda u: fit_contours(model, u, landmarks, observations, config, progress))
    for side in LEVELS if config.photometric_steps else ():

        def refine(u: Unknowns, side: int = side) -> None:
            generator = torch.Generator().manual_seed(seed + side)
            fit_photometric(model, u, landmarks, observations, side, config, generator, progress)

        run(f"colours-{side}", refine)
    return u.track(observations.fps)
