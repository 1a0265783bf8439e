"""Attributes carried over rasterised meshes, with gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numba import njit, prange
from torch import Tensor
from torch.nn.functional import normalize

from unseen.core.camera import Camera
from unseen.core.errors import ShapeError
from unseen.render.mesh.geometry import face_normals, vertex_normals
from unseen.render.mesh.rasterize import MeshBuffers


def interpolate(
    buffers: MeshBuffers,
    attributes: Float[Tensor, "V D"] | Float[Tensor, "F 3 D"],
    bary: Float[Tensor, "H W 3"] | None = None,
) -> Float[Tensor, "H W D"]:
    """Attributes at every pixel of one frame; zero where there is no mesh.

    Differentiable with respect to `attributes` and, when given, to `bary` (see `barycentrics`).

    Args:
        buffers: one frame of `rasterize_mesh`.
        attributes: per vertex [V, D], or per face corner [F, 3, D] (UVs with seams, flat shading).
        bary: barycentrics to use in place of those of the buffers.

    Raises:
        ShapeError: batched buffers, or attributes of another mesh.
    """
    if buffers.face_ids.ndim != 2:
        raise ShapeError("interpolate takes one frame of buffers: use buffers.frame(t)")
    corners = len(buffers.faces)
    if attributes.ndim == 3 and attributes.shape[:2] != (corners, 3):
        raise ShapeError(f"per-corner attributes have shape {tuple(attributes.shape)}, expected [{corners}, 3, D]")
    if attributes.ndim not in (2, 3):
        raise ShapeError(f"attributes have shape {tuple(attributes.shape)}, expected [V, D] or [F, 3, D]")
    if attributes.ndim == 3:
        faces = torch.arange(3 * corners).reshape(corners, 3)
        attributes = attributes.flatten(0, 1)
    else:
        faces = buffers.faces.cpu()
    weights = buffers.bary.to(attributes.dtype) if bary is None else bary
    result: Tensor = _Interpolate.apply(attributes, weights, buffers.face_ids, faces)
    return result


class _Interpolate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, attributes: Tensor, bary: Tensor, face_ids: Tensor, faces: Tensor) -> Tensor:
        ctx.save_for_backward(attributes, bary, face_ids, faces)
        out = torch.zeros(*face_ids.shape, attributes.shape[1], dtype=attributes.dtype)
        values, weights, ids, corners = _arrays(attributes, bary, face_ids, faces)
        _gather(values, weights, ids, corners, out.numpy())
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        attributes, bary, face_ids, faces = ctx.saved_tensors
        values, weights, ids, corners = _arrays(attributes, bary, face_ids, faces)
        upstream = gradients[0].contiguous().numpy()
        d_attributes = d_bary = None
        if ctx.needs_input_grad[0]:
            d_attributes = torch.zeros_like(attributes, memory_format=torch.contiguous_format)
            _scatter(upstream, weights, ids, corners, d_attributes.numpy())
        if ctx.needs_input_grad[1]:
            d_bary = torch.zeros_like(bary, memory_format=torch.contiguous_format)
            _gather_bary(upstream, values, ids, corners, d_bary.numpy())
        return d_attributes, d_bary, None, None


def _arrays(*tensors: Tensor) -> tuple[np.ndarray, ...]:
    return tuple(t.detach().contiguous().numpy() for t in tensors)


@njit(cache=True, parallel=True)
def _gather(values, bary, ids, faces, out):
    for y in prange(ids.shape[0]):
        for x in range(ids.shape[1]):
            f = ids[y, x]
            if f >= 0:
                for corner in range(3):
                    vertex, weight = faces[f, corner], bary[y, x, corner]
                    for d in range(out.shape[2]):
                        out[y, x, d] += weight * values[vertex, d]


@njit(cache=True)
def _scatter(upstream, bary, ids, faces, d_values):  # one thread: the order of the sums is part of the result
    for y in range(ids.shape[0]):
        for x in range(ids.shape[1]):
            f = ids[y, x]
            if f >= 0:
                for corner in range(3):
                    vertex, weight = faces[f, corner], bary[y, x, corner]
                    for d in range(upstream.shape[2]):
                        d_values[vertex, d] += weight * upstream[y, x, d]


@njit(cache=True, parallel=True)
def _gather_bary(upstream, values, ids, faces, d_bary):
    for y in prange(ids.shape[0]):
        for x in range(ids.shape[1]):
            f = ids[y, x]
            if f >= 0:
                for corner in range(3):
                    vertex = faces[f, corner]
                    for d in range(upstream.shape[2]):
                        d_bary[y, x, corner] += upstream[y, x, d] * values[vertex, d]


def barycentrics(
    buffers: MeshBuffers, vertices_world: Float[Tensor, "V 3"], camera: Camera
) -> tuple[Float[Tensor, "H W 3"], Float[Tensor, "H W"]]:
    """Barycentrics and depth of one frame as differentiable functions of the vertices, face ids held fixed.

    The derivative is that of the hit point of each pixel's ray moving over its face: with `interpolate` it carries the
    gradient of an image to the shape and pose, away from occlusion edges (those are the silhouette's part).
    Barycentrics are zero and depth is infinite where there is no mesh.
    """
    mask = buffers.mask
    ids = buffers.face_ids[mask].long()
    w2c, k = camera.world_to_camera.to(vertices_world), camera.K.to(vertices_world)
    image = (vertices_world @ w2c[:3, :3].T + w2c[:3, 3]) @ k.T
    q0, q1, q2 = image[buffers.faces.long()[ids]].unbind(1)
    rows, columns = torch.nonzero(mask, as_tuple=True)
    ray = torch.stack([columns + 0.5, rows + 0.5, torch.ones(len(rows))], -1).to(image)
    edges = torch.stack([torch.linalg.cross(a, b) for a, b in ((q1, q2), (q2, q0), (q0, q1))], 1)
    e = (edges * ray[:, None]).sum(-1)
    total = e.sum(-1, keepdim=True)
    bary = torch.zeros(*mask.shape, 3, dtype=image.dtype).index_put((mask,), e / total)
    depth = torch.full(mask.shape, torch.inf, dtype=image.dtype)
    return bary, depth.index_put((mask,), (q0 * edges[:, 0]).sum(-1) / total[:, 0])


def normal_map(
    buffers: MeshBuffers,
    vertices_world: Float[Tensor, "V 3"],
    faces: Int[Tensor, "F 3"],
    *,
    camera: Camera | None = None,
    smooth: bool = True,
) -> Float[Tensor, "H W 3"]:
    """Unit normals at every pixel of one frame, zero where there is no mesh; differentiable.

    In the world frame, or in the OpenCV frame of `camera` when given. `smooth` interpolates vertex normals, otherwise
    each pixel carries its face's normal.
    """
    if smooth:
        normals = interpolate(buffers, vertex_normals(vertices_world, faces))
    else:
        normals = interpolate(buffers, face_normals(vertices_world, faces)[:, None].expand(-1, 3, -1))
    if camera is not None:
        normals = normals @ camera.world_to_camera[:3, :3].T.to(normals)
    return normalize(normals, dim=-1, eps=1e-20)
