"""Silhouettes: the model's occluding contour is drawn to the outline of the matte, and the outline to the contour."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.spatial import cKDTree
from torch import Tensor

from unseen.head.model import HeadModel
from unseen.head.tracking.landmark_fit import LandmarkTerm
from unseen.head.tracking.observations import Observations
from unseen.head.tracking.priors import motion_energy, prior_energy
from unseen.head.tracking.smooth_field import SmoothField
from unseen.head.tracking.state import Progress, TrackConfig, Unknowns, minimise
from unseen.render.mesh import contour, mesh_edges

CONTOUR_SIGMA = 0.02
"""Expected distance between contour and outline, in inter-ocular distances."""

EFFECTIVE_POINTS = 60.0
"""How many independent points one outline is worth."""

REACH = 0.6
"""An outline pixel looks for the contour this far away, in inter-ocular distances."""

OFFSET_SIGMA_M = {"default": 0.012, "torso": 0.04, "face": 0.002, "left_ear": 0.003, "right_ear": 0.003}
"""Expected size of the per-vertex offset by region, metres."""

PINNED_REGIONS = ("left_eyeball", "right_eyeball", "teeth", "mouth_interior")


@dataclass(frozen=True)
class Outline:
    """One frame's matte: points on its boundary with outward normals."""

    points: Float[np.ndarray, "P 2"]
    normals: Float[np.ndarray, "P 2"]


@dataclass(frozen=True)
class Matches:
    """Contour points of one round, as weighted vertex pairs, and what draws them. All tensors run over M matches."""

    frame: Int[Tensor, "M"]
    pair: Int[Tensor, "M 2"]
    weights: Float[Tensor, "M 2"]
    target: Float[Tensor, "M 2"]
    normal: Float[Tensor, "M 2"]
    scale: Float[Tensor, "M"]

    def select(self, index: Tensor) -> Matches:
        """The matches at `index`."""
        return Matches(*(getattr(self, f.name)[index] for f in fields(self)))


def outline_of(alpha: np.ndarray, spacing: int = 3) -> Outline:
    """Outline of a matte [H, W]; what touches the image's border is a cut, not an outline, and is left out."""
    inside = alpha > 127
    distance = np.where(inside, 0.5 - distance_transform_edt(inside), distance_transform_edt(~inside) - 0.5)
    smooth = gaussian_filter(distance, 1.5)
    gy, gx = np.gradient(smooth)
    edge = np.abs(distance) < 1
    border = 4
    edge[:border], edge[-border:], edge[:, :border], edge[:, -border:] = False, False, False, False
    y, x = np.nonzero(edge)
    y, x = y[::spacing], x[::spacing]
    normals = np.stack([gx[y, x], gy[y, x]], -1)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-6)
    points = np.stack([x + 0.5, y + 0.5], -1) - distance[y, x, None] * normals
    return Outline(points, normals)


class ContourTerm:
    """Point-to-line distances between the contour of the posed model and the mattes of some frames."""

    def __init__(self, model: HeadModel, observations: Observations, frames: np.ndarray) -> None:
        self.model, self.frames, self.size = model, frames, observations.size
        self.outlines = [outline_of(observations.alphas[t]) for t in frames]
        self.scale = observations.interocular_px[frames]
        self.edges = mesh_edges(model.faces)

    def rematch(self, u: Unknowns) -> None:
        """Find the contour of the present fit and pair it with the outlines."""
        with torch.no_grad():
            vertices = self.model.vertices(u.params(torch.from_numpy(self.frames)))
        camera = u.camera()
        parts = [self._match(k, vertices[k], camera) for k in range(len(self.frames))]
        self.matches = Matches(*[torch.cat(column) for column in zip(*parts, strict=True)])
        self.vertex_ids, inverse = self.matches.pair.unique(return_inverse=True)
        self.part = self.model.subset(self.vertex_ids)
        self.local_pair = inverse

    def _match(self, k: int, vertices: Tensor, camera) -> tuple[Tensor, ...]:
        found = contour(vertices, self.model.faces, camera, edges=self.edges)
        found = found.select(found.outer)
        points, normals = found.points_px.numpy(), found.normals_px.numpy()
        outline, reach = self.outlines[k], REACH * self.scale[k]
        h, w = self.size
        inside = (points[:, 0] > 4) & (points[:, 0] < w - 4) & (points[:, 1] > 4) & (points[:, 1] < h - 4)
        own, goal = _closest(points, normals, outline.points, outline.normals, reach)
        keep = inside[own]
        own, goal = own[keep], goal[keep]
        back, seen = _closest(outline.points, outline.normals, points, normals, reach)
        rows = np.concatenate([own, seen])
        target = np.concatenate([goal, back])
        return (
            torch.full((len(rows),), k),
            found.vertex_ids[rows],
            found.weights[rows],
            torch.from_numpy(outline.points[target]).float(),
            torch.from_numpy(outline.normals[target]).float(),
            torch.full((len(rows),), float(self.scale[k]) * CONTOUR_SIGMA),
        )

    def __call__(self, u: Unknowns, rows: Int[Tensor, "B"] | None = None) -> Float[Tensor, ""]:
        """Mean energy of one frame: of all frames of the term, or of those at `rows` of its list."""
        m, pair = self.matches, self.local_pair
        frames = torch.from_numpy(self.frames)
        place = torch.arange(len(frames))
        if rows is not None:
            place = torch.full((len(frames),), -1)
            place[rows] = torch.arange(len(rows))
            chosen = place[m.frame] >= 0
            m, pair, frames = m.select(chosen), pair[chosen], frames[rows]
        vertices = self.part.vertices(u.params(frames))
        ends = vertices[place[m.frame][:, None], pair]
        points = u.project((ends * m.weights[..., None]).sum(-2))
        squared = (((points - m.target) * m.normal).sum(-1) / m.scale).square()
        return EFFECTIVE_POINTS * 0.5 * (2 * 3 * ((squared + 9).sqrt() - 3)).mean()


def _closest(
    points: np.ndarray, normals: np.ndarray, others: np.ndarray, other_normals: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (i, j): for each point the nearest other within reach among those whose normal agrees."""
    if not len(points) or not len(others):
        return np.zeros(0, int), np.zeros(0, int)
    distance, index = cKDTree(others).query(points, k=min(12, len(others)), distance_upper_bound=reach)
    index = index.reshape(len(points), -1)
    valid = np.isfinite(distance.reshape(len(points), -1))
    agrees = (normals[:, None] * other_normals[np.minimum(index, len(others) - 1)]).sum(-1) > 0.5
    ok = valid & agrees
    first = ok.argmax(1)
    rows = np.flatnonzero(ok.any(1))
    return rows, index[rows, first[rows]]


def key_frames(u: Unknowns, observations: Observations, count: int) -> np.ndarray:
    """Frames spread evenly over the head's turning: the arc length of its rotation vector."""
    found = np.flatnonzero(observations.found)
    turn = u.head_rotation.detach().numpy()[found]
    path = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(turn, axis=0), axis=-1) + 1e-3)])
    wanted = np.linspace(0, path[-1], min(count, len(found)))
    return np.unique(found[np.abs(path[:, None] - wanted[None]).argmin(0)])


def fit_contours(
    model: HeadModel, u: Unknowns, landmarks: LandmarkTerm, observations: Observations, config: TrackConfig,
    progress: Progress,
) -> None:  # fmt: skip
    """Shape, per-vertex offset and poses that bring the silhouettes onto the mattes, landmarks staying in force."""
    shoulders = "torso" in model.regions
    term = ContourTerm(model, observations, key_frames(u, observations, config.contour_frames))
    offset = IdentityOffset(model) if config.identity_offset else None
    rates = {"place": 0.002, "rotation": 0.005, "head_rotation": 0.004, "shape": 0.03, "expr": 0.01, "jaw_pose": 0.004}
    if offset:
        u.offset_coefficients = torch.zeros(model.num_vertices, 3)
        rates["offset_coefficients"] = offset.rate

    def loss(step: int) -> Tensor:
        total = prior_energy(u, shoulders) + motion_energy(u, shoulders)
        if offset:
            u.static_offset = offset.field(u.offset_coefficients)
            total = total + offset.energy(u.static_offset)
        return total + landmarks(u) + term(u)

    for round_number in range(config.contour_rounds):
        landmarks.update_visibility(u)
        term.rematch(u)
        last = round_number == config.contour_rounds - 1
        minimise(u, rates, loss, config.contour_steps, "silhouettes", progress, final_rate=0.1 if last else 0.5)
        if offset:
            u.static_offset = offset.field(u.offset_coefficients).detach()


class IdentityOffset:
    """The per-vertex offset: smooth, small where landmarks already tell the shape, zero inside the mouth and eyes."""

    rate = 0.004

    def __init__(self, model: HeadModel) -> None:
        pinned = [model.regions[name] for name in PINNED_REGIONS if name in model.regions]
        self.field = SmoothField(
            model.faces, model.num_vertices, 20.0, torch.cat(pinned) if pinned else torch.zeros(0, dtype=torch.long)
        )
        sigma = torch.full((model.num_vertices, 1), OFFSET_SIGMA_M["default"])
        for name, value in OFFSET_SIGMA_M.items():
            if name in model.regions:
                sigma[model.regions[name]] = value
        self.sigma = sigma

    def energy(self, offset: Float[Tensor, "V 3"]) -> Float[Tensor, ""]:
        """Half the mean squared offset in sigma, worth thirty points."""
        return 30.0 * 0.5 * (offset / self.sigma).square().sum(-1).mean()
