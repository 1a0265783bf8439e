"""Which photos show best what a camera sees."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unseen.core.camera import Camera

FEWEST_POINTS = 20
"""With fewer in view, points are made up in the view's frustum."""
MOST_POINTS = 1000
SHARPNESS = 4
"""Power of the cosine between two rays to a point: at 33 degrees it is seen half as alike."""
POSE_WEIGHT = 1e-3
"""Of the likeness of poses, which decides between photos that show equally much."""
_DEPTHS, _GRID = (0.5, 1.0, 2.0, 4.0), 6


def best_references(
    camera: Camera, others: Sequence[Camera], points: Float[Tensor, "P 3"], count: int
) -> list[int]:  # fmt: skip
    """Numbers of the cameras whose photos show most of what `camera` sees, at most `count`.

    A point both see counts by how alike it looks: the cosine of the angle between the two rays to the fourth power,
    times the ratio of the two distances. The first camera is the one with the greatest sum; every other one adds most
    to what the ones before it show. Walls hide nothing here; that rays are alike makes up for most of it.

    Args:
        camera: where a picture is to be helped.
        others: of photos.
        points: on the scene's surfaces; where too few are in view, points along the view are taken instead.
        count: at most.
    """
    if not others:
        return []
    scores = likeness(camera, others, points)
    scale = distances(camera, others).median().clamp_min(1e-9)
    closeness = POSE_WEIGHT / (1 + unlikeness(camera, others, scale))
    chosen: list[int] = []
    covered = torch.zeros(scores.shape[1])
    for _ in range(min(count, len(others))):
        gain = torch.maximum(scores, covered).mean(1) + closeness
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
        covered = torch.maximum(covered, scores[chosen[-1]])
    return chosen


def likeness(
    camera: Camera, others: Sequence[Camera], points: Float[Tensor, "P 3"]
) -> Float[Tensor, "O S"]:  # fmt: skip
    """How alike other cameras see the points that `camera` sees, 0 to 1, 0 where a point is out of view."""
    seen = points[in_view(camera, points)]
    if len(seen) < FEWEST_POINTS:
        seen = _frustum(camera, others)
    seen = seen[:: -(-len(seen) // MOST_POINTS)]
    rows = []
    own = seen - camera.center
    for other in others:
        ray = seen - other.center
        cosine = torch.nn.functional.cosine_similarity(own, ray, dim=1).clamp_min(0)
        near, far = torch.stack([own.norm(dim=1), ray.norm(dim=1)]).aminmax(dim=0)
        rows.append(in_view(other, seen) * cosine**SHARPNESS * near / far.clamp_min(1e-9))
    return torch.stack(rows)


def in_view(camera: Camera, points: Float[Tensor, "P 3"]) -> Bool[Tensor, "P"]:
    """Which points lie before a camera, within its picture."""
    pixels, depth = camera.project(points)
    size = pixels.new_tensor([camera.width, camera.height])
    return (depth > 0) & ((pixels >= 0) & (pixels < size)).all(-1)


def _frustum(camera: Camera, others: Sequence[Camera]) -> Float[Tensor, "S 3"]:
    """Points on a grid of rays, at depths that go with the distances between the cameras."""
    scale = float(distances(camera, others).median()) or 1.0
    steps = (torch.arange(_GRID) + 0.5) / _GRID
    y, x = torch.meshgrid(steps * camera.height, steps * camera.width, indexing="ij")
    depths = scale * torch.tensor(_DEPTHS)[:, None].expand(-1, _GRID**2)
    pixels = torch.stack([x, y], -1).reshape(-1, 2).expand(len(_DEPTHS), -1, -1)
    return camera.unproject(pixels, depths).reshape(-1, 3)


def distances(camera: Camera, others: Sequence[Camera]) -> Float[Tensor, "O"]:
    """From one camera to others."""
    return (torch.stack([other.center for other in others]) - camera.center).norm(dim=1)


def unlikeness(camera: Camera, others: Sequence[Camera], scale: float | Tensor) -> Float[Tensor, "O"]:
    """How unlike a camera's pose others' are: distance in units of `scale`, and the angle between the axes in
    radians."""
    axes = torch.stack([other.world_to_camera[2, :3] for other in others]) @ camera.world_to_camera[2, :3]
    return distances(camera, others) / scale + torch.acos(axes.clamp(-1, 1))
