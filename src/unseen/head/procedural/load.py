"""Load the built-in head from its asset."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unseen.head.landmarks import IBUG68_TO_MEDIAPIPE
from unseen.head.model import HeadModel, LandmarkEmbedding
from unseen.head.procedural.expression import NAMES, SIDED
from unseen.head.procedural.identity import DIRECTIONS

VARIANT = "procedural-1"
SHAPE_NAMES: tuple[str, ...] = tuple(DIRECTIONS)
EXPRESSION_NAMES: tuple[str, ...] = NAMES
ASSET = Path(__file__).with_name("model.npz")
LANDMARKS = Path(__file__).with_name("landmarks.npz")
STEP_MM = 1e-3  # resolution of stored positions
DIRECTION_STEP_MM = 2e-3  # and of displacements
_FLIP = np.array([-1.0, 1.0, 1.0], np.float32)


@lru_cache(maxsize=1)
def procedural_head() -> HeadModel:
    """The built-in head, variant "procedural-1": skin from the crown to the chest, eyeballs, teeth, mouth.

    Coefficients of `shape` follow SHAPE_NAMES, one standard deviation of a population each; those of `expr` follow
    EXPRESSION_NAMES, 0 at rest and 1 at full strength. Metres; see `HeadModel`. The same object on every call.
    """
    with np.load(ASSET) as stored:
        data = {name: stored[name] for name in stored.files}
    with np.load(LANDMARKS) as stored:
        embedding = LandmarkEmbedding(
            torch.from_numpy(stored["face_idx"].astype(np.int64)), torch.from_numpy(stored["bary"].astype(np.float32))
        )
    mirror = data["mirror"].astype(np.int64)
    faces = torch.from_numpy(data["faces"].astype(np.int64))
    ibug = list(IBUG68_TO_MEDIAPIPE)
    starts = np.cumsum(data["region_sizes"])[:-1]
    members = np.split(data["region_members"].astype(np.int64), starts)
    return HeadModel(
        variant=VARIANT,
        v_template=_whole(data["vertices"][None], mirror, STEP_MM)[..., 0],
        faces=faces,
        shapedirs=_whole(data["shape"], mirror, DIRECTION_STEP_MM),
        exprdirs=_expressions(data["expression"], mirror),
        posedirs=_pose_correctives(data, len(mirror)),
        j_regressor=torch.from_numpy(data["regressor"]),
        lbs_weights=torch.from_numpy(data["weights"]),
        eyelid_dirs=_sided(data["eyelids"], mirror),
        uvs=torch.from_numpy(data["uvs"]),
        uv_faces=torch.from_numpy(data["uv_faces"].astype(np.int64)),
        regions={str(n): torch.from_numpy(m) for n, m in zip(data["region_names"], members, strict=True)},
        landmarks={
            "mediapipe478": embedding,
            "ibug68": LandmarkEmbedding(embedding.face_idx[ibug], embedding.bary[ibug]),
        },
    )


def _metres(stored: np.ndarray, step_mm: float) -> np.ndarray:
    return stored.astype(np.float32) * np.float32(step_mm * 1e-3)


def _whole(half: np.ndarray, mirror: np.ndarray, step_mm: float) -> Tensor:
    """Symmetric displacements [V, 3, K] from those of the left half, [K, half, 3]."""
    left = np.flatnonzero(mirror >= np.arange(len(mirror)))
    values = _metres(half, step_mm)
    full = np.empty((len(half), len(mirror), 3), np.float32)
    full[:, mirror[left]] = values * _FLIP
    full[:, left] = values
    middle = mirror[left] == left
    full[:, left[middle], 0] = 0.0
    return torch.from_numpy(full).permute(1, 2, 0)


def _sided(left: np.ndarray, mirror: np.ndarray) -> Tensor:
    """Left and right displacements [V, 3, 2] from the left one, [V, 3]."""
    values = _metres(left, DIRECTION_STEP_MM)
    return torch.from_numpy(np.stack([values, values[mirror] * _FLIP])).permute(1, 2, 0)


def _expressions(stored: np.ndarray, mirror: np.ndarray) -> Tensor:
    """All expression directions, [V, 3, E], from the left and the central ones, [K, V, 3]."""
    values = _metres(stored, DIRECTION_STEP_MM)
    sided = values[: len(SIDED)]
    pairs = np.stack([sided, sided[:, mirror] * _FLIP], 1).reshape(-1, *values.shape[1:])
    return torch.from_numpy(np.concatenate([pairs, values[len(SIDED) :]])).permute(1, 2, 0)


def _pose_correctives(data: dict[str, np.ndarray], count: int) -> Tensor:
    """Displacement per entry of (R - I) of neck, jaw and eyes, [36, V * 3], from the stored ones."""
    dirs = np.zeros((36, count * 3), np.float32)
    dirs[data["pose_entries"]] = _metres(data["pose"], DIRECTION_STEP_MM).reshape(len(data["pose_entries"]), -1)
    return torch.from_numpy(dirs)
