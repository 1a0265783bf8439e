"""What a rasterisation call asks for, apart from its tensors: shared by the backends."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from jaxtyping import Float
from torch import Tensor

ALPHA_MAX = 0.999
"""Opacity of one Gaussian at one pixel is capped here."""
ALPHA_MIN = 1.0 / 255.0
"""A Gaussian below this opacity at a pixel is skipped there."""
TRANSMITTANCE_MIN = 1e-4
"""A pixel ends before the Gaussian that would bring its transmittance to this value or below."""
FRUSTUM_MARGIN = 0.3
"""The Jacobian of the projection is taken at most this share of half the field of view outside the image."""

DepthChannel = Literal["none", "append", "only"]


@dataclass(frozen=True)
class Settings:
    """Everything about a call that is not a tensor.

    Attributes:
        width, height: image size in pixels.
        near_plane, far_plane: camera-frame depths outside which a Gaussian is left out, world units.
        sh_degree: bands evaluated, or None when `colors` are colours.
        eps2d: added to both diagonal entries of every 2D covariance, pixels^2.
        antialiased: multiply opacities by sqrt(det before eps2d / det after).
        absgrad: leave the sum over pixels of absolute gradients in `means2d.absgrad` at backward.
        depth: whether the accumulated depth is rendered as last channel, alone, or not at all.
    """

    width: int
    height: int
    near_plane: float
    far_plane: float
    sh_degree: int | None
    eps2d: float
    antialiased: bool
    absgrad: bool
    depth: DepthChannel


class Scene(NamedTuple):
    """The tensors of a call, already checked; the arguments of `rasterization` under their own names."""

    means: Float[Tensor, "N 3"]
    quats: Float[Tensor, "N 4"]
    scales: Float[Tensor, "N 3"]
    opacities: Float[Tensor, "N"]
    colors: Float[Tensor, "N D"] | Float[Tensor, "C N D"] | Float[Tensor, "N K D"] | Float[Tensor, "C N K D"]
    viewmats: Float[Tensor, "C 4 4"]
    Ks: Float[Tensor, "C 3 3"]
    backgrounds: Float[Tensor, "C D"] | None
