"""Normals and edge topology of triangle meshes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from unseen.core.errors import NonFiniteError, ShapeError


@dataclass(frozen=True)
class MeshEdges:
    """Undirected edges of a mesh.

    Attributes:
        vertices: end points, lower id first, [E, 2].
        faces: the two faces that share the edge, -1 where there is only one, [E, 2].
        irregular: edges of one face, or of more than two (then `faces` holds two of them), [E].
    """

    vertices: Int[np.ndarray, "E 2"]
    faces: Int[np.ndarray, "E 2"]
    irregular: np.ndarray


def mesh_edges(faces: Int[Tensor, "F 3"]) -> MeshEdges:
    """Edges and their adjacent faces. Depends on topology only: compute once per mesh, not per frame."""
    f = faces.detach().cpu().numpy().astype(np.int64)
    halves = np.concatenate([f[:, [0, 1]], f[:, [1, 2]], f[:, [2, 0]]])
    owner = np.tile(np.arange(len(f)), 3)
    ends = np.sort(halves, axis=1)
    if not len(ends):
        return MeshEdges(np.zeros((0, 2), np.int64), np.zeros((0, 2), np.int64), np.zeros(0, bool))
    order = np.lexsort((owner, ends[:, 1], ends[:, 0]))
    ends, owner = ends[order], owner[order]
    first = np.concatenate([[True], (ends[1:] != ends[:-1]).any(1)])
    start = np.flatnonzero(first)
    count = np.diff(np.append(start, len(ends)))
    second = np.where(count > 1, owner[np.minimum(start + 1, len(owner) - 1)], -1)
    return MeshEdges(ends[start], np.stack([owner[start], second], 1), count != 2)


def face_normals(vertices: Float[Tensor, "*batch V 3"], faces: Int[Tensor, "F 3"]) -> Float[Tensor, "*batch F 3"]:
    """Normals with length twice the face area, pointing out of counter-clockwise faces. Differentiable."""
    a, b, c = vertices[..., faces.long(), :].unbind(-2)
    return torch.linalg.cross(b - a, c - a)


def vertex_normals(vertices: Float[Tensor, "*batch V 3"], faces: Int[Tensor, "F 3"]) -> Float[Tensor, "*batch V 3"]:
    """Unit normals, the area-weighted mean of the adjacent faces' normals; zero without faces. Differentiable."""
    per_face = face_normals(vertices, faces)
    total = torch.zeros_like(vertices)
    for corner in range(3):
        total = total.index_add(-2, faces[:, corner].long(), per_face)
    return normalize(total, dim=-1, eps=1e-20)


def check_mesh(vertices: Tensor, faces: Tensor, dims: int = 3) -> None:
    """ShapeError unless vertices are [V, dims] or [T, V, dims] and faces [F, 3] index them; NonFiniteError on NaN."""
    if vertices.ndim not in (2, 3) or vertices.shape[-1] != dims:
        raise ShapeError(f"vertices have shape {tuple(vertices.shape)}, expected [V, {dims}] or [T, V, {dims}]")
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.is_floating_point():
        raise ShapeError(f"faces have shape {tuple(faces.shape)} and dtype {faces.dtype}, expected integers [F, 3]")
    if len(faces) and (int(faces.min()) < 0 or int(faces.max()) >= vertices.shape[-2]):
        raise ShapeError(
            f"faces index vertices {int(faces.min())}..{int(faces.max())}, but there are {vertices.shape[-2]} vertices"
        )
    if not bool(torch.isfinite(vertices).all()):
        raise NonFiniteError("vertices hold NaN or infinity: check the parameters that produced them")
