"""Two rows of teeth for FLAME, which has none: 120 vertices and 168 faces, the counts VHAP's files expect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from unseen.core.errors import InputError
from unseen.head.model import HeadModel

_COLUMNS, _ROWS = 15, 4
_UPPER_LIP, _LOWER_LIP = (60, 61, 62, 63, 64), (64, 65, 66, 67, 60)
"""iBUG points on the inner lips."""
_MOUTH_WIDTH_M = 0.047
"""Distance of the inner mouth corners for which the lengths below are given; they scale with it."""
_ARCH_HALF_WIDTH_M, _ARCH_DEPTH_M, _ARCH_ANGLE_RAD = 0.027, 0.034, math.radians(75)
_UPPER_ROWS_M = ((0.0060, -0.0055), (-0.0040, -0.0050), (-0.0040, -0.0070), (0.0060, -0.0115))
_LOWER_ROWS_M = ((-0.0110, -0.0085), (-0.0015, -0.0080), (-0.0015, -0.0100), (-0.0110, -0.0145))
"""Height over and depth behind the middle of the inner lips: gum and edge of the outer, edge and gum of the inner side.
The upper teeth stand in front of the lower ones."""


def add_teeth(model: HeadModel) -> HeadModel:
    """Append 60 vertices and 84 faces of upper, then of lower teeth behind the inner lips (V 5023 -> 5143 for FLAME).

    The upper teeth follow the neck joint (the skull), the lower the jaw. Identity moves each row by its lip's mean;
    expression, eyelids and pose correctives leave them alone; joints do not depend on them.

    Raises:
        InputError: the model has teeth already, or no "ibug68" landmarks to find the mouth by.
    """
    if "teeth" in model.regions:
        raise InputError(f"head model {model.variant!r} has teeth already")
    if "ibug68" not in model.landmarks:
        raise InputError(f"head model {model.variant!r} has no 'ibug68' landmarks, by which the mouth would be found")
    marks = model.landmarks["ibug68"].points(model.v_template, model.faces)
    upper, lower = _arch(marks, _UPPER_ROWS_M), _arch(marks, _LOWER_ROWS_M)
    first, count = model.num_vertices, len(upper)
    rows = {
        "upper_teeth": torch.arange(first, first + count),
        "lower_teeth": torch.arange(first + count, first + 2 * count),
    }
    grid = _grid_faces()
    faces = torch.cat([grid + first, grid.flip(-1) + first + count])

    def extend(value: Tensor, upper_row: Tensor, lower_row: Tensor) -> Tensor:
        return torch.cat([value, upper_row.expand(count, *value.shape[1:]), lower_row.expand(count, *value.shape[1:])])

    zero = model.v_template.new_zeros(())
    unit = torch.eye(5, dtype=model.dtype)
    lips = [model.faces[model.landmarks["ibug68"].face_idx[list(ids)]].unique() for ids in (_UPPER_LIP, _LOWER_LIP)]
    uvs, uv_faces = _uvs(model, grid)
    return replace(
        model,
        v_template=torch.cat([model.v_template, upper, lower]),
        faces=torch.cat([model.faces, faces]),
        shapedirs=extend(model.shapedirs, *(model.shapedirs[ids].mean(0) for ids in lips)),
        exprdirs=extend(model.exprdirs, zero, zero),
        posedirs=None if model.posedirs is None else torch.nn.functional.pad(model.posedirs, (0, 6 * count)),
        j_regressor=torch.nn.functional.pad(model.j_regressor, (0, 2 * count)),
        lbs_weights=extend(model.lbs_weights, unit[1], unit[2]),
        eyelid_dirs=None if model.eyelid_dirs is None else extend(model.eyelid_dirs, zero, zero),
        uvs=uvs,
        uv_faces=uv_faces,
        regions={**model.regions, **rows, "teeth": torch.arange(first, first + 2 * count)},
        appended_vertices=model.appended_vertices + 2 * count,
    )


def _arch(marks: Float[Tensor, "68 3"], rows_m: Sequence[tuple[float, float]]) -> Float[Tensor, "60 3"]:
    """Half an ellipse around the mouth cavity, swept over the rows; vertex = row * 15 + column, column 0 at -X."""
    middle = (marks[62] + marks[66]) / 2
    scale = float((marks[64] - marks[60]).norm()) / _MOUTH_WIDTH_M
    angle = torch.linspace(-_ARCH_ANGLE_RAD, _ARCH_ANGLE_RAD, _COLUMNS, dtype=marks.dtype)
    rows = []
    for height, behind in rows_m:
        inset = rows_m[1][1] - behind  # rows farther inside run on a smaller ellipse
        x = (_ARCH_HALF_WIDTH_M - inset) * angle.sin()
        z = behind - (_ARCH_DEPTH_M - inset) * (1 - angle.cos())
        rows.append(torch.stack([x, torch.full_like(x, height), z], -1))
    return middle + scale * torch.cat(rows)


def _grid_faces() -> Int[Tensor, "84 3"]:
    """Triangles of the 4 x 15 grid, counter-clockwise seen from outside for the upper row (gum above, edge below)."""
    row, column = torch.meshgrid(torch.arange(_ROWS - 1), torch.arange(_COLUMNS - 1), indexing="ij")
    a = (row * _COLUMNS + column).flatten()
    b, c, d = a + 1, a + _COLUMNS, a + _COLUMNS + 1
    return torch.stack([torch.stack([a, c, d], -1), torch.stack([a, d, b], -1)], 1).flatten(0, 1)


def _uvs(model: HeadModel, grid: Int[Tensor, "84 3"]) -> tuple[Tensor | None, Tensor | None]:
    """UVs of both rows in a strip at the top of the texture that FLAME's layout leaves free."""
    if model.uvs is None or model.uv_faces is None:
        return None, None
    u = torch.linspace(0.38, 0.62, _COLUMNS, dtype=model.dtype)
    strips = [
        torch.cat(
            [torch.stack([u, torch.full_like(u, float(v))], -1) for v in torch.linspace(top, top - 0.0105, _ROWS)]
        )
        for top in (0.9915, 0.9800)
    ]
    first, count = len(model.uvs), len(strips[0])
    faces = torch.cat([model.uv_faces, grid + first, grid.flip(-1) + first + count])
    return torch.cat([model.uvs, *strips]), faces
