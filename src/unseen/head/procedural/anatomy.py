"""The assembled procedural head before it becomes a model: where everything is, and what belongs to what."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from unseen.head.procedural import parts, topology

LIP_LINE = 6  # ring of the mouth where the lips meet
VERMILION = 3  # ring of the mouth along the border of the lips
LID_RIM = 7  # ring of the eye along the outer edge of the lids
CORNER = 12  # position of the mouth's corner along its rings
PARTS = ("skin", "left_eyeball", "right_eyeball", "upper_teeth", "lower_teeth")


@dataclass(frozen=True)
class Anatomy:
    """Vertices (millimetres) and faces of skin, eyeballs and teeth, in this order.

    Attributes:
        vertices: [V, 3], millimetres, mirror-symmetric.
        quads: [Q, 4]; a triangle repeats its last index.
        mirror: mirror image of each vertex, [V].
        spans: first and last + 1 vertex of each of PARTS.
        skin: connectivity of the skin.
        pieces: the components after the skin, as made; the right eyeball's is the left one's.
    """

    vertices: np.ndarray
    quads: np.ndarray
    mirror: np.ndarray
    spans: dict[str, tuple[int, int]]
    skin: topology.Skin
    pieces: tuple[parts.Part, ...]

    def part(self, name: str) -> np.ndarray:
        """Vertex indices of one of PARTS."""
        return np.arange(*self.spans[name])

    def both_sides(self, ids: np.ndarray) -> np.ndarray:
        """These vertices of the left half and their mirror images, sorted."""
        ids = np.ravel(ids)
        return np.unique(np.concatenate([ids, self.mirror[ids]]))

    @cached_property
    def triangles(self) -> np.ndarray:
        """Counter-clockwise seen from outside, [F, 3]; the skin's come first."""
        rest = self.quads[len(self.skin.quads) :]
        split = np.stack([rest[:, [0, 1, 2]], rest[:, [0, 2, 3]]], 1).reshape(-1, 3)
        keep = (split[:, 1] != split[:, 2]) & (split[:, 0] != split[:, 2]) & (split[:, 0] != split[:, 1])
        return np.concatenate([self.skin.triangles(), split[keep]])

    @cached_property
    def normals(self) -> np.ndarray:
        """Unit normals of the vertices, [V, 3]."""
        corners = self.vertices[self.triangles]
        face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals = np.zeros_like(self.vertices)
        for k in range(3):
            np.add.at(normals, self.triangles[:, k], face)
        return normals / np.linalg.norm(normals, axis=1, keepdims=True)

    @cached_property
    def laplacian(self) -> sp.csr_matrix:
        """Umbrella operator of the skin: a vertex minus the mean of its neighbours, [V_skin, V_skin]."""
        return umbrella(self.skin)

    def harmonic(self, ones: np.ndarray, zeros: np.ndarray) -> np.ndarray:
        """Smoothest transition over the skin between vertices at one and vertices at zero, within [0, 1], [V_skin]."""
        n = self.laplacian.shape[0]
        value = np.zeros(n)
        value[ones] = 1.0
        fixed = np.zeros(n, bool)
        fixed[ones] = fixed[zeros] = True
        free = ~fixed
        system = self.laplacian[free]
        value[free] = splu(system[:, free].tocsc()).solve(-system[:, fixed] @ value[fixed])
        return value


def umbrella(skin: topology.Skin) -> sp.csr_matrix:
    """Umbrella operator of the skin's quads; along open rims only neighbours on the rim count, [V, V]."""
    count = len(skin.mirror)
    sides = np.concatenate([skin.quads[:, [k, (k + 1) % 4]] for k in range(4)])
    edges, uses = np.unique(np.sort(sides, 1), axis=0, return_counts=True)
    rim_edges = edges[uses == 1]
    rim = np.zeros(count, bool)
    rim[rim_edges] = True
    both = np.concatenate([edges, edges[:, ::-1]])
    both_rim = np.concatenate([rim_edges, rim_edges[:, ::-1]])
    pairs = np.concatenate([both[~rim[both[:, 0]]], both_rim])
    adjacency = sp.coo_matrix((np.ones(len(pairs)), pairs.T), (count, count)).tocsr()
    degree = np.asarray(adjacency.sum(1)).ravel()
    return (sp.eye(count) - sp.diags(1.0 / degree) @ adjacency).tocsr()


def assemble(skin: topology.Skin, vertices: np.ndarray, eye_center: np.ndarray, bites: np.ndarray) -> Anatomy:
    """Join the skin with eyeballs and teeth.

    Args:
        skin: connectivity.
        vertices: its vertices, [V, 3], millimetres.
        eye_center: centre of the left eyeball.
        bites: edge of the upper and the lower incisors on the midline, [2, 3].
    """
    left = parts.eyeball(eye_center)
    upper, lower = parts.teeth(True, bites[0]), parts.teeth(False, bites[1], 25.0)
    right_vertices = (left.vertices * [-1.0, 1.0, 1.0])[left.mirror]
    pieces = [
        (vertices, skin.quads),
        (left.vertices, left.quads),
        (right_vertices, left.quads),
        (upper.vertices, upper.quads),
        (lower.vertices, lower.quads),
    ]
    starts = np.concatenate([[0], np.cumsum([len(v) for v, _ in pieces])])
    spans = {name: (int(a), int(b)) for name, a, b in zip(PARTS, starts[:-1], starts[1:], strict=True)}
    mirror = [
        skin.mirror,
        left.mirror + starts[2],
        left.mirror + starts[1],
        upper.mirror + starts[3],
        lower.mirror + starts[4],
    ]
    return Anatomy(
        vertices=np.concatenate([v for v, _ in pieces]),
        quads=np.concatenate([q + start for (_, q), start in zip(pieces, starts[:-1], strict=True)]),
        mirror=np.concatenate(mirror),
        spans=spans,
        skin=skin,
        pieces=(left, left, upper, lower),
    )
