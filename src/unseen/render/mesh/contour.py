"""Points on a mesh's occluding contour, for fitting outlines and contour landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.errors import ShapeError
from unseen.render.mesh.geometry import MeshEdges, check_mesh, mesh_edges
from unseen.render.mesh.outline import outline_candidates
from unseen.render.mesh.rasterize import MeshBuffers, rasterize_mesh
from unseen.render.mesh.visibility import visible_points


@dataclass(frozen=True)
class Contour:
    """N points on mesh edges where the surface turns away from the camera (or ends).

    Attributes:
        vertex_ids: end points of each point's edge, [N, 2] int64.
        weights: interpolation weights of the two, sum 1, [N, 2].
        points_px: projections, [N, 2].
        normals_px: unit 2D normals in the image, pointing away from the surface, [N, 2].
        lengths_px: length of outline that each point stands for, [N].
        outer: True where background lies just outside, False where the surface occludes itself, [N].
    """

    vertex_ids: Int[Tensor, "N 2"]
    weights: Float[Tensor, "N 2"]
    points_px: Float[Tensor, "N 2"]
    normals_px: Float[Tensor, "N 2"]
    lengths_px: Float[Tensor, "N"]
    outer: Bool[Tensor, "N"]

    def positions(self, vertices: Float[Tensor, "*T V 3"]) -> Float[Tensor, "*T N 3"]:
        """World positions of the points on (possibly moved) vertices; differentiable."""
        return (vertices[..., self.vertex_ids, :] * self.weights[..., None].to(vertices)).sum(-2)

    def select(self, index: Tensor) -> Contour:
        """The points at `index` (integers or a boolean mask)."""
        return Contour(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


def contour(
    vertices_world: Float[Tensor, "V 3"],
    faces: Int[Tensor, "F 3"],
    camera: Camera,
    *,
    edges: MeshEdges | None = None,
    buffers: MeshBuffers | None = None,
    spacing_px: float = 4.0,
    probe_px: float = 1.5,
) -> Contour:
    """Visible occluding contour of one frame as points on mesh edges, at most `spacing_px` apart.

    Edges between a front and a back face (and open edges) are cut into equal parts, each represented by its middle; a
    depth test drops hidden ones. `outer` is decided by looking `probe_px` outside the edge.

    Args:
        vertices_world: positions, [V, 3].
        faces: vertex ids, [F, 3].
        camera: the view.
        edges: `mesh_edges(faces)`, when already known.
        buffers: `rasterize_mesh` of the same frame, when already known.
        spacing_px, probe_px: see above, pixels.

    Raises:
        ShapeError, NonFiniteError: as for `rasterize_mesh`.
    """
    check_mesh(vertices_world, faces)
    if vertices_world.ndim != 2:
        raise ShapeError("contour takes the vertices of one frame, [V, 3]")
    vertices = vertices_world.detach()
    edges = mesh_edges(faces) if edges is None else edges
    buffers = rasterize_mesh(vertices, faces, camera) if buffers is None else buffers
    pixels, depths = camera.project(vertices)
    xy = pixels.double().cpu().numpy()
    f = faces.detach().cpu().numpy()
    chosen = outline_candidates(xy, (depths > 1e-4).cpu().numpy(), f, edges)
    ends, length, normal = _directed_edges(xy, f, edges, chosen)
    parts = np.maximum(1, np.ceil(np.minimum(length, 1e4) / spacing_px)).astype(np.int64)
    owner = np.repeat(np.arange(len(ends)), parts)
    rank = np.arange(len(owner)) - np.repeat(np.cumsum(parts) - parts, parts)
    second = (rank + 0.5) / parts[owner]
    ids = torch.from_numpy(ends[owner])
    weights = torch.from_numpy(np.stack([1 - second, second], 1)).to(vertices)
    normals = torch.from_numpy(normal[owner]).to(vertices)
    points = (vertices[ids] * weights[..., None]).sum(1)
    points_px = camera.project(points)[0]
    lengths = torch.from_numpy((length / parts)[owner]).to(vertices)
    outer = ~_covered(buffers, points_px + probe_px * normals)
    found = Contour(ids, weights, points_px, normals, lengths, outer)
    return found.select(visible_points(points, buffers, camera))


def _directed_edges(
    xy: np.ndarray, faces: np.ndarray, edges: MeshEdges, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """End points [N, 2], lengths in pixels [N] and outward unit normals [N, 2] of the chosen edges, degenerate ones
    left out. Outward is away from the third vertex of the first adjacent face: both faces lie on one side of a fold."""
    ends, face = edges.vertices[chosen], faces[edges.faces[chosen, 0]]
    third = face.sum(1) - ends.sum(1)
    along = xy[ends[:, 1]] - xy[ends[:, 0]]
    length = np.hypot(along[:, 0], along[:, 1])
    kept = length > 1e-9
    normal = np.stack([along[:, 1], -along[:, 0]], 1)[kept] / length[kept, None]
    inward = ((xy[third] - xy[ends[:, 0]])[kept] * normal).sum(1) > 0
    return ends[kept], length[kept], np.where(inward[:, None], -normal, normal)


def _covered(buffers: MeshBuffers, pixels: Float[Tensor, "N 2"]) -> Bool[Tensor, "N"]:
    """Whether the mesh covers the pixels nearest to given positions; False outside the image."""
    height, width = buffers.face_ids.shape
    x, y = pixels.floor().long().unbind(-1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return inside & buffers.mask[y.clamp(0, height - 1), x.clamp(0, width - 1)]
