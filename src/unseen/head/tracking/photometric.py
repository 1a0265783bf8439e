"""Photometric refinement: every vertex keeps its colour while it moves through the video, coarse to fine.

The model is textured per vertex with the mean colour its vertices show over the video, lit by second-order spherical
harmonics fixed to the camera (Ramamoorthi and Hanrahan 2001); poses and expressions are then moved along the images'
gradients until each vertex lands on pixels of its colour. No rendering is differentiated: images are sampled where
vertices fall, and the depth test says which vertices count.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate, normalize

from unseen.core.camera import Camera
from unseen.core.sh import sh_basis
from unseen.head.model import HeadModel
from unseen.head.posing import posed_vertices
from unseen.head.tracking.contour_fit import ContourTerm
from unseen.head.tracking.landmark_fit import LandmarkTerm
from unseen.head.tracking.observations import Observations
from unseen.head.tracking.priors import motion_energy, prior_energy
from unseen.head.tracking.state import Progress, TrackConfig, Unknowns, minimise
from unseen.render.mesh import rasterize_mesh, vertex_normals, visible_points

COLOUR_SIGMA = 0.06
"""Expected difference between a vertex's colour and the pixel it falls on."""

EFFECTIVE_POINTS = 300.0
"""How many independent points the visible surface is worth."""

LEVELS = (96, 192, 384)
"""Image sides of the pyramid, coarse to fine, pixels."""

IGNORED_REGIONS = ("teeth", "mouth_interior", "left_eyeball", "right_eyeball")
BATCH = 24
"""Frames whose pixels one optimiser step looks at."""


class Appearance:
    """Colour of each vertex under neutral light, and the light: per frame brightness follows the normals."""

    def __init__(self, colours: Float[Tensor, "S 3"], light: Float[Tensor, "9 3"]) -> None:
        self.colours, self.light = colours, light

    def shaded(self, normals: Float[Tensor, "T S 3"]) -> Float[Tensor, "T S 3"]:
        """Vertex colours under the light, for the normals of each frame."""
        return self.colours * (sh_basis(2, normals) @ self.light)


def fit_appearance(
    samples: Float[Tensor, "T S 3"], weights: Float[Tensor, "T S"], normals: Float[Tensor, "T S 3"], rounds: int = 3
) -> Appearance:
    """Alternate between mean colours under a given light and the light (9x3 least squares) under given colours."""
    basis = sh_basis(2, normals)
    light = torch.zeros(9, 3)
    light[0] = 1 / basis[0, 0, 0]
    total = weights.sum(0)[:, None].clamp_min(1e-3)
    regular = 1e-3 * weights.sum() * torch.diag(torch.tensor([0.0, *[1.0] * 8]))
    for _ in range(rounds):
        shade = (basis @ light).clamp_min(0.2)
        colours = (weights[..., None] * samples / shade).sum(0) / total
        light = torch.stack(
            [
                torch.linalg.solve(
                    (b := (basis * colours[:, c, None]).flatten(0, 1) * weights.flatten()[:, None].sqrt()).T @ b
                    + regular,
                    b.T @ (samples[..., c] * weights.sqrt()).flatten(),
                )
                for c in range(3)
            ],
            -1,
        )
    return Appearance(colours, light)


class PhotometricTerm:
    """Colour differences of visible vertices at one pyramid level."""

    def __init__(self, model: HeadModel, observations: Observations, side: int) -> None:
        self.model, self.size = model, observations.size
        ignored = [model.regions[n] for n in IGNORED_REGIONS if n in model.regions]
        keep = torch.ones(model.num_vertices, dtype=torch.bool)
        if ignored:
            keep[torch.cat(ignored)] = False
        self.ids = torch.nonzero(keep)[:, 0]
        self.images = pyramid_level(observations, side)

    def prepare(self, u: Unknowns) -> None:
        """Visibility, colours and light from the present fit."""
        vertices = posed_vertices(self.model, u.params())
        camera = u.camera()
        visible, self.normals = visibility(vertices, self.model.faces, camera, self.ids)
        view = normalize(-vertices[:, self.ids], dim=-1)
        facing = (self.normals * view).sum(-1)
        self.weights = visible * ((facing - 0.15) / 0.5).clamp(0, 1)
        seen = self.weights.sum(0) > 1.0
        self.ids, self.weights, self.normals = self.ids[seen], self.weights[:, seen], self.normals[:, seen]
        with torch.no_grad():
            samples = self.sample(u.project(vertices[:, self.ids]), torch.arange(len(vertices)))
        self.target = fit_appearance(samples, self.weights, self.normals).shaded(self.normals)
        self.part = self.model.subset(self.ids)

    def sample(self, pixels: Float[Tensor, "B S 2"], frames: Int[Tensor, "B"]) -> Float[Tensor, "B S 3"]:
        """Image colours at pixel positions of the full-size video."""
        h, w = self.size
        grid = pixels / torch.tensor([w / 2, h / 2]) - 1
        found = grid_sample(self.images[frames], grid[:, None], padding_mode="border", align_corners=False)
        return found[:, :, 0].transpose(1, 2)

    def __call__(self, u: Unknowns, frames: Int[Tensor, "B"]) -> Float[Tensor, ""]:
        """Mean energy of one of the frames."""
        found = self.sample(u.project(self.part.vertices(u.params(frames))), frames)
        squared = ((found - self.target[frames]) / COLOUR_SIGMA).square().sum(-1)
        robust = 2 * 2 * ((squared + 4).sqrt() - 2)
        weights = self.weights[frames]
        return EFFECTIVE_POINTS * 0.5 * (weights * robust).sum() / weights.sum().clamp_min(1)


def pyramid_level(observations: Observations, side: int) -> Float[Tensor, "T 3 h w"]:
    """The video on white where the matte ends, shrunk so that its longer side is `side` pixels."""
    h, w = observations.size
    scale = min(1.0, side / max(h, w))
    size = (max(round(h * scale), 8), max(round(w * scale), 8))
    out = []
    for image, alpha in zip(observations.images, observations.alphas, strict=True):
        a = torch.from_numpy(alpha).float()[None, None] / 255
        rgb = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        out.append(interpolate(rgb * a + (1 - a), size, mode="bilinear", antialias=True))
    return torch.cat(out)


def visibility(
    vertices: Float[Tensor, "T V 3"], faces: Int[Tensor, "F 3"], camera: Camera, ids: Int[Tensor, "S"]
) -> tuple[Bool[Tensor, "T S"], Float[Tensor, "T S 3"]]:
    """Which of the vertices `ids` each frame shows (depth test at quarter resolution), and their normals."""
    small = camera.resized(max(camera.width // 2, 16), max(camera.height // 2, 16))
    visible, normals = [], []
    for posed in vertices:
        buffers = rasterize_mesh(posed, faces, small)
        visible.append(visible_points(posed[ids], buffers, small))
        normals.append(vertex_normals(posed, faces)[ids])
    return torch.stack(visible), torch.stack(normals)


def fit_photometric(
    model: HeadModel, u: Unknowns, landmarks: LandmarkTerm, observations: Observations, side: int, config: TrackConfig,
    generator: torch.Generator, progress: Progress,
) -> None:  # fmt: skip
    """Refine motion and expression of all frames by colour at one pyramid level, and by their outlines."""
    shoulders = "torso" in model.regions
    rates = {
        "place": 0.0008, "rotation": 0.004, "head_rotation": 0.003, "expr": 0.012, "jaw_pose": 0.003, "eyelids": 0.01,
    }  # fmt: skip
    term = PhotometricTerm(model, observations, side)
    term.prepare(u)
    landmarks.update_visibility(u)
    outlines = ContourTerm(model, observations, np.flatnonzero(observations.found))
    outlines.rematch(u)

    def loss(step: int) -> Tensor:
        rows = torch.randperm(len(outlines.frames), generator=generator)[:BATCH].sort().values
        frames = torch.from_numpy(outlines.frames)[rows]
        total = term(u, frames) + landmarks(u) + prior_energy(u, shoulders) + motion_energy(u, shoulders)
        return total + outlines(u, rows) if config.contour_rounds else total

    minimise(u, rates, loss, config.photometric_steps, f"colours at {side} px", progress)
