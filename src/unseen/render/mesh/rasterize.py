"""Z-buffer rasterisation of triangle meshes by homogeneous edge functions, compiled with numba."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numba import njit, prange
from torch import Tensor

from unseen.core.camera import Camera
from unseen.render.mesh.geometry import check_mesh

CENTRE_PAD = 1e-6  # pixels; rounding of the projected bounds must not lose a centre on an edge
BAND_ROWS = 8  # image rows owned by one iteration of the parallel loop


@dataclass(frozen=True)
class MeshBuffers:
    """What each pixel centre sees of a mesh. All tensors carry a leading [T] when the vertices did.

    Attributes:
        face_ids: index of the nearest face, -1 where there is none, [H, W] int32.
        bary: perspective-correct barycentrics of the hit point, sum 1; zeros where there is none, [H, W, 3].
        depth: camera-frame z of the hit point, infinity where there is none, [H, W].
        faces: the faces that were drawn, [F, 3].
    """

    face_ids: Int[Tensor, "*T H W"]
    bary: Float[Tensor, "*T H W 3"]
    depth: Float[Tensor, "*T H W"]
    faces: Int[Tensor, "F 3"]

    @property
    def mask(self) -> Tensor:
        """True where the mesh covers the pixel centre, [H, W]."""
        return self.face_ids >= 0

    def frame(self, index: int) -> MeshBuffers:
        """One frame of batched buffers."""
        return MeshBuffers(self.face_ids[index], self.bary[index], self.depth[index], self.faces)


def rasterize_mesh(
    vertices_world: Float[Tensor, "*T V 3"],
    faces: Int[Tensor, "F 3"],
    camera: Camera,
    *,
    near_plane: float = 0.01,
    cull_back_faces: bool = False,
) -> MeshBuffers:
    """Nearest face, barycentrics and depth at every pixel centre.

    Uses homogeneous edge functions (Olano and Greer 1997): for image vertices q_i = K p_i and the pixel ray
    d = (x, y, 1) the numbers e_i = d . (q_j x q_k) are proportional to the perspective-correct barycentrics, and depth
    is det[q] / sum(e). No clipping is needed: faces that cross the near plane are cut per pixel. Pixels exactly on a
    shared edge belong to one face only. Equal depths go to the lower face id.

    Args:
        vertices_world: positions, [V, 3] or [T, V, 3].
        faces: vertex ids, counter-clockwise from outside, [F, 3].
        camera: pinhole camera; its width and height size the result.
        near_plane: smallest depth drawn, in world units.
        cull_back_faces: leave out faces seen from inside.

    Raises:
        ShapeError: wrong shapes or vertex ids out of range.
        NonFiniteError: a vertex is NaN or infinite.
    """
    check_mesh(vertices_world, faces)
    image = homogeneous_vertices(vertices_world, camera)
    f = faces.detach().cpu().numpy().astype(np.int32)
    frames = [draw(q, f, camera.height, camera.width, near_plane, cull_back_faces) for q in image]
    ids, bary, depth = (torch.from_numpy(np.stack(part)) for part in zip(*frames, strict=True))
    buffers = MeshBuffers(ids, bary, depth, faces)
    return buffers if vertices_world.ndim == 3 else buffers.frame(0)


def homogeneous_vertices(vertices_world: Tensor, camera: Camera) -> np.ndarray:
    """K (R v + t) in float64, [T, V, 3]: pixels times depth, and depth."""
    view, k = camera.world_to_camera.double(), camera.K.double()
    local = vertices_world.detach().cpu().double() @ view[:3, :3].T + view[:3, 3]
    return np.ascontiguousarray((local @ k.T if local.ndim == 3 else (local @ k.T)[None]).numpy())


def draw(
    q: np.ndarray, faces: np.ndarray, height: int, width: int, near: float, cull: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Face ids, barycentrics and depth of one frame of homogeneous image vertices `q` [V, 3]."""
    ids = np.full((height, width), -1, np.int32)
    bary = np.zeros((height, width, 3), np.float32)
    depth = np.full((height, width), np.inf, np.float32)
    if len(faces):
        normals, det, box = setup_faces(q, faces, height, width, near, cull, CENTRE_PAD)
        start, items = bin_faces(box, (height + BAND_ROWS - 1) // BAND_ROWS)
        _fill(normals, det, box, start, items, near, ids, bary, depth)
    return ids, bary, depth


@njit(cache=True, inline="always")
def inside(e: float, nx: float, ny: float, nz: float) -> bool:
    """Edge test; a point exactly on the edge belongs to the side whose normal is lexicographically positive."""
    return e > 0.0 or (e == 0.0 and (nx > 0.0 or (nx == 0.0 and (ny > 0.0 or (ny == 0.0 and nz > 0.0)))))


@njit(cache=True, inline="always")
def _grow(box, x, y):
    box[0] = min(box[0], x)
    box[1] = max(box[1], x)
    box[2] = min(box[2], y)
    box[3] = max(box[3], y)


@njit(cache=True)
def _image_bounds(q, near, bounds):
    """Bounds in pixels of the part of triangle `q` in front of the near plane; False when there is none."""
    bounds[0], bounds[1], bounds[2], bounds[3] = np.inf, -np.inf, np.inf, -np.inf
    for i in range(3):
        j = (i + 1) % 3
        if q[i, 2] >= near:
            _grow(bounds, q[i, 0] / q[i, 2], q[i, 1] / q[i, 2])
        if (q[i, 2] >= near) != (q[j, 2] >= near):
            t = (near - q[i, 2]) / (q[j, 2] - q[i, 2])
            _grow(bounds, (q[i, 0] + t * (q[j, 0] - q[i, 0])) / near, (q[i, 1] + t * (q[j, 1] - q[i, 1])) / near)
    return bounds[0] <= bounds[1]


@njit(cache=True, parallel=True)
def setup_faces(q, faces, height, width, near, cull, pad):
    """Edge normals [F, 3, 3] signed so that the inside is positive, |det| [F], and pixel boxes [F, 4] (x0, x1, y0, y1;
    exclusive ends). A box holds the pixels whose centre is within `pad` of the face's bounds: 0.5 means any overlap."""
    count = len(faces)
    normals = np.empty((count, 3, 3))
    det = np.zeros(count)
    box = np.zeros((count, 4), np.int32)
    for f in prange(count):
        corner = np.empty((3, 3))
        bounds = np.empty(4)
        for i in range(3):
            for k in range(3):
                corner[i, k] = q[faces[f, i], k]
        for i in range(3):
            a = (i + 1) % 3
            b = (i + 2) % 3
            for k in range(3):
                k1 = (k + 1) % 3
                k2 = (k + 2) % 3
                normals[f, i, k] = corner[a, k1] * corner[b, k2] - corner[a, k2] * corner[b, k1]
        volume = 0.0
        for k in range(3):
            volume += corner[0, k] * normals[f, 0, k]
        if volume == 0.0 or (cull and volume > 0.0) or not _image_bounds(corner, near, bounds):
            continue
        det[f] = abs(volume)
        if volume < 0.0:
            for i in range(3):
                for k in range(3):
                    normals[f, i, k] = -normals[f, i, k]
        box[f, 0] = math.ceil(max(0.0, min(width, bounds[0] - 0.5 - pad)))
        box[f, 1] = math.floor(max(-1.0, min(width - 1.0, bounds[1] - 0.5 + pad))) + 1
        box[f, 2] = math.ceil(max(0.0, min(height, bounds[2] - 0.5 - pad)))
        box[f, 3] = math.floor(max(-1.0, min(height - 1.0, bounds[3] - 0.5 + pad))) + 1
    return normals, det, box


@njit(cache=True)
def bin_faces(box, bands):
    """Faces of each band of rows, ascending: `items[start[b]:start[b + 1]]`."""
    start = np.zeros(bands + 1, np.int64)
    for f in range(len(box)):
        if box[f, 0] < box[f, 1] and box[f, 2] < box[f, 3]:
            for b in range(box[f, 2] // BAND_ROWS, (box[f, 3] - 1) // BAND_ROWS + 1):
                start[b + 1] += 1
    for b in range(bands):
        start[b + 1] += start[b]
    items = np.empty(start[bands], np.int32)
    cursor = start[:-1].copy()
    for f in range(len(box)):
        if box[f, 0] < box[f, 1] and box[f, 2] < box[f, 3]:
            for b in range(box[f, 2] // BAND_ROWS, (box[f, 3] - 1) // BAND_ROWS + 1):
                items[cursor[b]] = f
                cursor[b] += 1
    return start, items


@njit(cache=True, parallel=True)
def _fill(normals, det, box, start, items, near, ids, bary, depth):
    height = ids.shape[0]
    for band in prange(len(start) - 1):
        top, bottom = band * BAND_ROWS, min((band + 1) * BAND_ROWS, height)
        for item in range(start[band], start[band + 1]):
            f = items[item]
            a0, b0, c0 = normals[f, 0, 0], normals[f, 0, 1], normals[f, 0, 2]
            a1, b1, c1 = normals[f, 1, 0], normals[f, 1, 1], normals[f, 1, 2]
            a2, b2, c2 = normals[f, 2, 0], normals[f, 2, 1], normals[f, 2, 2]
            for iy in range(max(top, box[f, 2]), min(bottom, box[f, 3])):
                y = iy + 0.5
                for ix in range(box[f, 0], box[f, 1]):
                    x = ix + 0.5
                    e0 = a0 * x + b0 * y + c0
                    e1 = a1 * x + b1 * y + c1
                    e2 = a2 * x + b2 * y + c2
                    if not (inside(e0, a0, b0, c0) and inside(e1, a1, b1, c1) and inside(e2, a2, b2, c2)):
                        continue
                    total = e0 + e1 + e2
                    if total <= 0.0:
                        continue
                    z = np.float32(det[f] / total)
                    if z >= near and z < depth[iy, ix]:
                        depth[iy, ix] = z
                        ids[iy, ix] = f
                        bary[iy, ix, 0] = e0 / total
                        bary[iy, ix, 1] = e1 / total
                        bary[iy, ix, 2] = e2 / total
