"""Clothes: a layer over the torso of the head mesh, cut at a neckline, with collar, folds and a hem below the mesh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from unseen.synthetic.noise import fractal_noise

SUBDIVISIONS = 2
HEM_DROP_M, HEM_ROWS = 0.30, 6


@dataclass(frozen=True)
class GarmentStyle:
    """What is worn.

    Attributes:
        height: where the neckline lies at the sides, 0 at the root joint, 1 at the neck joint.
        front_drop_m: how much lower it lies in front; v_shape how pointed that is, 0 round to 1 V.
        thickness_m: of the cloth over the skin; collar_m extra thickness of the rib along the neckline.
        collar_width_m: of that rib.
        folds_m: amplitude of the folds.
        pattern: 0 plain, 1 stripes, 2 dots, 3 ribbed knit; size_m its period.
        colors: two linear RGB colours, [2, 3].
    """

    height: float
    front_drop_m: float
    v_shape: float
    thickness_m: float
    collar_m: float
    collar_width_m: float
    folds_m: float
    pattern: int
    size_m: float
    colors: tuple[tuple[float, float, float], tuple[float, float, float]]


@dataclass(frozen=True)
class Garment:
    """A garment fitted to one identity.

    Attributes:
        host: head face each vertex rides on, [G].
        bary: its place in that face, [G, 3].
        lift_m: its distance above the skin, [G].
        faces: [Q, 3], the last ones are the hem below the mesh.
        hem: unposed position of the hem's own vertices, which come after the others and follow the root joint, [M, 3].
        rest: unposed position of every vertex, for patterns, [G + M, 3].
        covered: head faces entirely under the cloth, [F] bool.
    """

    host: Int[np.ndarray, "G"]
    bary: Float[np.ndarray, "G 3"]
    lift_m: Float[np.ndarray, "G"]
    faces: Int[np.ndarray, "Q 3"]
    hem: Float[np.ndarray, "M 3"]
    rest: Float[np.ndarray, "N 3"]
    covered: np.ndarray


def tailor(
    style: GarmentStyle,
    template: Float[np.ndarray, "V 3"],
    identity: Float[np.ndarray, "V 3"],
    normals: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    joints: Float[np.ndarray, "5 3"],
    seed: int,
) -> Garment:
    """Fit a garment.

    Args:
        template: mean head, decides where the neckline runs.
        identity: unposed head of the subject; normals: its vertex normals.
        faces: of both.
        joints: of the mean head, root first, then neck.
        seed: of the folds.
    """
    depth = neckline_depth(style, template, joints)
    near = np.flatnonzero((depth[faces] > -0.004).any(1))
    host = np.repeat(near, 4**SUBDIVISIONS)
    corner_bary = _subdivided(len(near))
    corner_depth = (depth[faces[host]][:, None] * corner_bary).sum(2)
    host, corner_bary = _clipped(host, corner_bary, corner_depth)
    vertex_host, bary, triangles = _welded(host, corner_bary, faces)
    skin = (identity[faces[vertex_host]] * bary[..., None]).sum(1)
    below = np.maximum((depth[faces[vertex_host]] * bary).sum(1), 0.0)
    lift = _lift(style, skin, below, seed)
    normal = (normals[faces[vertex_host]] * bary[..., None]).sum(1)
    cloth = skin + lift[:, None] * normal
    hem, hem_faces = _hem(cloth, triangles, seed)
    return Garment(
        host=vertex_host,
        bary=bary,
        lift_m=lift,
        faces=np.concatenate([triangles, hem_faces]).astype(np.int32),
        hem=hem,
        rest=np.concatenate([cloth, hem]),
        covered=(depth[faces] > 0.02).all(1),
    )


def neckline_depth(
    style: GarmentStyle, template: Float[np.ndarray, "V 3"], joints: Float[np.ndarray, "5 3"]
) -> Float[np.ndarray, "V"]:
    """How far points of the template lie below the neckline in metres, negative above."""
    root, neck = joints[0], joints[1]
    d = template - neck
    front = np.cos(np.arctan2(d[:, 0], d[:, 2] + 0.02))
    round_drop = smooth_positive(front) ** 1.3
    v_drop = np.clip(1 - np.abs(template[:, 0]) / 0.075, 0, 1) * (front > 0)
    drop = style.front_drop_m * ((1 - style.v_shape) * round_drop + style.v_shape * v_drop)
    line = root[1] + style.height * (neck[1] - root[1]) - drop + 0.012 * np.clip(-front, 0, 1)
    return line - template[:, 1]


def smooth_positive(x: np.ndarray) -> np.ndarray:
    """max(x, 0) with a round knee."""
    return 0.5 * (x + np.sqrt(x * x + 0.05)) / (0.5 * (1 + np.sqrt(1.05)))


def posed(
    garment: Garment,
    vertices: Float[np.ndarray, "V 3"],
    normals: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    root_transform: Float[np.ndarray, "3 4"],
) -> Float[np.ndarray, "N 3"]:
    """World positions of the garment on a posed head."""
    corners = faces[garment.host]
    skin = (vertices[corners] * garment.bary[..., None]).sum(1)
    normal = (normals[corners] * garment.bary[..., None]).sum(1)
    hem = garment.hem @ root_transform[:, :3].T + root_transform[:, 3]
    return np.concatenate([skin + garment.lift_m[:, None] * normal, hem])


def _lift(style: GarmentStyle, skin: np.ndarray, below: np.ndarray, seed: int) -> np.ndarray:
    edge = np.clip(below / 0.0025, 0, 1) ** 0.5
    rib = 1 / (1 + np.exp((below - style.collar_width_m) / 0.0012))
    broad = fractal_noise(skin * [1.2, 0.5, 1.2], 11.0, 3, 0.5, seed)
    creases = 1 - 3 * np.abs(fractal_noise(skin * [1.0, 0.6, 1.0] + 3.0, 7.0, 2, 0.4, seed + 1))
    folds = style.folds_m * np.clip(below / 0.06, 0, 1) * (0.6 + broad + 0.5 * np.maximum(creases, 0) ** 2)
    return 0.0006 + edge * (style.thickness_m + style.collar_m * rib) + folds


def _subdivided(count: int) -> Float[np.ndarray, "N 3 3"]:
    """Barycentrics of the corners of 4^SUBDIVISIONS sub-triangles of `count` faces."""
    cells = np.eye(3)[None]
    for _ in range(SUBDIVISIONS):
        a, b, c = cells[:, 0], cells[:, 1], cells[:, 2]
        ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
        parts = [np.stack(t, 1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
        cells = np.stack(parts, 1).reshape(-1, 3, 3)
    return np.tile(cells, (count, 1, 1))


def _clipped(host: np.ndarray, bary: np.ndarray, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The parts of triangles (corner barycentrics [N, 3, 3]) where depth is positive, exactly cut."""
    inside = depth > 0
    count = inside.sum(1)
    hosts, triangles = [host[count == 3]], [bary[count == 3]]
    for wanted in (1, 2):
        pick = np.flatnonzero(count == wanted)
        odd = np.argmax(inside[pick] == (wanted == 1), axis=1)  # the corner alone on its side
        order = (odd[:, None] + np.arange(3)) % 3
        row = pick[:, None]
        b, d = bary[row, order], depth[row, order]
        cut = [b[:, 0] + (d[:, 0] / (d[:, 0] - d[:, k]))[:, None] * (b[:, k] - b[:, 0]) for k in (1, 2)]
        hosts.append(host[pick])
        if wanted == 1:
            triangles.append(np.stack([b[:, 0], cut[0], cut[1]], 1))
        else:
            triangles.append(np.stack([cut[0], b[:, 1], b[:, 2]], 1))
            hosts.append(host[pick])
            triangles.append(np.stack([cut[0], b[:, 2], cut[1]], 1))
    return np.concatenate(hosts), np.concatenate(triangles)


def _welded(host: np.ndarray, bary: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shared vertices of separate triangles: host face [G], barycentrics [G, 3] and faces [Q, 3].

    Points are the same when the same mesh vertices carry the same weights.
    """
    ids = np.repeat(faces[host][:, None], 3, 1).reshape(-1, 3)
    weights = np.round(bary.reshape(-1, 3) * 4096).astype(np.int64)
    ids = np.where(weights > 0, ids, -1)
    order = np.argsort(ids, 1, kind="stable")
    key = np.concatenate([np.take_along_axis(ids, order, 1), np.take_along_axis(weights, order, 1)], 1)
    _, first, inverse = np.unique(key, axis=0, return_index=True, return_inverse=True)
    triangles = inverse.reshape(-1, 3)
    solid = (triangles != np.roll(triangles, 1, 1)).all(1)
    return host[first // 3], bary.reshape(-1, 3)[first], triangles[solid]


def _hem(cloth: np.ndarray, triangles: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of vertices hanging from the open rim at the bottom, and their faces."""
    halves = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    packed = halves[:, 0] * len(cloth) + halves[:, 1]
    single = halves[~np.isin(packed, halves[:, 1] * len(cloth) + halves[:, 0])]
    if not len(single):
        return np.zeros((0, 3)), np.zeros((0, 3), np.int64)
    middle = cloth[single].mean(1)[:, 1]
    rim = single[middle < cloth[:, 1].min() + 0.5 * (np.median(cloth[:, 1]) - cloth[:, 1].min())]
    ids, local = np.unique(rim, return_inverse=True)
    local = local.reshape(-1, 2)
    top, centre = cloth[ids], cloth[ids].mean(0)
    rows, faces, above = [], [], ids
    for k in range(1, HEM_ROWS + 1):
        t = k / HEM_ROWS
        row = top + (top - centre) * [0.05 * t, 0, 0.10 * t]
        row[:, 1] = (1 - t) * top[:, 1] + t * (centre[1] - HEM_DROP_M) - 0.02 * t
        row += 0.004 * t * fractal_noise(row * [1, 0.4, 1], 16.0, 2, seed=seed)[:, None] * [1, 0, 1]
        below = len(cloth) + (k - 1) * len(ids) + np.arange(len(ids))
        a, b = local[:, 0], local[:, 1]
        faces += [np.stack([above[b], above[a], below[a]], 1), np.stack([above[b], below[a], below[b]], 1)]
        rows.append(row)
        above = below
    return np.concatenate(rows), np.concatenate(faces)
