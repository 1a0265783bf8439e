"""Sliders that add expression and pose to a head in motion: what they change, and samples of it for pages that show a
head without its model."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.rotations import axis_angle_to_matrix
from unseen.head.model import HeadModel
from unseen.head.params import HeadParams

NUM_EXPRESSIONS = 6


@dataclass(frozen=True)
class Slider:
    """One column of a head's parameters that is added to.

    Attributes:
        name: for people, with the unit.
        field, column: of `HeadParams`.
        low, high, step: of what is added.
        samples: values at which the vertices are sampled; one is enough where they move along straight lines.
    """

    name: str
    field: str
    column: int
    low: float
    high: float
    step: float
    samples: tuple[float, ...]

    def added(self, params: HeadParams, value: float) -> HeadParams:
        """The parameters with `value` added in every frame."""
        column = getattr(params, self.field).clone()
        column[:, self.column] += value
        return replace(params, **{self.field: column})


_JOINTS = (
    Slider("jaw (rad)", "jaw_pose", 0, -0.1, 0.5, 0.01, (-0.1, 0.17, 0.33, 0.5)),
    Slider("neck nod (rad)", "neck_pose", 0, -0.5, 0.5, 0.01, (-0.5, -0.25, 0.25, 0.5)),
    Slider("neck turn (rad)", "neck_pose", 1, -0.8, 0.8, 0.01, (-0.8, -0.53, -0.27, 0.27, 0.53, 0.8)),
)
_LIDS = tuple(
    Slider(f"{side} eyelid", "eyelids", column, 0.0, 1.0, 0.05, (1.0,)) for column, side in enumerate(("left", "right"))
)


def sliders_of(model: HeadModel) -> tuple[Slider, ...]:
    """Jaw, neck, eyelids where the model has them, and its first expressions."""
    number = min(NUM_EXPRESSIONS, model.num_expr)
    expressions = tuple(Slider(f"expression {i}", "expr", i, -3.0, 3.0, 0.05, (3.0,)) for i in range(number))
    return (*_JOINTS, *(_LIDS if model.eyelid_dirs is not None else ()), *expressions)


@dataclass(frozen=True)
class SampledSliders:
    """What sliders do to the vertices of a moving head, so that it can be shown without the model.

    In between samples and zero, vertices are taken to move along straight lines.

    Attributes:
        sliders: M values are sampled in all, slider after slider.
        moves: metres, in the axes of the head at rest, [M, V, 3].
        turns: the head's rotation in each frame of the motion, by which `moves` are turned, [T, 3, 3].
    """

    sliders: tuple[Slider, ...]
    moves: Float[Tensor, "M V 3"]
    turns: Float[Tensor, "T 3 3"]


def sample_sliders(model: HeadModel, params: HeadParams) -> SampledSliders:
    """The sliders of a model, sampled for an identity and its motion."""
    sliders = sliders_of(model)
    rest = replace(HeadParams.zeros(model, 1), shape=params.shape, static_offset=params.static_offset)
    with torch.no_grad():
        still = model.vertices(rest)[0]
        posed = [model.vertices(slider.added(rest, value))[0] for slider in sliders for value in slider.samples]
        turns = axis_angle_to_matrix(params.rotation) @ axis_angle_to_matrix(params.neck_pose)
    return SampledSliders(sliders, torch.stack(posed) - still, turns)
