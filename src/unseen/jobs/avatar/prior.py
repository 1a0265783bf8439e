"""From the name of a prior to what supervises the fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from unseen.core.errors import InputError
from unseen.head.model import HeadModel
from unseen.head.tracking import Observations, Track
from unseen.jobs.avatar.config import AvatarConfig, PriorConfig
from unseen.jobs.avatar.coverage import Coverage
from unseen.jobs.avatar.sources import DiffusionViews, ImaginedViews, MirroredViews, reference_images
from unseen.jobs.avatar.supervision import PseudoSupervision, ScoreSupervision, Supervision
from unseen.jobs.avatar.viewpoints import filmed_yaws
from unseen.priors.multiview import HeadPlace, MultiViewDiffusion

NAMES = ("none", "mirror", "tiny")


def prior_supervision(
    name: str, model: HeadModel, track: Track, observations: Observations, fitted: np.ndarray, coverage: Coverage,
    config: AvatarConfig, seed: int, device: torch.device,
) -> Supervision | None:  # fmt: skip
    """What a prior does in a fit; None for "none".

    Args:
        name: "none", "mirror", "tiny", or the folder (or hub id) of a multi-view diffusion model.
        model, track, observations, fitted, coverage: what is fitted.
        config: settings of the fit.
        seed: of everything random.
        device: where the network computes.

    Raises:
        InputError: no such prior, or settings it cannot be used with.
    """
    check_prior(name, config.prior)
    if name == "none":
        return None
    schedule = (config.prior, config.iterations, coverage, seed)
    if name == "mirror":
        side = picture_side(model, track, fitted)
        return PseudoSupervision(MirroredViews(observations, config.prior, fitted, side), *schedule)
    network = MultiViewDiffusion.from_pretrained(name, device)
    pictures = reference_images(model, track, observations, fitted, config.prior.references, network.image_size)
    prior = DiffusionViews(network, pictures, config.prior)
    views = ImaginedViews(prior, config.prior, fitted, filmed_yaws(model, track, fitted))
    if config.prior.method == "sds":
        return ScoreSupervision(views, prior, *schedule)
    return PseudoSupervision(views, *schedule)


def check_prior(name: str, config: PriorConfig) -> None:
    """Refuse what cannot work, before any work.

    Raises:
        InputError: no such prior, or settings it cannot be used with.
    """
    if name not in NAMES and "/" not in name and not Path(name).exists():
        raise InputError(f"unknown prior {name!r}: expected {', '.join(NAMES)}, the folder of a model, or owner/name")
    if config.method == "sds" and name == "mirror":
        raise InputError("the mirror has no scores to distil: use --prior-method pseudo with it")


def picture_side(model: HeadModel, track: Track, fitted: np.ndarray) -> int:
    """Side in pixels of a view cut out of the video at the video's own resolution."""
    place = HeadPlace.of(model, track.params[int(fitted[len(fitted) // 2])])
    return max(32, round(float(track.camera.K[0, 0] / place.crop(track.camera, 1).K[0, 0])))
