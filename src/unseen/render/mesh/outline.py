"""The outline of a projected mesh: which edges bound it, and integrals along it."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from unseen.render.mesh.geometry import MeshEdges
from unseen.render.mesh.rasterize import BAND_ROWS, bin_faces, inside, setup_faces

PROBE_PX = 1e-4  # how far beside an edge its two sides are tested for coverage


def outline_candidates(xy: np.ndarray, in_front: np.ndarray, faces: np.ndarray, edges: MeshEdges) -> np.ndarray:
    """Ids of the edges that can bound the silhouette: between a front and a back face, or irregular. [N]."""
    if not len(faces):
        return np.zeros(0, np.int64)
    a, b, c = (xy[faces[:, i]] for i in range(3))
    front = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) < (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    hidden = ~in_front[faces].all(1)  # faces that are not drawn leave an open edge behind
    pair = edges.faces
    differ = (front[pair[:, 0]] != front[pair[:, 1]]) | (hidden[pair[:, 0]] != hidden[pair[:, 1]])
    return np.flatnonzero((differ | edges.irregular) & in_front[edges.vertices].all(1))


def edge_integral(
    xy: np.ndarray, faces: np.ndarray, segments: np.ndarray, upstream: np.ndarray, out: np.ndarray
) -> None:
    """Add to `out` [V, 2] the derivative of sum(upstream * coverage) with respect to the projected vertices.

    Args:
        xy: projected vertices in pixels, [V, 2] float64.
        faces: the faces drawn, [F, 3].
        segments: end points of the candidate edges, [S, 2].
        upstream: weight of each pixel's coverage, [H, W].
    """
    height, width = upstream.shape
    if not len(faces) or not len(segments):
        return
    owner, span, pixel = _cut(xy, segments, height, width)
    order = np.argsort(pixel, kind="stable")
    owner, span, pixel = _split(xy, segments, owner[order], span[order], pixel[order])
    first = np.searchsorted(pixel, np.arange(height * width + 1)).astype(np.int64)
    a, b = xy[segments[owner, 0]], xy[segments[owner, 1]]
    along = b - a
    length = np.hypot(along[:, 0], along[:, 1])
    normal = np.stack([along[:, 1], -along[:, 0]], 1) / length[:, None]
    middle = span.mean(1)
    point = a + middle[:, None] * along
    q = np.concatenate([xy, np.ones((len(xy), 1))], 1)
    normals, _, box = setup_faces(q, faces, height, width, 0.0, False, 0.5 + 2 * PROBE_PX)
    start, items = bin_faces(box, (height + BAND_ROWS - 1) // BAND_ROWS)
    sides = np.zeros((len(owner), 2), np.bool_)
    _probe(normals, box, start, items, first, width, point, normal * PROBE_PX, sides)
    gain = upstream.reshape(-1)[pixel] * (span[:, 1] - span[:, 0]) * length
    gain *= sides[:, 1].astype(np.float64) - sides[:, 0]
    for end, share in ((0, 1 - middle), (1, middle)):
        np.add.at(out, segments[owner, end], (gain * share)[:, None] * normal)


@njit(cache=True, inline="always")
def covers(n, x, y):
    for k in range(3):  # noqa: SIM110 - numba
        if not inside(n[k, 0] * x + n[k, 1] * y + n[k, 2], n[k, 0], n[k, 1], n[k, 2]):
            return False
    return True


@njit(cache=True, inline="always")
def _next_crossing(t, start, delta):
    """Parameter beyond `t` at which start + t * delta next meets an integer."""
    if delta == 0.0:
        return np.inf
    here = start + t * delta
    target = math.floor(here + 1e-9) + 1.0 if delta > 0 else math.ceil(here - 1e-9) - 1.0
    return (target - start) / delta


@njit(cache=True, inline="always")
def _clip(start, delta, t0, t1, size):
    """The part of [t0, t1] in which start + t * delta lies in [0, size]; empty parts come back as t0 >= t1."""
    if delta == 0.0:
        return (t0, t1) if 0.0 <= start <= size else (1.0, 0.0)
    enter, leave = -start / delta, (size - start) / delta
    return max(t0, min(enter, leave)), min(t1, max(enter, leave))


@njit(cache=True)
def _cut(xy, segments, height, width):
    """Cut segments along the pixel grid: owning segment [N], parameter range [N, 2] and pixel index [N] of pieces."""
    owner, span, pixel = [], [], []
    for s in range(len(segments)):
        ax, ay = xy[segments[s, 0]]
        dx, dy = xy[segments[s, 1], 0] - ax, xy[segments[s, 1], 1] - ay
        t, stop = _clip(ax, dx, 0.0, 1.0, width)
        t, stop = _clip(ay, dy, t, stop, height)
        if dx == 0.0 and dy == 0.0:
            continue
        while t < stop:
            end = min(stop, _next_crossing(t, ax, dx), _next_crossing(t, ay, dy))
            end = max(end, t + 1e-9)
            middle = 0.5 * (t + end)
            column = min(width - 1, max(0, math.floor(ax + middle * dx)))
            row = min(height - 1, max(0, math.floor(ay + middle * dy)))
            owner.append(s)
            span.append((t, end))
            pixel.append(row * width + column)
            t = end
    spans = np.empty((len(span), 2))
    for i in range(len(span)):
        spans[i, 0], spans[i, 1] = span[i]
    return np.array(owner, np.int64), spans, np.array(pixel, np.int64)


@njit(cache=True)
def _split(xy, segments, owner, span, pixel):
    """Cut the pieces (sorted by pixel) where two of one pixel cross: only there can an edge go into hiding."""
    owners, spans, pixels = [], [], []
    first = 0
    for p in range(len(owner)):
        if pixel[first] != pixel[p]:
            first = p
        cuts = [span[p, 0], span[p, 1]]
        other = first
        while other < len(owner) and pixel[other] == pixel[p]:
            if other != p:
                t = _crossing(xy, segments[owner[p]], segments[owner[other]])
                if span[p, 0] < t < span[p, 1]:
                    cuts.append(t)
            other += 1
        cuts.sort()
        for i in range(len(cuts) - 1):
            owners.append(owner[p])
            spans.append((cuts[i], cuts[i + 1]))
            pixels.append(pixel[p])
    result = np.empty((len(spans), 2))
    for i in range(len(spans)):
        result[i, 0], result[i, 1] = spans[i]
    return np.array(owners, np.int64), result, np.array(pixels, np.int64)


@njit(cache=True, inline="always")
def _crossing(xy, one, two):
    """Parameter along segment `one` at which segment `two` crosses it, -1 where it does not."""
    ax, ay = xy[one[0]]
    bx, by = xy[two[0]]
    ux, uy = xy[one[1], 0] - ax, xy[one[1], 1] - ay
    vx, vy = xy[two[1], 0] - bx, xy[two[1], 1] - by
    det = ux * vy - uy * vx
    if det == 0.0:
        return -1.0
    t = ((bx - ax) * vy - (by - ay) * vx) / det
    u = ((bx - ax) * uy - (by - ay) * ux) / det
    return t if 0.0 <= u <= 1.0 else -1.0


@njit(cache=True, parallel=True)
def _probe(normals, box, start, items, first, width, point, step, sides):
    """Whether any face covers the points beside each piece; pieces of pixel p are first[p]..first[p + 1]."""
    height = (len(first) - 1) // width
    for band in prange(len(start) - 1):
        top, bottom = band * BAND_ROWS, min((band + 1) * BAND_ROWS, height)
        for item in range(start[band], start[band + 1]):
            f = items[item]
            for iy in range(max(top, box[f, 2]), min(bottom, box[f, 3])):
                for ix in range(box[f, 0], box[f, 1]):
                    for p in range(first[iy * width + ix], first[iy * width + ix + 1]):
                        x, y = point[p]
                        if not sides[p, 0]:
                            sides[p, 0] = covers(normals[f], x + step[p, 0], y + step[p, 1])
                        if not sides[p, 1]:
                            sides[p, 1] = covers(normals[f], x - step[p, 0], y - step[p, 1])
