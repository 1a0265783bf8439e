"""What the visual autoregressive fixer is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unseen.core.errors import InputError
from unseen.priors.architecture import Architecture


@dataclass(frozen=True)
class FixerConfig(Architecture):
    """One architecture, any size.

    Attributes:
        image_size: side of the square pictures it works on, pixels; other sizes are tiled.
        patch_nums: sides of the token maps, from coarse to fine; the last is that of the latents.
        phi_map: which of the quantiser's convolutions refines each scale; that of the last is not used.
        vqvae: `ch`, `ch_mult` (widths at each halving of the picture), `encoder_blocks`, `decoder_blocks` (per level),
            `z` (channels of the latents), `codebook` (entries), `phis` (convolutions shared by the scales), `groups`
            (of group norms), `bridge` (whether the decoder looks at the render).
        transformer: `depth`, `width`, `heads`, `mlp_ratio`, `classes` (kinds of views: 0 render, 1 reference),
            `prefix` (channels of the encoder of pictures, after each halving; its last convolution has `width`),
            `latents` (whether each token sees, of its own view, the latents it is about).
        refiner: `width`, `depth`, `steps` (of the sampler), `scale` (of residuals over what the network sees).
        longest: longer side of the pictures it works on, pixels: larger ones are repaired at that size, and what is
            changed is enlarged; 0: it works on all as they are.
        expected: tokens are decoded as the mean of the codebook's entries, each as likely as the transformer says, not
            as one of them: closer to the truth on average, and less sharp.
        mirrored: pictures are repaired twice, as they are and mirrored left to right, and the two averaged.
    """

    image_size: int
    patch_nums: tuple[int, ...]
    phi_map: tuple[int, ...]
    vqvae: dict[str, Any]
    transformer: dict[str, Any]
    refiner: dict[str, Any]
    longest: int = 0
    expected: bool = False
    mirrored: bool = False

    def __post_init__(self) -> None:
        if self.image_size != self.stride * self.patch_nums[-1]:
            raise InputError(
                f"pictures of {self.image_size} pixels have latents of {self.image_size / self.stride:g} a side, but "
                f"the last scale has {self.patch_nums[-1]}: expected the same"
            )
        if len(self.phi_map) != len(self.patch_nums):
            raise InputError(
                f"{len(self.phi_map)} entries in phi_map for {len(self.patch_nums)} scales: expected one each"
            )
        if 0 < self.longest < self.image_size:
            raise InputError(
                f"pictures shrunk to {self.longest} pixels for tiles of {self.image_size}: expected as many or more"
            )

    @property
    def stride(self) -> int:
        """Side of a picture over that of its latents."""
        return int(2 ** (len(self.vqvae["ch_mult"]) - 1))

    @property
    def latent_side(self) -> int:
        """Of a picture's latents."""
        return self.patch_nums[-1]

    @property
    def prefix_tokens(self) -> int:
        """That tell the transformer what a view shows, before the start token."""
        return self.latent_side**2

    @property
    def tokens(self) -> int:
        """Predicted per view, over all scales."""
        return sum(side**2 for side in self.patch_nums)

    def worked_on(self, height: int, width: int) -> tuple[int, int]:
        """Height and width at which pictures of a size are repaired."""
        factor = min(1.0, self.longest / max(height, width)) if self.longest else 1.0
        return max(1, round(height * factor)), max(1, round(width * factor))

    @classmethod
    def named(cls, name: str) -> FixerConfig:
        """`varsr` or `tiny`.

        Raises:
            InputError: another name.
        """
        if name not in NAMED:
            raise InputError(f"no fixer configuration {name!r}: expected one of {', '.join(NAMED)}")
        return NAMED[name]()


def varsr() -> FixerConfig:
    """The published size, of VARSR and GS-VAR: 1.1 billion parameters and 167 million of the VQ-VAE with its bridge."""
    return FixerConfig(
        image_size=512,
        patch_nums=(1, 2, 3, 4, 6, 9, 13, 18, 24, 32),
        phi_map=(0, 0, 1, 1, 1, 2, 2, 3, 3, 3),
        vqvae=_vqvae(160, (1, 1, 2, 2, 4), (2, 3), 32, 4096, 32),
        transformer=_transformer(24, 1536, 24, (32, 128, 256, 512, 1536), latents=False),
        refiner={"width": 1024, "depth": 6, "steps": 10, "scale": 0.6},
    )


def tiny() -> FixerConfig:
    """The one that comes with the package: the same modules, 9 million parameters, for pictures shrunk so far that a
    tile shows most of what there is. One norm group per layer: more of them lose the colours of a picture. Its tokens
    see the latents they repair, and are decoded as expected: few steps teach it what to change."""
    return FixerConfig(
        image_size=64,
        patch_nums=(1, 2, 3, 4, 6, 8),
        phi_map=(0, 0, 1, 2, 3, 3),
        vqvae=_vqvae(16, (1, 2, 4, 6), (1, 1), 16, 1024, 1),
        transformer=_transformer(6, 192, 6, (32, 64, 128, 192), latents=True),
        refiner={"width": 256, "depth": 3, "steps": 10, "scale": 0.6},
        longest=112,
        expected=True,
        mirrored=True,
    )


NAMED = {"varsr": varsr, "tiny": tiny}


def _vqvae(
    ch: int, ch_mult: tuple[int, ...], blocks: tuple[int, int], z: int, codebook: int, groups: int
) -> dict[str, Any]:
    return {
        "ch": ch,
        "ch_mult": ch_mult,
        "encoder_blocks": blocks[0],
        "decoder_blocks": blocks[1],
        "z": z,
        "codebook": codebook,
        "phis": 4,
        "groups": groups,
        "bridge": True,
    }


def _transformer(depth: int, width: int, heads: int, prefix: tuple[int, ...], *, latents: bool) -> dict[str, Any]:
    return {
        "depth": depth,
        "width": width,
        "heads": heads,
        "mlp_ratio": 4,
        "classes": 2,
        "prefix": prefix,
        "latents": latents,
    }
