"""What the fitted frames saw of a head, triangle by triangle: how far they may change it, and what a prior may."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.ndimage import binary_erosion
from torch import Tensor
from torch.nn.functional import normalize

from unseen.core.camera import Camera
from unseen.head.avatar import Avatar
from unseen.head.binding import face_frames
from unseen.head.model import HeadModel
from unseen.head.posing import posed_vertices
from unseen.head.tracking import Observations, Track
from unseen.render import rasterization
from unseen.render.mesh import face_normals, rasterize_mesh, visible_faces, visible_points

MAX_FRAMES = 48
"""Frames that colours and coverage are gathered from."""
FULL_COSINE = 0.5
"""Cosine between a triangle's normal and the direction to the camera from which on it counts as fully seen."""
TOLERANCE_M = 0.001
"""How far behind the mesh's surface the centre of a triangle counts as visible."""
SAME_SIDE_RAD, OTHER_SIDE_RAD = math.radians(20), math.radians(60)
"""Directions within the first angle of one that saw a triangle show the same; beyond the second, nothing of it."""
SHAPE_SEEN = 0.5
"""How much of a splat's geometry is settled by having seen it: its place in the picture, less its depth."""

SHAPE = ("means", "quats", "log_scales", "logit_opacities")
"""Tensors of splats that say where something is; `sh` says what colour it has."""


@dataclass(frozen=True)
class Coverage:
    """What some frames of a still camera saw of F triangles.

    Attributes:
        seen: by the cosine at which some frame saw the triangle, 1 from 60 degrees to its normal on, 0 never, [F].
        movable: how far the frames may change geometry and opacity, [F]: wherever a triangle comes near the outline in
            some frame, or lies outside the matte in several (the visual hull).
        directions: unit direction to the camera in the triangle's own axes, of each frame, [T', F, 3].
        share: as `seen`, of each frame, [T', F].
    """

    seen: Float[Tensor, "F"]
    movable: Float[Tensor, "F"]
    directions: Float[Tensor, "T F 3"]
    share: Float[Tensor, "T F"]

    @classmethod
    def of(cls, model: HeadModel, track: Track, observations: Observations, frames: ndarray) -> Coverage:
        """Coverage by some of the frames, evenly spread."""
        chosen = spread(frames)
        vertices = posed_vertices(model, track.params[torch.from_numpy(chosen)])
        shares, turned, directions = [], torch.full((model.num_faces,), -1.0), []
        outside = torch.zeros(model.num_faces)
        for posed, t in zip(vertices, chosen, strict=True):
            toward, facing = _facing(model, posed, track.camera)
            centres, buffers = posed[model.faces].mean(1), rasterize_mesh(posed, model.faces, track.camera)
            outside += outside_matte(track.camera.project(centres)[0], observations.alphas[t])
            turned = torch.maximum(turned, facing)
            # triangles smaller than a pixel need not own one
            seen = visible_faces(buffers) | visible_points(centres, buffers, track.camera, TOLERANCE_M)
            shares.append((facing / FULL_COSINE).clamp(0, 1) * seen)
            directions.append(toward)
        movable = torch.where(outside > 0.05 * len(chosen), 1.0, ((turned + 0.5) / 0.3).clamp(0, 1))
        share = torch.stack(shares)
        return cls(share.amax(0), movable, torch.stack(directions), share)

    def trust(self) -> dict[str, Float[Tensor, "F"]]:
        """How far the frames may change the splats of each triangle, 0 to 1, per tensor of the splats. What is not seen
        stays as it began, and grazing views, which mix in what lies behind, do not paint."""
        return {"sh": self.seen, **dict.fromkeys(SHAPE, self.movable)}

    def left_open(self) -> dict[str, Float[Tensor, "F"]]:
        """How far a prior may change the splats of each triangle, 0 to 1, per tensor of the splats: colours as far as
        they were not seen; geometry and opacity more, for a camera tells little of the depth of what it sees."""
        return {"sh": 1 - self.seen, **dict.fromkeys(SHAPE, 1 - SHAPE_SEEN * self.seen)}

    def toward(self, model: HeadModel, vertices: Float[Tensor, "V 3"], camera: Camera) -> Float[Tensor, "F"]:
        """How well the frames show what `camera` sees of each triangle of the posed head, 0 to 1: as `seen`, and less
        the farther the camera is from every direction the triangle was seen from."""
        now, _ = _facing(model, vertices, camera)
        near, far = math.cos(SAME_SIDE_RAD), math.cos(OTHER_SIDE_RAD)
        alike = (((self.directions * now).sum(-1) - far) / (near - far)).clamp(0, 1)
        return (alike * self.share).amax(0)


def _facing(
    model: HeadModel, vertices: Float[Tensor, "V 3"], camera: Camera
) -> tuple[Float[Tensor, "F 3"], Float[Tensor, "F"]]:
    """Direction to the camera in each triangle's own axes, and its cosine to the triangle's normal."""
    frames = face_frames(vertices, model.faces)
    toward = normalize(camera.center - frames.translation, dim=-1)
    local = (frames.rotation.transpose(-1, -2) @ toward[..., None])[..., 0]
    return local, (normalize(face_normals(vertices, model.faces), dim=-1) * toward).sum(-1)


def outside_matte(pixels: Float[Tensor, "N 2"], alpha: ndarray) -> Bool[Tensor, "N"]:
    """True where a point falls inside the image but outside the matte [H, W], or less than 3 pixels inside."""
    height, width = alpha.shape
    x, y = (p.floor().long() for p in pixels.unbind(-1))
    within = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    core = torch.from_numpy(binary_erosion(alpha > 127, iterations=3, border_value=1))
    covered = core[y.clamp(0, height - 1), x.clamp(0, width - 1)]
    return within & ~covered


def spread(frames: Int[ndarray, "T"]) -> Int[ndarray, "N"]:
    """At most `MAX_FRAMES` of the frames, evenly spread."""
    return frames[np.unique(np.linspace(0, len(frames) - 1, min(MAX_FRAMES, len(frames))).astype(int))]


def weight_image(
    avatar: Avatar, vertices: Float[Tensor, "V 3"], camera: Camera, coverage: Coverage
) -> Float[Tensor, "H W"]:
    """How little the frames saw of what the avatar shows at each pixel, 0 to 1: what each splat's triangle leaves open,
    composited like a colour. 1 where there is no splat: nothing that was seen contradicts what a prior puts there."""
    return 1 - evidence_image(avatar, vertices, camera, coverage.toward(avatar.model, vertices, camera))


def evidence_image(
    avatar: Avatar, vertices: Float[Tensor, "V 3"], camera: Camera, per_face: Float[Tensor, "F"]
) -> Float[Tensor, "H W"]:
    """A number per triangle composited like a colour over 0."""
    with torch.no_grad():
        splats = avatar.on(vertices)
        image, _, _ = rasterization(
            splats.means, splats.quats, splats.scales, splats.opacities, per_face[avatar.binding][:, None],
            camera.world_to_camera[None], camera.K[None], camera.width, camera.height,
        )  # fmt: skip
    return image[0, ..., 0].clamp(0, 1)
