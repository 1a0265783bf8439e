"""Left and right exchanged: what a picture of a head and its parameters become in a mirror."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

from unseen.core.camera import Camera
from unseen.head.model import HeadModel
from unseen.head.params import HeadParams

_FLIP = (-1.0, 1.0, 1.0)
"""Of a vector, by the plane x = 0."""
_FLIP_TURN = (1.0, -1.0, -1.0)
"""Of a rotation's axis-angle vector."""


def mirrored_faces(model: HeadModel) -> Int[np.ndarray, "F"]:
    """For each triangle the one nearest to its mirror image in the template."""
    return _nearest(model.v_template[model.faces].mean(1))


def mirrored_camera(camera: Camera) -> Camera:
    """The camera that sees of a mirrored world the mirror image of what `camera` sees of the world."""
    flip = torch.diag(camera.K.new_tensor([*_FLIP, 1.0]))
    K = camera.K.clone()
    K[0, 2] = camera.width - K[0, 2]
    return Camera(flip @ camera.world_to_camera @ flip, K, camera.width, camera.height)


class Mirror:
    """Mirrors the motion of a head model's parameters by the plane x = 0, keeping identity: heads are nearly symmetric,
    and what is not (`shape`, offsets) belongs to the person, not to the side seen.

    Expressions are exchanged by the linear map that best turns each direction into its mirror image.

    Args:
        model: whose parameters.
    """

    def __init__(self, model: HeadModel) -> None:
        partner = torch.from_numpy(_nearest(model.v_template))
        basis = model.exprdirs.double().cpu()
        image = basis[partner] * basis.new_tensor(_FLIP)[:, None]
        a, b = (x.flatten(0, 1) for x in (basis, image))
        gram = a.T @ a
        ridge = 1e-9 * gram.diagonal().mean().clamp_min(1e-30) * torch.eye(len(gram), dtype=gram.dtype)
        self.expression = torch.linalg.solve(gram + ridge, a.T @ b).to(model.exprdirs)

    def __call__(self, params: HeadParams) -> HeadParams:
        """The mirrored motion of T frames; offsets per frame are left out."""
        flip, turn = (params.rotation.new_tensor(v) for v in (_FLIP, _FLIP_TURN))
        left, right = (params.eyes_pose * turn.repeat(2)).chunk(2, -1)
        known = self.expression[: params.expr.shape[1], : params.expr.shape[1]]
        return replace(
            params,
            expr=params.expr @ known.T.to(params.expr),
            rotation=params.rotation * turn,
            neck_pose=params.neck_pose * turn,
            jaw_pose=params.jaw_pose * turn,
            eyes_pose=torch.cat([right, left], -1),
            translation=params.translation * flip,
            eyelids=params.eyelids.flip(-1),
            dynamic_offset=None,
        )


def _nearest(points: Float[Tensor, "N 3"]) -> Int[np.ndarray, "N"]:
    """For each point the one nearest to its mirror image."""
    given = points.cpu().numpy()
    return cKDTree(given).query(given * np.array(_FLIP))[1]
