"""A torso for heads that end at the neck: shoulders and upper chest below the neck's rim, following the root joint."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.interpolate import CubicSpline
from torch import Tensor

from unseen.core.errors import InputError
from unseen.head.model import HeadModel

_NECK_HALF_WIDTH_M = 0.108
"""Half width of the neck's rim for which the offsets below are given; they scale with it."""
_AROUND = (0.0, 0.16, 0.37, 0.49, 0.56, 0.68, 0.85, 1.0)
"""Where along the rim, from the throat (0) to the nape (1), the offsets below are given, by length."""
# fmt: off
_OFFSETS_MM = (
    ((0, -19, 9), (8, -20, 10), (23, -17, 6), (37, -12, 6), (38, -11, -1), (29, -17, -10), (14, -21, -10),
     (0, -20, -6)),
    ((0, -41, 17), (14, -43, 19), (41, -41, 12), (65, -31, 12), (69, -25, -1), (54, -40, -16), (26, -46, -16),
     (0, -45, -10)),
    ((0, -67, 25), (18, -70, 28), (51, -71, 18), (82, -61, 16), (88, -50, -1), (72, -71, -18), (34, -77, -18),
     (0, -74, -12)),
    ((0, -97, 32), (22, -100, 36), (57, -104, 23), (88, -101, 16), (95, -96, -1), (79, -109, -18), (38, -113, -18),
     (0, -110, -12)),
)
# fmt: on
"""Outwards, up and forward from the rim: at the collar bones, the shoulders, the arms, the chest."""
_ROWS = 10
"""Rows of new vertices below the rim."""


def with_torso(model: HeadModel) -> HeadModel:
    """Append shoulders and an upper chest to a head whose mesh ends at the neck, FLAME's above all.

    The new vertices continue the lowest open rim of the mesh. They follow the root joint alone, carry no expression,
    and move with identity as the rim does. The texture keeps its layout in the upper 85 % of the square; the torso,
    unrolled, takes the strip below. The parameters keep their meaning, so the variant stays.

    Raises:
        InputError: the model reaches below the neck already, or its mesh has no open rim to continue.
    """
    if "torso" in model.regions:
        raise InputError(f"head model {model.variant!r} has a torso already")
    rim = neck_rim(model)
    offsets = _offsets(model.v_template[rim].double().numpy())
    rows, count = offsets.shape[:2]
    vertices = (model.v_template[rim] + torch.from_numpy(offsets).to(model.v_template)).flatten(0, 1)
    first, new = model.num_vertices, rows * count
    ids = torch.cat([rim[None], first + torch.arange(new).view(rows, count)])
    directions = _smooth_around(model.shapedirs[rim]).repeat(rows, 1, 1)
    root = torch.eye(5, dtype=model.dtype)[0].expand(new, 5)
    uvs, uv_faces = _uvs(model, rows, count)
    torso = torch.arange(first, first + new)

    def still(value: Tensor) -> Tensor:
        return torch.cat([value, value.new_zeros(new, *value.shape[1:])])

    return replace(
        model,
        v_template=torch.cat([model.v_template, vertices]),
        faces=torch.cat([model.faces, _band(ids)]),
        shapedirs=torch.cat([model.shapedirs, directions]),
        exprdirs=still(model.exprdirs),
        posedirs=None if model.posedirs is None else torch.nn.functional.pad(model.posedirs, (0, 3 * new)),
        j_regressor=torch.nn.functional.pad(model.j_regressor, (0, new)),
        lbs_weights=torch.cat([model.lbs_weights, root]),
        eyelid_dirs=None if model.eyelid_dirs is None else still(model.eyelid_dirs),
        uvs=uvs,
        uv_faces=uv_faces,
        regions={**model.regions, "torso": torso, "boundary": torso[-count:]},
        appended_vertices=model.appended_vertices + new,
    )


def neck_rim(model: HeadModel) -> Int[Tensor, "N"]:
    """The lowest open rim of the mesh as a loop of vertices that starts at the throat and goes by the person's left.

    Raises:
        InputError: the mesh has no open rim.
    """
    faces = model.faces.numpy()
    edges = np.concatenate([faces[:, [k, (k + 1) % 3]] for k in range(3)])
    known = {(int(a), int(b)) for a, b in edges}
    following = {a: b for a, b in known if (b, a) not in known}
    if not following:
        raise InputError(f"the mesh of head model {model.variant!r} has no open rim below the neck to continue")
    height = model.v_template[:, 1].numpy()
    start = min(following, key=lambda v: float(height[v]))
    loop = [start]
    while following[loop[-1]] != start:
        loop.append(following[loop[-1]])
    points = model.v_template[loop].numpy()
    throat = int(np.argmax(points[:, 2] - 2.0 * np.abs(points[:, 0])))
    loop = loop[throat:] + loop[:throat]
    if model.v_template[loop[len(loop) // 4], 0] < 0:
        loop = loop[:1] + loop[:0:-1]
    return torch.tensor(loop)


def _offsets(rim: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "rows N 3"]:
    """Offsets of the new rows from the rim, metres."""
    scale = np.abs(rim[:, 0]).max() / _NECK_HALF_WIDTH_M
    steps = np.linalg.norm(np.diff(rim, axis=0, append=rim[:1]), axis=1)
    at = np.concatenate([[0.0], np.cumsum(steps)])
    nape = int(np.argmax(-rim[:, 2] - 2.0 * np.abs(rim[:, 0])))
    left = at[:-1] / at[nape]
    around = np.where(np.arange(len(rim)) <= nape, left, (at[-1] - at[:-1]) / (at[-1] - at[nape]))
    side = np.where(np.arange(len(rim)) <= nape, 1.0, -1.0)
    table = CubicSpline(_AROUND, 1e-3 * np.array(_OFFSETS_MM), axis=1)(around)
    knots = np.concatenate([np.zeros_like(table[:1]), table])
    depth = np.linspace(0.0, len(_OFFSETS_MM), _ROWS + 1)[1:]
    offsets = CubicSpline(np.arange(len(knots)), knots, axis=0)(depth)
    return offsets * scale * np.stack([side, np.ones_like(side), np.ones_like(side)], -1)


def _smooth_around(directions: Float[Tensor, "N 3 S"], passes: int = 4) -> Float[Tensor, "N 3 S"]:
    """Binomial smoothing along the closed rim."""
    for _ in range(passes):
        directions = (directions.roll(1, 0) + 2 * directions + directions.roll(-1, 0)) / 4
    return directions


def _band(ids: Int[Tensor, "rows N"]) -> Int[Tensor, "F 3"]:
    """Triangles of the closed rows, counter-clockwise seen from outside; columns run by the person's left."""
    a, d = ids[:-1], ids[:-1].roll(-1, 1)
    b, c = ids[1:], ids[1:].roll(-1, 1)
    return torch.stack([torch.stack([a, b, c], -1), torch.stack([a, c, d], -1)], 2).flatten(0, 2)


def _uvs(model: HeadModel, rows: int, count: int) -> tuple[Tensor | None, Tensor | None]:
    """Texture coordinates with the torso in a strip below the rest."""
    if model.uvs is None or model.uv_faces is None:
        return None, None
    u = torch.linspace(0.02, 0.98, count + 1, dtype=model.dtype)
    v = torch.linspace(0.14, 0.01, rows + 1, dtype=model.dtype)
    grid = torch.stack(torch.meshgrid(u, v, indexing="xy"), -1).flatten(0, 1)
    ids = len(model.uvs) + torch.arange(len(grid)).view(rows + 1, count + 1)
    a, b, c, d = ids[:-1, :-1], ids[1:, :-1], ids[1:, 1:], ids[:-1, 1:]
    strip = torch.stack([torch.stack([a, b, c], -1), torch.stack([a, c, d], -1)], 2).flatten(0, 2)
    kept = model.uvs * model.uvs.new_tensor([1.0, 0.85]) + model.uvs.new_tensor([0.0, 0.15])
    return torch.cat([kept, grid]), torch.cat([model.uv_faces, strip])
