"""Antialiased coverage of a mesh whose gradient with respect to the vertices is the edge integral.

Coverage of a pixel is the area of the projected mesh inside it. Forward: 64 samples in each pixel that a contour edge
crosses, one elsewhere. Backward: moving the outline by dx changes a pixel's coverage by the integral of n . dx along
the part of the outline inside it (Reynolds' transport theorem; edge sampling, Li et al. 2018), summed in closed form
over the pieces into which the pixel grid cuts the edges (`outline.py`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numba import njit, prange
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.errors import ShapeError
from unseen.render.mesh.geometry import MeshEdges, check_mesh, mesh_edges
from unseen.render.mesh.outline import covers, edge_integral, outline_candidates
from unseen.render.mesh.rasterize import BAND_ROWS, bin_faces, setup_faces

FULL = np.uint64(0xFFFFFFFFFFFFFFFF)


def silhouette(
    vertices_px: Float[Tensor, "*T V 2"],
    depths: Float[Tensor, "*T V"],
    faces: Int[Tensor, "F 3"],
    height: int,
    width: int,
    *,
    edges: MeshEdges | None = None,
    near_plane: float = 0.01,
) -> Float[Tensor, "*T H W"]:
    """Coverage in [0, 1] of every pixel by the mesh, differentiable with respect to `vertices_px`.

    Args:
        vertices_px: projected vertices in pixels, centres at +0.5, [V, 2] or [T, V, 2].
        depths: camera-frame z; faces with a vertex nearer than `near_plane` are left out, [V] or [T, V].
        faces: vertex ids, [F, 3].
        height, width: image size.
        edges: `mesh_edges(faces)`, when already known.

    Raises:
        ShapeError, NonFiniteError: as for `rasterize_mesh`.
    """
    check_mesh(vertices_px, faces, dims=2)
    if depths.shape != vertices_px.shape[:-1]:
        raise ShapeError(f"depths have shape {tuple(depths.shape)}, expected {tuple(vertices_px.shape[:-1])}")
    topology = mesh_edges(faces) if edges is None else edges
    batched = vertices_px if vertices_px.ndim == 3 else vertices_px[None]
    in_front = (depths.detach() >= near_plane).reshape(batched.shape[:2]).cpu().numpy()
    f = faces.detach().cpu().numpy().astype(np.int32)
    kept = [f[ok[f].all(1)] if len(f) else f for ok in in_front]
    coverage: Tensor = _Silhouette.apply(batched, in_front, kept, f, topology, height, width)
    return coverage if vertices_px.ndim == 3 else coverage[0]


def mesh_silhouette(
    vertices_world: Float[Tensor, "*T V 3"], faces: Int[Tensor, "F 3"], camera: Camera, edges: MeshEdges | None = None
) -> Float[Tensor, "*T H W"]:
    """`silhouette` of world vertices seen by `camera`, differentiable with respect to the vertices."""
    pixels, depths = camera.project(vertices_world)
    behind = (depths < 1e-6)[..., None]
    return silhouette(torch.where(behind, 0.0, pixels), depths, faces, camera.height, camera.width, edges=edges)


class _Silhouette(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        pixels: Tensor,
        in_front: np.ndarray,
        kept: list[np.ndarray],
        faces: np.ndarray,
        edges: MeshEdges,
        height: int,
        width: int,
    ) -> Tensor:
        points = pixels.detach().cpu().double().contiguous().numpy()
        ctx.points, ctx.frames, out = points, [], []
        for xy, ok, drawn in zip(points, in_front, kept, strict=True):
            segments = edges.vertices[outline_candidates(xy, ok, faces, edges)]
            bits = sample_bits(xy, drawn, segments, height, width)
            ctx.frames.append((segments, drawn))
            out.append(_popcount(bits))
        ctx.save_for_backward(pixels)
        return torch.from_numpy(np.stack(out)).to(pixels)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (pixels,) = ctx.saved_tensors
        upstream = gradients[0].detach().cpu().double().contiguous().numpy()
        out = np.zeros_like(ctx.points)
        for xy, (segments, drawn), weight, gradient in zip(ctx.points, ctx.frames, upstream, out, strict=True):
            edge_integral(xy, drawn, segments, weight, gradient)
        return (torch.from_numpy(out).to(pixels), None, None, None, None, None, None)


def sample_bits(xy: np.ndarray, faces: np.ndarray, segments: np.ndarray, height: int, width: int) -> np.ndarray:
    """64 coverage samples per pixel as bits of a uint64, [H, W]. Sample (i, j) of the 8 x 8 cells is bit 8 j + i."""
    bits = np.zeros((height, width), np.uint64)
    if len(faces):
        crossed = np.zeros((height, width), np.bool_)
        _mark(xy, segments, crossed)
        q = np.concatenate([xy, np.ones((len(xy), 1))], 1)
        normals, _, box = setup_faces(q, faces, height, width, 0.0, False, 0.5)
        start, items = bin_faces(box, (height + BAND_ROWS - 1) // BAND_ROWS)
        _fill_bits(normals, box, start, items, crossed, bits)
    return bits


@njit(cache=True)
def _mark(xy, segments, crossed):
    """Flag every pixel an edge passes through, with a little slack."""
    height, width = crossed.shape
    slack = 1e-3
    for s in range(len(segments)):
        ax, ay = xy[segments[s, 0]]
        bx, by = xy[segments[s, 1]]
        if ay > by:
            ax, ay, bx, by = bx, by, ax, ay
        for row in range(
            max(0, math.floor(max(ay - slack, -1.0))), min(height - 1.0, math.floor(min(by + slack, height + 0.0))) + 1
        ):
            t0 = min(1.0, max(0.0, (row - slack - ay) / (by - ay))) if by > ay else 0.0
            t1 = min(1.0, max(0.0, (row + 1 + slack - ay) / (by - ay))) if by > ay else 1.0
            x0, x1 = ax + t0 * (bx - ax), ax + t1 * (bx - ax)
            if x0 > x1:
                x0, x1 = x1, x0
            first = math.floor(max(0.0, x0 - slack))
            last = math.floor(min(width - 1.0, x1 + slack))
            for column in range(first, last + 1):
                crossed[row, column] = True


@njit(cache=True, inline="always")
def _sample_offset(i, j):
    """Position of sample (i, j) in its pixel along the axis of i: all 64 samples differ in x and in y."""
    return (i + (j + 0.5) / 8.0) / 8.0


@njit(cache=True, parallel=True)
def _fill_bits(normals, box, start, items, crossed, bits):
    height = bits.shape[0]
    for band in prange(len(start) - 1):
        top, bottom = band * BAND_ROWS, min((band + 1) * BAND_ROWS, height)
        for item in range(start[band], start[band + 1]):
            f = items[item]
            for iy in range(max(top, box[f, 2]), min(bottom, box[f, 3])):
                for ix in range(box[f, 0], box[f, 1]):
                    if bits[iy, ix] != FULL:
                        if crossed[iy, ix]:
                            bits[iy, ix] |= _samples_inside(normals[f], ix, iy)
                        elif covers(normals[f], ix + 0.5, iy + 0.5):
                            bits[iy, ix] = FULL


@njit(cache=True)
def _samples_inside(n, ix, iy):
    surely = True
    for k in range(3):
        middle = n[k, 0] * (ix + 0.5) + n[k, 1] * (iy + 0.5) + n[k, 2]
        spread = 0.5 * (abs(n[k, 0]) + abs(n[k, 1]))
        if middle < -spread:
            return np.uint64(0)
        surely = surely and middle > spread
    if surely:
        return FULL
    found = np.uint64(0)
    for j in range(8):
        for i in range(8):
            if covers(n, ix + _sample_offset(i, j), iy + _sample_offset(j, i)):
                found |= np.uint64(1) << np.uint64(8 * j + i)
    return found


@njit(cache=True)
def _popcount(bits):
    out = np.zeros(bits.shape)
    for y in range(bits.shape[0]):
        for x in range(bits.shape[1]):
            rest = bits[y, x]
            if rest == FULL:
                out[y, x] = 1.0
                continue
            count = 0
            while rest:
                rest &= rest - np.uint64(1)
                count += 1
            out[y, x] = count / 64.0
    return out
