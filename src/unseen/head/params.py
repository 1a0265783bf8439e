"""Per-frame head parameters, under VHAP's names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from unseen.core.errors import ShapeError

if TYPE_CHECKING:
    from unseen.head.model import HeadModel

FRAME_FIELDS = {
    "expr": None,
    "rotation": 3,
    "neck_pose": 3,
    "jaw_pose": 3,
    "eyes_pose": 6,
    "translation": 3,
    "eyelids": 2,
}
"""Fields with one row per frame, and their width (None: any)."""


@dataclass(frozen=True, eq=False)
class HeadParams:
    """One identity in T frames. Rotations are axis-angle vectors in radians, relative to the parent joint.

    Attributes:
        shape: identity coefficients, [S].
        expr: expression coefficients, [T, E].
        rotation: of the root joint (the whole head), [T, 3].
        neck_pose, jaw_pose: [T, 3].
        eyes_pose: left eye, then right eye, [T, 6].
        translation: metres, added last, [T, 3].
        eyelids: how far the left and the right eye are closed, 0 open to 1 closed, [T, 2]; zeros when not given;
            ignored by models without eyelid directions.
        static_offset: metres, added to the unposed template in every frame, [V, 3], or None.
        dynamic_offset: the same per frame, [T, V, 3], or None.
    """

    shape: Float[Tensor, "S"]
    expr: Float[Tensor, "T E"]
    rotation: Float[Tensor, "T 3"]
    neck_pose: Float[Tensor, "T 3"]
    jaw_pose: Float[Tensor, "T 3"]
    eyes_pose: Float[Tensor, "T 6"]
    translation: Float[Tensor, "T 3"]
    eyelids: Float[Tensor, "T 2"] = None  # type: ignore[assignment]
    static_offset: Float[Tensor, "V 3"] | None = None
    dynamic_offset: Float[Tensor, "T V 3"] | None = None

    def __post_init__(self) -> None:
        if self.eyelids is None:
            object.__setattr__(self, "eyelids", self.rotation.new_zeros(self.rotation.shape[0], 2))
        if self.shape.ndim != 1:
            raise ShapeError(f"HeadParams.shape has shape {tuple(self.shape.shape)}, expected [S]")
        frames = self.expr.shape[0]
        for name, width in FRAME_FIELDS.items():
            value = getattr(self, name)
            if value.ndim != 2 or value.shape[0] != frames or width not in (None, value.shape[1]):
                expected = f"[{frames}, {width or 'E'}]"
                raise ShapeError(f"HeadParams.{name} has shape {tuple(value.shape)}, expected {expected}")
        static, dynamic = self.static_offset, self.dynamic_offset
        if static is not None and (static.ndim != 2 or static.shape[1] != 3):
            raise ShapeError(f"HeadParams.static_offset has shape {tuple(static.shape)}, expected [V, 3]")
        if dynamic is not None and (dynamic.ndim != 3 or dynamic.shape[0] != frames or dynamic.shape[2] != 3):
            raise ShapeError(f"HeadParams.dynamic_offset has shape {tuple(dynamic.shape)}, expected [{frames}, V, 3]")

    @classmethod
    def zeros(cls, model: HeadModel, num_frames: int = 1) -> HeadParams:
        """The model's mean head, at rest, in `num_frames` frames."""
        widths = {name: width or model.num_expr for name, width in FRAME_FIELDS.items()}
        zeros = {name: model.v_template.new_zeros(num_frames, width) for name, width in widths.items()}
        return cls(shape=model.v_template.new_zeros(model.num_shape), **zeros)

    @classmethod
    def cat(cls, parts: Sequence[HeadParams]) -> HeadParams:
        """Frames of several pieces one after the other; shape and static offset are the first piece's.

        Raises:
            ShapeError: only some of the pieces have dynamic offsets.
        """
        joined = {name: torch.cat([getattr(p, name) for p in parts]) for name in FRAME_FIELDS}
        dynamic = [p.dynamic_offset for p in parts if p.dynamic_offset is not None]
        if len(dynamic) not in (0, len(parts)):
            raise ShapeError(f"{len(dynamic)} of {len(parts)} pieces have a dynamic_offset, expected all or none")
        return replace(parts[0], **joined, dynamic_offset=torch.cat(dynamic) if dynamic else None)

    def __len__(self) -> int:
        return self.expr.shape[0]

    @property
    def num_frames(self) -> int:
        """T."""
        return self.expr.shape[0]

    def __getitem__(self, frames: int | slice | Sequence[int] | Tensor) -> HeadParams:
        """The frames chosen; one index keeps T = 1."""
        if isinstance(frames, int):
            frames = range(self.num_frames)[frames]
            frames = slice(frames, frames + 1)
        names = [*FRAME_FIELDS] + ([] if self.dynamic_offset is None else ["dynamic_offset"])
        return replace(self, **{name: getattr(self, name)[frames] for name in names})

    def joint_rotations(self) -> Float[Tensor, "T 5 3"]:
        """Axis-angle vectors of root, neck, jaw, left eye, right eye."""
        joined = torch.cat([self.rotation, self.neck_pose, self.jaw_pose, self.eyes_pose], -1)
        return joined.unflatten(-1, (5, 3))

    def map(self, function: Callable[[Tensor], Tensor]) -> HeadParams:
        """Apply a function to every tensor."""
        present = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: function(value) for name, value in present.items() if value is not None})

    def detach(self) -> HeadParams:
        """Copies cut off from the graph."""
        return self.map(lambda x: x.detach().clone())

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> HeadParams:
        """Copy on another device or in another dtype."""
        return self.map(lambda x: x.to(device, dtype))

    def fitted_to(self, model: HeadModel) -> HeadParams:
        """The same head with exactly the model's numbers of coefficients and vertices, padded with zeros.

        Raises:
            ShapeError: what would be cut off is not zero, or the offsets belong to another mesh.
        """
        whole = model.full or model
        offsets = {
            name: match_length(value, whole.num_vertices, name, dim=-2, exact=True, padding=whole.appended_vertices)
            for name in ("static_offset", "dynamic_offset")
            if (value := getattr(self, name)) is not None
        }
        shape = match_length(self.shape, model.num_shape, "shape", exact=True, padding=model.num_shape)
        expr = match_length(self.expr, model.num_expr, "expr", exact=True, padding=model.num_expr)
        return replace(self, shape=shape, expr=expr, **offsets)


def match_length(
    value: Tensor, length: int, name: str, *, dim: int = -1, exact: bool, padding: int | None = None
) -> Tensor:
    """Bring dimension `dim` to `length`: cut an excess of zeros, fill a lack of at most `padding` entries with zeros.

    With `exact` false a shorter tensor passes as it is.

    Raises:
        ShapeError: the excess is not zero, or too much is lacking.
    """
    got = value.shape[dim]
    if got == length or (got < length and not exact):
        return value
    if got > length:
        if bool(value.detach().narrow(dim, length, got - length).any()):
            raise ShapeError(
                f"{name} has {got} entries where the head model has {length}, and those beyond are not zero: "
                "these parameters belong to another head model"
            )
        return value.narrow(dim, 0, length)
    if length - got > (padding or 0):
        raise ShapeError(
            f"{name} has {got} entries where the head model has {length}: it belongs to another head model"
        )
    return pad(value, [0, 0] * (-1 - dim) + [0, length - got])
