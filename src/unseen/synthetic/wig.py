"""All the hair of a subject: on the scalp, brows, lashes and beard, fitted to one identity and posed with the head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from unseen.head.landmarks import MEDIAPIPE_REGIONS, closest_on_mesh
from unseen.head.model import HeadModel
from unseen.synthetic.features import FaceFeatures, smoothstep
from unseen.synthetic.noise import fractal_noise
from unseen.synthetic.strands import Obstacle, Strands, grow, sample_roots
from unseen.synthetic.subject import SyntheticSubject

HEAD, BROWS, LASHES, BEARD = range(4)
"""Groups of hair, the order of their colours."""


@dataclass(frozen=True)
class Wig:
    """Strands of one group.

    Attributes:
        group: HEAD, BROWS, LASHES or BEARD.
        strands: in the unposed identity.
        follow: share of the head's motion (the rest is the root joint's) of each point, [S, P]; None for hair that
            rides on the triangles it grows from.
    """

    group: int
    strands: Strands
    follow: Float[np.ndarray, "S P"] | None


def make_wigs(
    subject: SyntheticSubject,
    model: HeadModel,
    features: FaceFeatures,
    vertices: Float[np.ndarray, "V 3"],
    normals: Float[np.ndarray, "V 3"],
) -> list[Wig]:
    """Grow all hair of a subject on its unposed head."""
    rng = np.random.default_rng([subject.seed, 0x4A18])
    faces = model.faces.numpy()
    template = model.v_template.double().numpy()
    obstacle = Obstacle(*_outer_skin(model, vertices, normals))
    wigs = _scalp(subject, model, features, template, vertices, normals, obstacle, rng)
    body = _Body(template, vertices, normals, faces, obstacle)
    brows = _Fur(BROWS, features.brows, _brow_directions, int(700 * subject.brow_density), 0.007, 0.00055)
    wigs.append(_fur(brows, body, rng))
    wigs.append(_lashes(subject, model, features, template, vertices, normals, rng))
    if subject.beard > 0:
        count = int(9000 * subject.beard)
        beard = _Fur(BEARD, features.beard, _beard_directions, count, subject.beard_length_m, 0.00055)
        wigs.append(_fur(beard, body, rng))
    return [wig for wig in wigs if len(wig.strands)]


def posed_points(
    wig: Wig,
    rest: tuple[np.ndarray, np.ndarray],
    posed: tuple[np.ndarray, np.ndarray],
    faces: Int[np.ndarray, "F 3"],
    head_transform: Float[np.ndarray, "3 4"],
    root_transform: Float[np.ndarray, "3 4"],
) -> Float[np.ndarray, "S P 3"]:
    """World positions of the strands.

    Args:
        rest, posed: vertices and vertex normals of the unposed and the posed head, each [V, 3].
        faces: of the head, [F, 3].
        head_transform, root_transform: motion of the neck joint and of the root joint.
    """
    points = wig.strands.points
    if wig.follow is not None:
        head = points @ head_transform[:, :3].T + head_transform[:, 3]
        root = points @ root_transform[:, :3].T + root_transform[:, 3]
        return root + wig.follow[..., None] * (head - root)
    corners, bary = faces[wig.strands.faces], wig.strands.bary
    before, after = (_frames(vertices, corners, bary) for vertices, _ in (rest, posed))
    local = np.einsum("spc,sck->spk", points - before[0][:, None], before[1])
    return after[0][:, None] + np.einsum("spk,sck->spc", local, after[1])


def _frames(vertices: np.ndarray, corners: np.ndarray, bary: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Origins [S, 3] on triangles and orthonormal axes as columns [S, 3, 3]."""
    a, b, c = (vertices[corners[:, i]] for i in range(3))
    normal = _unit(np.cross(b - a, c - a))
    first = _unit(b - a)
    origin = (np.stack([a, b, c], 1) * bary[..., None]).sum(1)
    return origin, np.stack([first, np.cross(normal, first), normal], -1)


def _outer_skin(model: HeadModel, vertices: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    keep = np.ones(len(vertices), bool)
    for name in ("mouth_interior", "teeth", "left_eyeball", "right_eyeball", "left_ear", "right_ear"):
        keep[model.regions[name].numpy()] = False
    return vertices[keep], normals[keep]


def _scalp(
    subject: SyntheticSubject,
    model: HeadModel,
    features: FaceFeatures,
    template: np.ndarray,
    vertices: np.ndarray,
    normals: np.ndarray,
    obstacle: Obstacle,
    rng: np.random.Generator,
) -> list[Wig]:
    style, faces = subject.hair, model.faces.numpy()
    line = features.hairline(template, style.recede_m) + 0.005 * fractal_noise(template, 80.0, 2, seed=subject.seed)
    allowed = np.ones(len(template))
    for name in ("left_ear", "right_ear", "teeth", "left_eyeball", "right_eyeball", "mouth_interior"):
        allowed[model.regions[name].numpy()] = 0.0
    chin, base = float(features.marks[152, 1]), float(model.joint_template[0, 1])
    wigs = []
    for comb, lowest, share in style.zones:
        density = smoothstep(lowest - 0.002, lowest + 0.014, line) * allowed
        host, bary = sample_roots(vertices, faces, density, int(style.strands * share), rng)
        roots, up = _on(vertices, normals, faces, host, bary)
        points = grow(roots, up, comb, obstacle, style.points, rng, features.centre)
        clear = ~features.covers_face(points).any(1)
        points, host, bary = points[clear], host[clear], bary[clear]
        follow = smoothstep(base, chin, points[..., 1])
        shade = 1 + 0.2 * rng.normal(size=len(points))
        width = style.width_m * rng.uniform(0.7, 1.3, len(points))
        wigs.append(Wig(HEAD, Strands(points, width, host, bary, shade), follow))
    return wigs


def _on(
    vertices: np.ndarray, normals: np.ndarray, faces: np.ndarray, host: np.ndarray, bary: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    corners = faces[host]
    point = (vertices[corners] * bary[..., None]).sum(1)
    return point, _unit((normals[corners] * bary[..., None]).sum(1))


@dataclass(frozen=True)
class _Body:
    """The skin hair grows on: mean head, subject's vertices and normals, faces, and the obstacle they make."""

    template: np.ndarray
    vertices: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    obstacle: Obstacle


@dataclass(frozen=True)
class _Fur:
    """Short hair: where it grows (probability at template points), its direction and lift there, how much of it."""

    group: int
    where: Callable[[np.ndarray], np.ndarray]
    directions: Callable[[np.ndarray], tuple[np.ndarray, float]]
    count: int
    length_m: float
    width_m: float


def _fur(fur: _Fur, body: _Body, rng: np.random.Generator) -> Wig:
    """Short hair that lies along given directions and rides on the skin."""
    corners = fur.where(body.template)[body.faces]
    middle = fur.where(body.template[body.faces].mean(1))
    likely = np.zeros(len(body.template))
    np.maximum.at(likely, body.faces.ravel(), np.repeat(np.maximum(corners.max(1), middle), 3))
    host, bary = sample_roots(body.vertices, body.faces, likely, 6 * fur.count, rng)
    place, _ = _on(body.template, body.normals, body.faces, host, bary)
    kept = np.flatnonzero(rng.uniform(size=len(place)) < fur.where(place))
    kept = rng.permutation(kept)[: fur.count]
    host, bary, place = host[kept], bary[kept], place[kept]
    roots, up = _on(body.vertices, body.normals, body.faces, host, bary)
    flow, lift = fur.directions(place)
    flow = flow + 0.2 * rng.normal(size=flow.shape)
    along = _unit(flow - (flow * up).sum(1, keepdims=True) * up)
    length = (fur.length_m * rng.uniform(0.6, 1.2, len(roots)))[:, None]
    steps = (0.0, 0.33, 0.67, 1.0)
    points = np.stack(
        [roots + t * length * _unit(along * (1 - lift * (1 - t)) + lift * (1 - t) * up) for t in steps], 1
    )
    flat = body.obstacle.push_out(points.reshape(-1, 3), np.full(points.size // 3, 0.0004))
    width = fur.width_m * rng.uniform(0.7, 1.2, len(roots))
    return Wig(fur.group, Strands(flat.reshape(points.shape), width, host, bary, np.ones(len(roots))), None)


def _brow_directions(place: np.ndarray) -> tuple[np.ndarray, float]:
    """Upright at the inner end, then along the brow to the tail."""
    side, x = np.sign(place[:, 0]), np.abs(place[:, 0])
    inner = smoothstep(0.022, 0.008, x)
    return np.stack([side * (1.0 - 0.65 * inner), 0.25 + 1.0 * inner - 0.5 * smoothstep(0.03, 0.05, x), 0 * x], 1), 0.25


def _beard_directions(place: np.ndarray) -> tuple[np.ndarray, float]:
    return np.stack([0.35 * np.sign(place[:, 0]), np.full(len(place), -1.0), np.full(len(place), 0.1)], 1), 0.5


def _lashes(
    subject: SyntheticSubject,
    model: HeadModel,
    features: FaceFeatures,
    template: np.ndarray,
    vertices: np.ndarray,
    normals: np.ndarray,
    rng: np.random.Generator,
) -> Wig:
    """One row along each upper lid, longer outside, curved upward."""
    roots, outward = [], []
    for side, sign in (("left", 1.0), ("right", -1.0)):
        upper = features.marks[MEDIAPIPE_REGIONS[f"{side}_eye"][:9]]
        t = np.sort(rng.uniform(0.04, 0.92, 90))
        roots.append(np.stack([np.interp(t * 8, np.arange(9), upper[:, i]) for i in range(3)], 1))
        fan = np.stack([sign * (0.75 - 1.15 * t), 0.1 + 0 * t, 1 + 0 * t], 1)
        outward.append(_unit(fan + 0.1 * rng.normal(size=fan.shape)))
    root, fan = np.concatenate(roots), np.concatenate(outward)
    lids = torch.isin(model.faces, torch.cat([model.regions[f"{s}_upper_lid"] for s in ("left", "right")])).all(1)
    mark = closest_on_mesh(torch.from_numpy(root), torch.from_numpy(template), model.faces, torch.nonzero(lids)[:, 0])
    host, bary = mark.face_idx.numpy(), mark.bary.double().numpy()
    start, _ = _on(vertices, normals, model.faces.numpy(), host, bary)
    length = (subject.lashes_m * rng.uniform(0.6, 1.1, len(start)))[:, None]
    rise = np.array([0.0, 1.0, 0.0])
    points = np.stack(
        [start + t * length * fan + (0.75 * t * t - 0.12 * t) * length * rise for t in (0, 0.35, 0.7, 1)], 1
    )
    return Wig(LASHES, Strands(points, np.full(len(start), 0.00036), host, bary, np.ones(len(start))), None)


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)
