"""How good a track is, in numbers and as pictures to look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from numpy import ndarray
from PIL import Image, ImageDraw

from unseen.head.model import HeadModel
from unseen.head.posing import posed_vertices
from unseen.head.tracking.observations import Observations
from unseen.head.tracking.state import Track
from unseen.render.mesh import MeshBuffers, normal_map, rasterize_mesh, visible_points

FLAG_PERCENT = 8.0
"""Frames whose mean landmark error exceeds this are flagged."""


@dataclass(frozen=True)
class TrackReport:
    """Per-frame quality.

    Attributes:
        landmark_error_percent: mean distance of the model's visible landmarks from the detected ones, in percent of the
            inter-ocular distance (outer eye corners, three-dimensional); NaN without a face, [T].
        visible: which landmarks the posed model shows (depth test), [T, 478].
        matte_iou: overlap of the model's silhouette with the matte, [T].
    """

    landmark_error_percent: Float[ndarray, "T"]
    visible: Bool[ndarray, "T 478"]
    matte_iou: Float[ndarray, "T"]

    @property
    def flagged(self) -> list[int]:
        """Frames not to be trusted: no face, or a landmark error above `FLAG_PERCENT`."""
        return np.flatnonzero(~(self.landmark_error_percent <= FLAG_PERCENT)).tolist()

    def summary(self) -> dict[str, Any]:
        """Means and flags for JSON."""
        return {
            "landmark_error_percent_of_interocular": float(np.nanmean(self.landmark_error_percent)),
            "landmark_error_percent_worst_frame": float(np.nanmax(self.landmark_error_percent)),
            "matte_iou": float(self.matte_iou.mean()),
            "frames": len(self.matte_iou),
            "frames_flagged": self.flagged,
        }


def evaluate_track(model: HeadModel, track: Track, observations: Observations) -> TrackReport:
    """Measure a track against the landmarks and mattes it was made from."""
    vertices = posed_vertices(model, track.params)
    points = model.landmarks["mediapipe478"].points(vertices, model.faces)
    errors, visible, overlap = [], [], []
    for t, (posed, marks) in enumerate(zip(vertices, points, strict=True)):
        buffers = rasterize_mesh(posed, model.faces, track.camera)
        seen = visible_points(marks, buffers, track.camera, tolerance_m=0.004).numpy()
        pixels = track.camera.project(marks)[0].numpy()
        distance = np.linalg.norm(pixels - observations.landmarks_px[t, :, :2], axis=-1)
        ok = seen.any() and observations.found[t]
        errors.append(100 * distance[seen].mean() / observations.interocular_px[t] if ok else np.nan)
        visible.append(seen)
        covered, matte = (buffers.face_ids >= 0).numpy(), observations.alphas[t] > 127
        overlap.append((covered & matte).sum() / max((covered | matte).sum(), 1))
    return TrackReport(np.array(errors), np.array(visible), np.array(overlap))


def overlay_frames(
    model: HeadModel, track: Track, observations: Observations, report: TrackReport
) -> Iterator[UInt8[ndarray, "H 2W 3"]]:
    """For each frame: the video with landmarks (green detected, red the model's visible ones) beside the video with the
    shaded model over it."""
    vertices = posed_vertices(model, track.params)
    points = model.landmarks["mediapipe478"].points(vertices, model.faces)
    for t, image in enumerate(observations.images):
        buffers = rasterize_mesh(vertices[t], model.faces, track.camera)
        shaded = _shade(vertices[t], model.faces, buffers, track)
        blend = np.where((buffers.face_ids >= 0).numpy()[..., None], 0.35 * image + 0.65 * shaded, image)
        marked = Image.fromarray(image)
        draw = ImageDraw.Draw(marked)
        if observations.found[t]:
            _dots(draw, observations.landmarks_px[t, :, :2], (0, 230, 0))
        _dots(draw, track.camera.project(points[t])[0].numpy()[report.visible[t]], (255, 40, 40))
        error = report.landmark_error_percent[t]
        draw.text((6, 6), f"{t}  {error:.1f} %" + ("  !" if t in report.flagged else ""), fill=(0, 90, 200))
        yield np.concatenate([np.asarray(marked), blend.astype(np.uint8)], 1)


def _shade(vertices: torch.Tensor, faces: torch.Tensor, buffers: MeshBuffers, track: Track) -> ndarray:
    normals = normal_map(buffers, vertices, faces).numpy()
    toward = (track.camera.world_to_camera[:3, :3].T @ torch.tensor([-0.3, -0.4, -0.85])).numpy()
    return 255 * np.clip(0.25 + 0.75 * (normals @ toward), 0, 1)[..., None] * np.array([0.75, 0.85, 1.0])


def _dots(draw: ImageDraw.ImageDraw, points: ndarray, colour: tuple[int, int, int]) -> None:
    for x, y in points:
        draw.rectangle([x - 0.6, y - 0.6, x + 0.6, y + 0.6], fill=colour)
