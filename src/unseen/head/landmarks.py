"""Landmarks of the face: which of MediaPipe's 478 points mean what, and how to carry them over to another head mesh.

The tables are facts of the two schemes: the order of the 68 iBUG points (Sagonas et al. 2013) and the numbering of
MediaPipe's face mesh (468 points of the skin, then five per iris). "left" and "right" are the subject's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree
from torch import Tensor

from unseen.core.errors import InputError
from unseen.head.model import HeadModel, LandmarkEmbedding
from unseen.head.params import HeadParams

_LIPS_OUTER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
_LIPS_INNER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)

MEDIAPIPE_REGIONS: Mapping[str, list[int]] = MappingProxyType(
    {
        "lips_outer": [*_LIPS_OUTER],
        "lips_inner": [*_LIPS_INNER],
        "lips": [*_LIPS_OUTER, *_LIPS_INNER],
        "left_eye": [263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249],
        "right_eye": [33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7],
        "left_eyebrow": [300, 293, 334, 296, 336, 285, 295, 282, 283, 276],
        "right_eyebrow": [70, 63, 105, 66, 107, 55, 65, 52, 53, 46],
        "right_iris": [468, 469, 470, 471, 472],
        "left_iris": [473, 474, 475, 476, 477],
        "nose": [168, 6, 197, 195, 5, 4, 1, 19, 94, 2, 98, 97, 326, 327, 64, 294, 48, 278, 115, 344, 220, 440, 45, 275],
        "oval": [
            *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152),
            *(148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
        ],
    }
)
"""Named point sets. The contours of lips, eyes and oval are closed loops in order; lips start at the right corner, eyes
at the outer one, and go over the upper lid or lip; brows run from the tail along the upper edge and back along the
lower; the first point of an iris is its centre."""

IBUG68_TO_MEDIAPIPE: tuple[int, ...] = (
    *(127, 234, 93, 58, 172, 136, 150, 176, 152, 400, 379, 365, 397, 288, 323, 454, 356),  # jaw, right ear to left ear
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),  # brows, from the right tail
    *(168, 197, 5, 4, 98, 97, 2, 326, 327),  # nose: bridge down, then the base from the right
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),  # right eye, left eye
    *(61, 39, 37, 0, 267, 269, 291, 321, 314, 17, 84, 91),  # outer lips from the right corner over the upper lip
    *(78, 82, 13, 312, 308, 317, 14, 87),  # inner lips likewise
)
"""MediaPipe's point at each of the 68 iBUG points; along the jaw, which iBUG marks at the silhouette, the nearest."""

_LOOSE_ANCHORS = (*range(17), 17, 26)
"""iBUG points that annotators place differently from head to head: the jaw line and the tails of the brows."""
_OPEN_JAW_RAD = 0.25


def with_mediapipe_landmarks(model: HeadModel, source: HeadModel) -> HeadModel:
    """The model with the "mediapipe478" points of another head, carried over by the 68 points both have.

    The jaws of both are opened meanwhile, so that upper and lower lip cannot be taken for one another. Points of the
    skin never land on eyeballs, teeth or ears; those of an iris land on its eyeball, in the same direction from its
    centre.

    Raises:
        InputError: a model lacks the landmarks or eyeball regions this needs.
    """
    for head, names in ((model, ("ibug68",)), (source, ("ibug68", "mediapipe478"))):
        if missing := [name for name in names if name not in head.landmarks]:
            raise InputError(
                f"head model {head.variant!r} has no landmarks {missing[0]!r}: they cannot be carried over"
            )
    if missing := [name for name in ("left_eyeball", "right_eyeball") if name not in model.regions]:
        raise InputError(f"head model {model.variant!r} has no region {missing[0]!r}: where would the irises go")
    target, origin = _open_mouth(model), _open_mouth(source)
    points = source.landmarks["mediapipe478"].points(origin, source.faces)
    anchors = source.landmarks["ibug68"].points(origin, source.faces)
    onto = model.landmarks["ibug68"].points(target, model.faces)
    skin = _faces_without(model, ("left_eyeball", "right_eyeball", "teeth", "left_ear", "right_ear"))
    smoothing = np.full(68, 1e-3)
    smoothing[[*_LOOSE_ANCHORS]] = 0.1
    found = transfer_landmarks(points, anchors, onto, target, model.faces, skin, smoothing)
    face_idx, bary = found.face_idx.clone(), found.bary.clone()
    for joint, side in ((3, "left"), (4, "right")):
        ids = MEDIAPIPE_REGIONS[f"{side}_iris"]
        ball = _faces_within(model, f"{side}_eyeball")
        centre = model.joint_template[joint]
        radius = (target[model.faces[ball].unique()] - centre).norm(dim=-1).mean()
        rays = torch.nn.functional.normalize(points[ids] - source.joint_template[joint], dim=-1)
        eye = closest_on_mesh(centre + radius * rays, target, model.faces, ball)
        face_idx[ids], bary[ids] = eye.face_idx, eye.bary
    return replace(model, landmarks={**model.landmarks, "mediapipe478": LandmarkEmbedding(face_idx, bary)})


def mirrored_landmarks(model: HeadModel) -> Int[Tensor, "478"]:
    """For each of MediaPipe's points the one that takes its place in a mirror: the nearest to its mirror image on the
    model's mean head."""
    points = model.landmarks["mediapipe478"].points(model.v_template, model.faces).double().cpu().numpy()
    return torch.from_numpy(cKDTree(points).query(points * [-1, 1, 1])[1])


def transfer_landmarks(
    points: Float[Tensor, "L 3"],
    source_anchors: Float[Tensor, "A 3"],
    target_anchors: Float[Tensor, "A 3"],
    vertices: Float[Tensor, "V 3"],
    faces: Int[Tensor, "F 3"],
    allowed_faces: Int[Tensor, "N"] | None = None,
    smoothing: float | np.ndarray = 1e-3,
) -> LandmarkEmbedding:
    """Carry points of one head over to the mesh of another by landmarks that both have.

    A thin-plate spline with an affine part takes the source's anchors to the target's; each warped point is then
    projected to the closest triangle.

    Args:
        points: on the source head, any unit.
        source_anchors, target_anchors: the same places on both heads, at least 4 not in a plane.
        vertices, faces: the target mesh.
        allowed_faces: the faces a point may land on; all when None.
        smoothing: how far the spline may miss its anchors, 0 for not at all; per anchor, [A], or one for all.
    """
    source, target = (np.asarray(x.detach().cpu(), np.float64) for x in (source_anchors, target_anchors))
    centre, scale = source.mean(0), source.std()
    warp = RBFInterpolator((source - centre) / scale, target, smoothing=smoothing, kernel="thin_plate_spline")
    warped = warp((np.asarray(points.detach().cpu(), np.float64) - centre) / scale)
    return closest_on_mesh(torch.from_numpy(warped).to(vertices), vertices, faces, allowed_faces)


def closest_on_mesh(
    points: Float[Tensor, "L 3"],
    vertices: Float[Tensor, "V 3"],
    faces: Int[Tensor, "F 3"],
    allowed_faces: Int[Tensor, "N"] | None = None,
    candidates: int = 256,
) -> LandmarkEmbedding:
    """The closest point of a mesh to each point, among the `candidates` triangles whose centroids are nearest to it."""
    allowed = torch.arange(len(faces)) if allowed_faces is None else allowed_faces.cpu()
    corners = vertices.detach().cpu().double()[faces.cpu()[allowed]].numpy()
    queries = points.detach().cpu().double().numpy()
    _, near = cKDTree(corners.mean(1)).query(queries, k=min(candidates, len(allowed)))
    near = near.reshape(len(queries), -1)
    bary = _closest_bary(queries[:, None], corners[near])
    distance = np.linalg.norm((bary[..., None] * corners[near]).sum(-2) - queries[:, None], axis=-1)
    best = distance.argmin(1)
    row = np.arange(len(queries))
    face_idx = allowed[torch.from_numpy(near[row, best])]
    return LandmarkEmbedding(face_idx.to(faces), torch.from_numpy(bary[row, best]).to(vertices))


def _closest_bary(p: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Barycentrics of the point of each triangle [..., 3, 3] closest to p [..., 3]: the foot of the perpendicular where
    it falls inside, else the best of the closest points of the three edges."""
    a, b, c = (triangles[..., i, :] for i in range(3))
    u, v, w = b - a, c - a, p - a
    uu, uv, vv, wu, wv = ((x * y).sum(-1) for x, y in ((u, u), (u, v), (v, v), (w, u), (w, v)))
    det = np.maximum(uu * vv - uv * uv, 1e-30)
    s, t = (vv * wu - uv * wv) / det, (uu * wv - uv * wu) / det
    options = [np.stack([1 - s - t, s, t], -1)]
    for i, j in ((0, 1), (1, 2), (2, 0)):
        start, edge = triangles[..., i, :], triangles[..., j, :] - triangles[..., i, :]
        along = ((p - start) * edge).sum(-1) / np.maximum((edge * edge).sum(-1), 1e-30)
        along = np.clip(along, 0, 1)
        option = np.zeros_like(options[0])
        option[..., i], option[..., j] = 1 - along, along
        options.append(option)
    stacked = np.stack(options)
    distance = np.linalg.norm((stacked[..., None] * triangles).sum(-2) - p, axis=-1)
    distance[0][(options[0] < 0).any(-1)] = np.inf
    return np.take_along_axis(stacked, distance.argmin(0)[None, ..., None], 0)[0]


def _open_mouth(model: HeadModel) -> Float[Tensor, "V 3"]:
    jaw = model.v_template.new_tensor([[_OPEN_JAW_RAD, 0.0, 0.0]])
    return model.vertices(replace(HeadParams.zeros(model), jaw_pose=jaw))[0]


def _faces_within(model: HeadModel, region: str) -> Int[Tensor, "N"]:
    return torch.isin(model.faces, model.regions[region]).all(-1).nonzero()[:, 0]


def _faces_without(model: HeadModel, regions: tuple[str, ...]) -> Int[Tensor, "N"]:
    taboo = torch.cat([model.regions[name] for name in regions if name in model.regions])
    return (~torch.isin(model.faces, taboo).any(-1)).nonzero()[:, 0]
