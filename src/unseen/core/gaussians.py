"""The set of 3D Gaussians every job produces and every format stores."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.errors import ShapeError
from unseen.core.rotations import matrix_to_quaternion, quaternion_multiply
from unseen.core.sh import degree_of, rgb_to_sh0, sh0_to_rgb, sh_rotation


@dataclass(frozen=True)
class Gaussians:
    """N anisotropic 3D Gaussians with view-dependent colour, stored raw as the field's files store them.

    Attributes:
        means: centres in world units (metres for heads), [N, 3].
        quats: rotations, wxyz, not necessarily normalised, [N, 4].
        log_scales: natural logarithm of the standard deviation per principal axis, [N, 3].
        logit_opacities: opacity before the sigmoid, [N].
        sh0: band-0 spherical-harmonic coefficient per colour channel, [N, 3].
        shN: coefficients of the higher bands, coefficient-major, [N, K-1, 3] with K = 1, 4, 9 or 16.
    """

    means: Float[Tensor, "N 3"]
    quats: Float[Tensor, "N 4"]
    log_scales: Float[Tensor, "N 3"]
    logit_opacities: Float[Tensor, "N"]
    sh0: Float[Tensor, "N 3"]
    shN: Float[Tensor, "N Km1 3"]

    def __post_init__(self) -> None:
        n = self.means.shape[0]
        expected = {
            "means": (n, 3),
            "quats": (n, 4),
            "log_scales": (n, 3),
            "logit_opacities": (n,),
            "sh0": (n, 3),
            "shN": (n, self.shN.shape[1] if self.shN.ndim == 3 else -1, 3),
        }
        for name, shape in expected.items():
            got = tuple(getattr(self, name).shape)
            if got != shape:
                raise ShapeError(f"Gaussians.{name} has shape {got}, expected {shape}")
        try:
            degree_of(self.shN.shape[1] + 1)
        except ValueError as error:
            raise ShapeError(f"Gaussians.shN: {error}") from None

    def __len__(self) -> int:
        return self.means.shape[0]

    @property
    def scales(self) -> Float[Tensor, "N 3"]:
        """Standard deviations in world units."""
        return self.log_scales.exp()

    @property
    def opacities(self) -> Float[Tensor, "N"]:
        """Opacities in (0, 1)."""
        return self.logit_opacities.sigmoid()

    @property
    def sh_degree(self) -> int:
        """Highest band stored."""
        return degree_of(self.shN.shape[1] + 1)

    @property
    def sh(self) -> Float[Tensor, "N K 3"]:
        """All coefficients, band 0 first: the `colors` argument of `rasterization` with `sh_degree` set."""
        return torch.cat([self.sh0[:, None], self.shN], 1)

    @property
    def rgb(self) -> Float[Tensor, "N 3"]:
        """Band-0 colour, not clamped."""
        return sh0_to_rgb(self.sh0)

    @classmethod
    def from_rgb(
        cls,
        means: Float[Tensor, "N 3"],
        scales: Float[Tensor, "N 3"],
        quats: Float[Tensor, "N 4"],
        opacities: Float[Tensor, "N"],
        rgb: Float[Tensor, "N 3"],
    ) -> Gaussians:
        """Build from activated values: scales in world units, opacities in (0, 1), colours in [0, 1]; SH degree 0."""
        return cls(
            means, quats, scales.log(), torch.logit(opacities), rgb_to_sh0(rgb), means.new_zeros(len(means), 0, 3)
        )

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Gaussians:
        """Copy on another device or in another dtype."""
        return self.map(lambda t: t.to(device=device, dtype=dtype))

    def detach(self) -> Gaussians:
        """The same tensors without their autograd history."""
        return self.map(Tensor.detach)

    def map(self, function) -> Gaussians:
        """Apply `function` to every tensor."""
        return Gaussians(**{f.name: function(getattr(self, f.name)) for f in fields(self)})

    def select(self, index: Tensor) -> Gaussians:
        """The Gaussians at `index` (integers or a boolean mask)."""
        return self.map(lambda t: t[index])

    def finite(self) -> Gaussians:
        """Without the Gaussians that hold a NaN or an infinity anywhere."""
        ok = torch.ones(len(self), dtype=torch.bool, device=self.means.device)
        for field in fields(self):
            ok &= (
                getattr(self, field.name).flatten(1).isfinite().all(1)
                if field.name != "logit_opacities"
                else (self.logit_opacities.isfinite())
            )
        return self.select(ok)

    def transform(
        self, rotation: Float[Tensor, "3 3"], translation: Float[Tensor, "3"], scale: float = 1.0
    ) -> Gaussians:
        """Similarity transform x -> scale * R x + t of means, orientations, extents and view-dependent colours."""
        turn = sh_rotation(self.sh_degree, rotation)[1:, 1:].to(self.shN)
        rotation, translation = rotation.to(self.means), translation.to(self.means)
        return replace(
            self,
            means=scale * self.means @ rotation.T + translation,
            quats=quaternion_multiply(matrix_to_quaternion(rotation).expand_as(self.quats), self.quats),
            log_scales=self.log_scales + math.log(scale),
            shN=torch.einsum("kj,njc->nkc", turn, self.shN),
        )

    @staticmethod
    def cat(parts: list[Gaussians]) -> Gaussians:
        """All parts after each other; SH degrees are padded to the highest with zeros."""
        k = max(p.shN.shape[1] for p in parts)
        padded = [replace(p, shN=torch.cat([p.shN, p.shN.new_zeros(len(p), k - p.shN.shape[1], 3)], 1)) for p in parts]
        return Gaussians(**{f.name: torch.cat([getattr(p, f.name) for p in padded]) for f in fields(Gaussians)})
