"""What a prior is worth to an avatar: held-out synthetic people, filmed from the front, judged from all sides.

    python benchmarks/avatar_prior.py --variants none mirror oracle tiny --sheet docs/images/prior.png

Each person of `avatar_identities` is fitted to a frontal clip (48 frames, yaw within 25 degrees, 256 pixels; the head
parameters are the true ones, or tracked with --track) and compared with true pictures: the held-out frames of the clip
(seen) and yaw 45, 90, 135 and 180 degrees (unseen). Every row is kept as JSON in OUT, and a run continues where it was
stopped; the table is printed from the rows. `oracle` gives the fit true pictures for pseudo ground truth: what a perfect
prior would reach.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from avatar_identities import FIRST_SEED, SIZE, Identity, NovelView
from torch import Tensor

from unseen.fit.metrics import psnr, ssim
from unseen.fit.strategies.bound import DensifyConfig
from unseen.head.avatar import Avatar
from unseen.io.atomic import write_json

from unseen.jobs.avatar.config import AvatarConfig, PriorConfig
from unseen.jobs.avatar.coverage import Coverage
from unseen.jobs.avatar.holdout import split_frames
from unseen.jobs.avatar.initial import initial_splats
from unseen.jobs.avatar.evaluation import on_white
from unseen.jobs.avatar.sources import MirroredViews, Shot
from unseen.jobs.avatar.supervision import PseudoSupervision
from unseen.jobs.avatar.training import AvatarTrainer
from unseen.priors.multiview.framing import HeadPlace
from unseen.render.rasterize import rasterization

SHEET_YAWS = (45, 90, 135, 180)


class OracleViews:
    """True pictures as a source of pseudo views."""

    def __init__(self, identity: Identity, fitted: np.ndarray, group: int) -> None:
        self.views = [v for v in identity.oracle_views()]
        self.group_size, self.next = group, 0

    def group(self, avatar: Avatar, progress: float, generator: torch.Generator) -> list[Shot]:
        """The next ones."""
        chosen = [self.views[(self.next + i) % len(self.views)] for i in range(self.group_size)]
        self.next += self.group_size
        return [Shot(avatar.model.vertices(avatar.params[v.frame])[0], v.camera, v.white) for v in chosen]
