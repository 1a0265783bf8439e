"""Distorted lenses: where a ray lands in the picture, which ray a pixel sees, and the pinhole that replaces them.

One formula covers the usual models. With the plane coordinates m of a ray, which are (x/z, y/z), or for a fisheye the
angle to the axis times the direction around it, and r = |m|,

    d = m N(r²) / D(r²) + (2 p1 u v + p2 (r² + 2 u²), 2 p2 u v + p1 (r² + 2 v²)) + s r²,    m = (u, v)

with N = 1 + n1 r² + n2 r⁴ + ..., D likewise, and pixel = focal d + centre: Brown and Conrady's radial and tangential
terms with OpenCV's rational part, Kannala and Brandt 2006 (equidistant fisheye) and thin prisms (Weng et al. 1992).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor, float32, tensor

from unseen.core.errors import FormatError

MAX_HALF_FOV_RAD = math.radians(60)
"""Farthest a pinhole made from a lens looks to each side: beyond it, pixels are stretched more than fourfold."""

_BORDER_SAMPLES = 257
_CONTINUATION_STEPS = 8
_NEWTON_STEPS = 6
_BISECTIONS = 10
_FOLD_CHECKS = 33


@dataclass(frozen=True)
class Lens:
    """How a camera's rays land in its picture; pixels with centres at +0.5, OpenCV axes.

    Attributes:
        width, height: size of the picture in pixels.
        focal: focal lengths fx, fy in pixels.
        center: principal point cx, cy in pixels.
        numerator: coefficients of r², r⁴, ... in N, at most 4.
        denominator: coefficients of r², r⁴, r⁶ in D, at most 3.
        tangential: p1, p2.
        prism: s in x and y.
        fisheye: m is angle times direction, not the point in the plane z = 1.
    """

    width: int
    height: int
    focal: tuple[float, float]
    center: tuple[float, float]
    numerator: tuple[float, ...] = ()
    denominator: tuple[float, ...] = ()
    tangential: tuple[float, float] = (0.0, 0.0)
    prism: tuple[float, float] = (0.0, 0.0)
    fisheye: bool = False

    def __post_init__(self) -> None:
        coefficients = (*self.numerator, *self.denominator, *self.tangential, *self.prism)
        if not (all(0 < f < math.inf for f in self.focal) and self.width > 0 and self.height > 0):
            raise FormatError(
                f"focal lengths {self.focal} of a {self.width} x {self.height} picture: expected positive numbers"
            )
        if not all(map(math.isfinite, (*self.center, *coefficients))):
            raise FormatError(
                f"the camera has centre {self.center}, distortion {coefficients}: expected finite numbers"
            )

    @property
    def is_pinhole(self) -> bool:
        """Whether nothing is distorted."""
        return not self.fisheye and not self._is_bent

    @property
    def _is_bent(self) -> bool:
        return any((*self.numerator, *self.denominator, *self.tangential, *self.prism))

    @property
    def K(self) -> Float[Tensor, "3 3"]:
        """Intrinsics without the distortion, float32."""
        (fx, fy), (cx, cy) = self.focal, self.center
        return tensor([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]], dtype=float32)

    def resized(self, width: int, height: int) -> Lens:
        """The same lens on a picture of another resolution."""
        x, y = width / self.width, height / self.height
        return replace(
            self,
            width=width,
            height=height,
            focal=(self.focal[0] * x, self.focal[1] * y),
            center=(self.center[0] * x, self.center[1] * y),
        )

    def turned(self, quarters: int) -> Lens:
        """The lens of the picture turned clockwise by `quarters` of a full turn."""
        if quarters % 4 == 0:
            return self
        (fx, fy), (cx, cy), (p1, p2), (sx, sy) = self.focal, self.center, self.tangential, self.prism
        turned = replace(
            self,
            width=self.height,
            height=self.width,
            focal=(fy, fx),
            center=(self.height - cy, cx),
            tangential=(p2, -p1),  # (p2, p1) and the prism are vectors in the picture
            prism=(-sy, sx),
        )
        return turned.turned(quarters - 1)

    def project(self, points: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 2"]:
        """Pixels of points in the camera frame; NaN for what lies behind a lens that is no fisheye."""
        points = np.asarray(points, np.float64)
        x, y, z = points.T
        if self.fisheye:
            radius = np.hypot(x, y)
            safe = np.maximum(radius, 1e-12)
            factor = np.where(radius > 1e-12, np.arctan2(radius, z) / safe, 1 / np.where(z > 0, z, np.nan))
        else:
            factor = 1 / np.where(z > 0, z, np.nan)
        plane = points[:, :2] * factor[:, None]
        return self._distort(plane)[0] * self.focal + self.center

    def unproject(self, pixels: Float[np.ndarray, "N 2"]) -> tuple[Float[np.ndarray, "N 3"], Bool[np.ndarray, "N"]]:
        """Unit rays in the camera frame that pixels see, and which of them are certain.

        A distortion can be inverted only as far out as it does not fold back; the rays of other pixels mean nothing.
        """
        target = (np.asarray(pixels, np.float64) - self.center) / self.focal
        plane, certain = self._undistort(target)
        radius = np.hypot(*plane.T)
        if not self.fisheye:
            rays = np.column_stack([plane, np.ones(len(plane))])
            return rays / np.linalg.norm(rays, axis=1, keepdims=True), certain
        sinc = np.sinc(radius / np.pi)
        return np.column_stack([plane * sinc[:, None], np.cos(radius)]), certain & (radius < np.pi)

    def pinhole(self) -> Lens:
        """The pinhole camera that takes this lens's place.

        It keeps the focal lengths, so that the middle of the picture keeps its resolution, and shows the upright
        rectangle between the innermost points of the picture's undistorted edges: all of it was seen, there is no
        black border. To each side it looks at most `MAX_HALF_FOV_RAD` far.

        Raises:
            FormatError: the distortion leaves no such rectangle.
        """
        return self if self.is_pinhole else _pinhole_of(self)

    def _fit_pinhole(self) -> Lens:
        left, right, top, bottom = self._border()
        limit = math.tan(MAX_HALF_FOV_RAD)
        x0, x1 = max(float(left[:, 0].max()), -limit), min(float(right[:, 0].min()), limit)
        y0, y1 = max(float(top[:, 1].max()), -limit), min(float(bottom[:, 1].min()), limit)
        fx, fy = self.focal
        width, height = math.floor((x1 - x0) * fx + 1e-6), math.floor((y1 - y0) * fy + 1e-6)
        if not (x0 < 0 < x1 and y0 < 0 < y1 and width > 1 and height > 1):
            raise FormatError(
                f"{self} shows no upright rectangle around its axis: its distortion coefficients are no camera's"
            )
        center = (-(x0 + x1) / 2 * fx + width / 2, -(y0 + y1) / 2 * fy + height / 2)
        return Lens(width, height, self.focal, center)

    def _border(self) -> list[np.ndarray]:
        """The picture's left, right, top and bottom edge in the plane z = 1, [S, 2] each."""
        t = np.linspace(0, 1, _BORDER_SAMPLES)
        zero, one = np.zeros_like(t), np.ones_like(t)
        edges = [np.column_stack(edge) for edge in ((zero, t), (one, t), (t, zero), (t, one))]
        return [self._flat(edge * (self.width, self.height)) for edge in edges]

    def _flat(self, pixels: np.ndarray) -> np.ndarray:
        """Undistorted points in the plane z = 1, of pixels drawn toward the centre as far as their ray is certain."""
        rays, certain = self.unproject(pixels)
        if not certain.all():
            low, high = np.where(certain, 1.0, 0.0), np.ones(len(pixels))
            for _ in range(_BISECTIONS):
                middle = (low + high) / 2
                sure = self.unproject(self.center + middle[:, None] * (pixels - self.center))[1]
                low, high = np.where(sure, middle, low), np.where(sure, high, middle)
            rays, _ = self.unproject(self.center + low[:, None] * (pixels - self.center))
        return rays[:, :2] / np.maximum(rays[:, 2:], 1e-3)

    def _distort(self, plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """d and its Jacobian [N, 2, 2] at m."""
        u, v = plane.T
        r2 = u * u + v * v
        top, top_slope = _polynomial(self.numerator, r2)
        bottom, bottom_slope = _polynomial(self.denominator, r2)
        radial = top / bottom
        slope = (top_slope - radial * bottom_slope) / bottom  # d radial / d r²
        (p1, p2), (sx, sy) = self.tangential, self.prism
        dx = u * radial + 2 * p1 * u * v + p2 * (r2 + 2 * u * u) + sx * r2
        dy = v * radial + 2 * p2 * u * v + p1 * (r2 + 2 * v * v) + sy * r2
        xx = radial + 2 * u * u * slope + 2 * p1 * v + 6 * p2 * u + 2 * sx * u
        xy = 2 * u * v * slope + 2 * p1 * u + 2 * p2 * v + 2 * sx * v
        yx = 2 * u * v * slope + 2 * p2 * v + 2 * p1 * u + 2 * sy * u
        yy = radial + 2 * v * v * slope + 2 * p2 * u + 6 * p1 * v + 2 * sy * v
        return np.column_stack([dx, dy]), np.stack([xx, xy, yx, yy], -1).reshape(-1, 2, 2)

    def _undistort(self, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """m with d(m) = target, followed outward from the axis, and whether nothing folds between m and the axis."""
        plane, certain = np.zeros_like(target), np.ones(len(target), bool)
        if not self._is_bent:
            return target, certain
        with np.errstate(all="ignore"):
            for step in range(1, _CONTINUATION_STEPS + 1):
                goal = target * (step / _CONTINUATION_STEPS)
                for _ in range(_NEWTON_STEPS):
                    distorted, jacobian = self._distort(plane)
                    plane = plane - _solve(jacobian, distorted - goal)
            miss = np.abs(self._distort(plane)[0] - target)
            certain &= (miss < 1e-8 * (1 + np.abs(target))).all(1)
            for share in np.linspace(0, 1, _FOLD_CHECKS):
                certain &= np.linalg.det(self._distort(share * plane)[1]) > 0
        return np.where(certain[:, None], plane, 0.0), certain


@functools.lru_cache(maxsize=256)
def _pinhole_of(lens: Lens) -> Lens:
    """All photos of one camera share their lens, and often its pinhole is asked for photo by photo."""
    return lens._fit_pinhole()


def _polynomial(coefficients: tuple[float, ...], r2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """1 + c1 r² + c2 r⁴ + ... and its derivative by r²."""
    value, slope = np.zeros_like(r2), np.zeros_like(r2)
    for c in reversed(coefficients):
        slope = slope * r2 + value + c
        value = (value + c) * r2
    return 1 + value, slope


def _solve(jacobian: np.ndarray, residual: np.ndarray) -> np.ndarray:
    (a, b), (c, d) = (jacobian[:, 0].T, jacobian[:, 1].T)
    x, y = residual.T
    return np.column_stack([d * x - b * y, a * y - c * x]) / (a * d - b * c)[:, None]
