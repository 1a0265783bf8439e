"""Where things are on a face: lips, brows, beard, hairline, as soft functions of position on the template."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numba import njit, prange

from unseen.core.errors import InputError
from unseen.head.landmarks import MEDIAPIPE_REGIONS
from unseen.head.model import HeadModel

CHEEKS, NOSE_TIP, CHIN, FOREHEAD_TOP, TRAGI, TEMPLES = (50, 280), 4, 152, 10, (234, 454), (54, 284)
UNDER_EYES = (230, 450)
MOUTH_CORNERS, NOSE_BASE = (61, 291), 2


@dataclass(frozen=True)
class FaceFeatures:
    """Feature masks of one head model, evaluated at points of its template (metres).

    Attributes:
        marks: the 478 landmarks on the template, [478, 3].
        centre: middle of the cranium, [3].
    """

    marks: Float[np.ndarray, "478 3"]
    centre: Float[np.ndarray, "3"]

    @classmethod
    def of(cls, model: HeadModel) -> FaceFeatures:
        """Features of a model's template.

        Raises:
            InputError: the model has no "mediapipe478" landmarks.
        """
        if "mediapipe478" not in model.landmarks:
            raise InputError(
                f"head model {model.variant!r} has no landmarks 'mediapipe478': synthetic subjects need them"
            )
        template = model.v_template.double()
        marks = model.landmarks["mediapipe478"].points(template, model.faces).numpy()
        points = template.numpy()
        skull = points[points[:, 1] > marks[list(TRAGI), 1].mean()]
        centre = np.array(
            [0.0, marks[list(TRAGI), 1].mean() + 0.025, 0.5 * (skull[:, 2].min() + marks[FOREHEAD_TOP, 2])]
        )
        return cls(marks, centre)

    def near(self, points: Float[np.ndarray, "N 3"], ids: tuple[int, ...], radius_m: float) -> Float[np.ndarray, "N"]:
        """Sum of Gaussian bumps of that standard deviation around landmarks."""
        out = np.zeros(len(points))
        for i in ids:
            out += np.exp(-((points - self.marks[i]) ** 2).sum(1) / (2 * radius_m**2))
        return out

    def lips(self, points: Float[np.ndarray, "N 3"], soft_m: float = 0.0012) -> Float[np.ndarray, "N"]:
        """1 on the vermilion, 0 outside."""
        return self._polygon(points, MEDIAPIPE_REGIONS["lips_outer"], soft_m, 0.03)

    def brows(self, points: Float[np.ndarray, "N 3"], soft_m: float = 0.002) -> Float[np.ndarray, "N"]:
        """1 within the eyebrows."""
        sides = (MEDIAPIPE_REGIONS["left_eyebrow"], MEDIAPIPE_REGIONS["right_eyebrow"])
        return np.maximum(*(self._polygon(points, side, soft_m, 0.03, 0.0007) for side in sides))

    def covers_face(self, points: Float[np.ndarray, "*N 3"]) -> np.ndarray:
        """True for points in front of the part of the face that hair leaves free, below the middle of the forehead."""
        marks = self.marks
        middle, brow, eye = 0.5 * (marks[FOREHEAD_TOP, 1] + marks[105, 1]), marks[105, 1], marks[263, 1]
        heights = np.array([marks[CHIN, 1] - 0.02, marks[MOUTH_CORNERS[1], 1], eye, brow, middle])
        half = np.interp(points[..., 1], heights, abs(marks[TRAGI[1], 0]) * np.array([0.5, 0.86, 0.92, 0.8, 0.0]))
        return (np.abs(points[..., 0]) < half) & (points[..., 2] > marks[TRAGI[1], 2] + 0.015)

    def lid_distance(self, points: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N"]:
        """Distance in metres from the nearer lid margin in the frontal plane, negative inside the opening."""
        sides = (MEDIAPIPE_REGIONS["left_eye"], MEDIAPIPE_REGIONS["right_eye"])
        return np.minimum(*(signed_distance(points[:, :2], self.marks[side, :2]) for side in sides))

    def beard(self, points: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N"]:
        """1 where a full beard grows: moustache, cheeks below a line from sideburn to mouth, chin, throat."""
        corner, tragus = self.marks[MOUTH_CORNERS[1]], self.marks[TRAGI[1]]
        x = np.abs(points[:, 0])
        t = np.clip((x - corner[0]) / (tragus[0] - corner[0]), 0, 1)
        ceiling = (1 - t**1.5) * (corner[1] + 0.004) + t**1.5 * (tragus[1] - 0.004) - 0.012 * np.sin(np.pi * t)
        moustache = np.clip(1 - x / (1.25 * corner[0]), 0, 1) ** 0.7
        ceiling = np.maximum(ceiling, corner[1] + moustache * (self.marks[NOSE_BASE, 1] - corner[1] - 0.002) * 1.15)
        floor = self.marks[CHIN, 1] - 0.022 + 0.3 * np.clip(x - 0.02, 0, None)
        front = smoothstep(tragus[2] + 0.001, tragus[2] + 0.014, points[:, 2])
        grown = smoothstep(-0.005, 0.008, ceiling - points[:, 1]) * smoothstep(-0.006, 0.02, points[:, 1] - floor)
        below_nose = 1 - self.near(points, (NOSE_BASE, 97, 326), 0.004)
        return np.clip(grown * front * (1 - self.lips(points, 0.0015)) * below_nose, 0, 1)

    def hairline(self, points: Float[np.ndarray, "N 3"], recede_m: float = 0.0) -> Float[np.ndarray, "N"]:
        """Signed distance in metres to the hairline, roughly; positive where hair grows. Ears are not left out."""
        marks, centre = self.marks, self.centre
        d = points - centre
        azimuth = np.abs(np.arctan2(d[:, 0], d[:, 2]))
        temple, tragus = marks[TEMPLES[1]] - centre, marks[TRAGI[1]] - centre
        at = [0.0, 0.55 * np.arctan2(temple[0], temple[2]), np.arctan2(temple[0], temple[2]) + 0.12]
        at += [np.arctan2(tragus[0], tragus[2]) - 0.16, np.arctan2(tragus[0], tragus[2]) + 0.1, 2.1, 2.6, np.pi]
        top, mouth = marks[FOREHEAD_TOP, 1] + 0.008 + recede_m, marks[MOUTH_CORNERS[1], 1]
        tragus_y = marks[TRAGI[1], 1]
        heights = [top, top - 0.003 + recede_m, marks[TEMPLES[1], 1] + 0.010 + 0.5 * recede_m, tragus_y + 0.012]
        heights += [tragus_y - 0.004, tragus_y - 0.012, mouth - 0.002, mouth - 0.012]
        return points[:, 1] - np.interp(azimuth, at, heights)

    def _polygon(
        self, points: np.ndarray, ids: list[int], soft_m: float, depth_m: float, inset_m: float = 0.0
    ) -> np.ndarray:
        """Soft inside of a loop of landmarks seen from the front; only for points near it in depth."""
        loop = self.marks[ids]
        inside = smoothstep(soft_m, -soft_m, signed_distance(points[:, :2], loop[:, :2]) + inset_m)
        return inside * (points[:, 2] > loop[:, 2].min() - depth_m)


def signed_distance(points: Float[np.ndarray, "N 2"], loop: Float[np.ndarray, "K 2"]) -> Float[np.ndarray, "N"]:
    """Distance of points to a closed polygon, negative inside."""
    out = np.empty(len(points))
    _signed_distance(np.ascontiguousarray(points, np.float64), np.ascontiguousarray(loop, np.float64), out)
    return out


@njit(cache=True, parallel=True)
def _signed_distance(points, loop, out):
    count = len(loop)
    for i in prange(len(points)):
        x, y = points[i, 0], points[i, 1]
        best, inside = np.inf, False
        for k in range(count):
            ax, ay = loop[k]
            bx, by = loop[(k + 1) % count]
            dx, dy = bx - ax, by - ay
            t = min(1.0, max(0.0, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy + 1e-18)))
            best = min(best, (x - ax - t * dx) ** 2 + (y - ay - t * dy) ** 2)
            if (ay > y) != (by > y) and x < ax + (y - ay) / dy * dx:
                inside = not inside
        out[i] = -np.sqrt(best) if inside else np.sqrt(best)


def smoothstep(a: float, b: float, x: np.ndarray) -> np.ndarray:
    """Hermite step from 0 at `a` to 1 at `b` (which may be the smaller)."""
    t = np.clip((x - a) / (b - a), 0.0, 1.0)
    return t * t * (3 - 2 * t)
