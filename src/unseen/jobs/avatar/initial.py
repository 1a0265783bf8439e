"""The first splats: one on every triangle, coloured by what the video shows of it, the unseen ones by symmetry and
diffusion over the mesh."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg
import torch
from jaxtyping import Float
from numpy import ndarray
from scipy.ndimage import binary_erosion

from unseen.core.gaussians import Gaussians
from unseen.head.mirror import mirrored_faces
from unseen.head.model import HeadModel
from unseen.head.posing import posed_vertices
from unseen.head.tracking import Observations, Track
from unseen.jobs.avatar.coverage import spread
from unseen.render.mesh import rasterize_mesh

INITIAL_OPACITY = 0.7

PRIOR_COLOURS = {"teeth": (0.82, 0.78, 0.72), "mouth_interior": (0.33, 0.13, 0.12)}
"""Colours of what a video may never show."""

_SEEN_PIXELS = 2.0


def initial_splats(model: HeadModel, track: Track, observations: Observations, frames: ndarray) -> Gaussians:
    """One splat per triangle in local space: mean 0, one triangle in size, unit rotation, SH degree 0.

    Args:
        frames: the frames that may be looked at, [T'].
    """
    colours = face_colours(model, track, observations, frames)
    n = model.num_faces
    quats = torch.zeros(n, 4)
    quats[:, 0] = 1
    # a splat of one triangle size is wider than its triangle: 0.55 covers it
    scales = torch.tensor([0.55, 0.25, 0.55]).expand(n, 3)
    return Gaussians.from_rgb(torch.zeros(n, 3), scales, quats, torch.full((n,), INITIAL_OPACITY), colours)


def face_colours(
    model: HeadModel, track: Track, observations: Observations, frames: ndarray
) -> Float[torch.Tensor, "F 3"]:
    """Mean colour of the pixels that show each triangle; triangles never shown take their mirror image's colour, and
    what remains is filled by solving the mesh's Laplace equation."""
    total, weight = gather_colours(model, track, observations, spread(frames))
    for name, colour in PRIOR_COLOURS.items():
        if name in model.regions:
            inside = np.isin(model.faces.numpy(), model.regions[name].numpy()).all(1)
            total[inside] += np.array(colour) * 3 * _SEEN_PIXELS
            weight[inside] += 3 * _SEEN_PIXELS
    seen = weight > _SEEN_PIXELS
    colours = total / np.maximum(weight, 1e-6)[:, None]
    mirror = mirrored_faces(model)
    borrow = ~seen & seen[mirror]
    colours[borrow] = colours[mirror[borrow]]
    confidence = np.where(borrow, 0.5, 1.0) * (seen | borrow)
    fill_regions(model, colours, confidence)
    colours = diffuse(colours, confidence, model.faces.numpy())
    return torch.from_numpy(np.clip(colours, 0.01, 0.99)).float()


def fill_regions(model: HeadModel, colours: Float[ndarray, "F 3"], confidence: Float[ndarray, "F"]) -> None:
    """Give unknown hair and clothes the median colour of what is known of them, with little confidence, in place: the
    back of a head is more likely hair than a blend of hair and neck."""
    for name in ("scalp", "torso"):
        if name in model.regions:
            inside = np.isin(model.faces.numpy(), model.regions[name].numpy()).all(1)
            known, unknown = inside & (confidence > 0), inside & (confidence == 0)
            if known.any():
                colours[unknown] = np.median(colours[known], axis=0)
                confidence[unknown] = 0.02


def gather_colours(
    model: HeadModel, track: Track, observations: Observations, frames: ndarray
) -> tuple[Float[ndarray, "F 3"], Float[ndarray, "F"]]:
    """Sum of colours and number of pixels per triangle over some frames, inside the matte."""
    total, weight = np.zeros((model.num_faces, 3)), np.zeros(model.num_faces)
    vertices = posed_vertices(model, track.params[torch.from_numpy(frames)])
    for posed, t in zip(vertices, frames, strict=True):
        ids = rasterize_mesh(posed, model.faces, track.camera).face_ids.numpy()
        ok = (ids >= 0) & binary_erosion(observations.alphas[t] > 127, iterations=3)  # the rim shows background too
        hit, rgb = ids[ok], observations.images[t][ok] / 255.0
        weight += np.bincount(hit, minlength=len(weight))
        total += np.stack([np.bincount(hit, rgb[:, c], len(weight)) for c in range(3)], -1)
    return total, weight


def diffuse(colours: Float[ndarray, "F 3"], confidence: Float[ndarray, "F"], faces: ndarray) -> Float[ndarray, "F 3"]:
    """Smooth extension: minimises confidence * |x - colour|^2 + the squared differences across shared vertices."""
    n = len(faces)
    incidence = sp.coo_matrix((np.ones(3 * n), (np.repeat(np.arange(n), 3), faces.ravel()))).tocsr()
    adjacency = incidence @ incidence.T
    adjacency.setdiag(0)
    adjacency.eliminate_zeros()
    laplacian = sp.diags(np.asarray(adjacency.sum(1)).ravel()) - adjacency
    matrix = (sp.diags(200.0 * confidence + 1e-4) + laplacian).tocsc()
    skin = np.average(colours, axis=0, weights=confidence + 1e-9)
    return scipy.sparse.linalg.splu(matrix).solve(200.0 * confidence[:, None] * colours + 1e-4 * skin)
