"""The visual autoregressive fixer, put together: renders and photos in, repaired renders out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn
from torch.nn.functional import interpolate, pad

from unseen.core.errors import InputError
from unseen.io.atomic import PathLike
from unseen.priors.fixer.colour import ColourFix, fix_colours
from unseen.priors.fixer.config import FixerConfig
from unseen.priors.fixer.decoding import DecodedTokens, Known, Sampling, decode, refined
from unseen.priors.fixer.fixing import Fixed, agreement, check_views
from unseen.priors.fixer.refiner import Draw
from unseen.priors.fixer.tiling import Tiling, fit_in, resized
from unseen.priors.fixer.transformer import FixerTransformer
from unseen.priors.fixer.vqvae import VQVAE, Decoded
from unseen.priors.pipeline import KeptPipeline

KIND = "unseen-fixer"
TINY = Path(__file__).with_name("tiny")
PUBLISHED_PREFIX = "gsvar:"
OVERLAP = 0.25
"""Of neighbouring tiles, in their sides."""

Refining = Literal["sampled", "mean", "none"]


class FixerPipeline(KeptPipeline):
    """GS-VAR's prior: what renders would look like had the place been seen well.

    Args:
        config: what it is made of.
        vqvae, transformer: its networks.

    Attributes:
        device: where it computes; its inputs are brought there.
        batch: tiles worked on at once.
        sampling: how tokens are chosen.
        refining: what tokens leave out is `sampled` from seeded noise, the `mean` at every step, or left out (`none`).
        colour: how the render's colours are kept. By default a bridge sees to them, without one their low frequencies
            are the render's.
        shared_scales: coarsest scales that tiles of one picture have in common, predicted for the whole at once.
    """

    kind = KIND
    config: FixerConfig

    def __init__(self, config: FixerConfig, vqvae: VQVAE, transformer: FixerTransformer) -> None:
        self.config, self.vqvae, self.transformer = config, vqvae, transformer
        self.batch = 4
        self.sampling = Sampling(expected=config.expected)
        self.refining: Refining = "none" if config.expected else "sampled"
        self.colour: ColourFix = "none" if vqvae.has_bridge else "wavelet"
        self.shared_scales = 2

    @classmethod
    def random(cls, config: FixerConfig) -> FixerPipeline:
        """With random weights: to train, and to measure speed."""
        transformer = FixerTransformer(config)
        transformer.initialise()
        return cls(config, VQVAE(config), transformer)

    def with_bridge(self) -> FixerPipeline:
        """The same, with a new bridge if it has none: to train it."""
        if self.vqvae.has_bridge:
            return self
        config = replace(self.config, vqvae=self.config.vqvae | {"bridge": True})
        vqvae = VQVAE(config).to(self.device)
        vqvae.load_state_dict(self.vqvae.state_dict(), strict=False)
        return FixerPipeline(config, vqvae, self.transformer)

    def modules(self) -> dict[str, nn.Module]:
        """The networks by the names of their folders."""
        return {"vqvae": self.vqvae, "transformer": self.transformer}

    # ---- weights

    @classmethod
    def from_pretrained(
        cls, name: PathLike, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> FixerPipeline:
        """Load a model: "tiny", a folder that `save_pretrained` wrote, or "gsvar:FILE[,FILE]", published checkpoints
        (see `published.open_published`).

        Raises:
            InputError: no such model, or another kind of model.
            FormatError: a damaged file, or weights that do not fit, named.
        """
        if str(name).startswith(PUBLISHED_PREFIX):
            from unseen.priors.fixer.published import open_published

            return open_published(str(name).removeprefix(PUBLISHED_PREFIX), dtype).to(device)
        folder = _folder(name)
        model = cls.random(FixerConfig.of_folder(folder, KIND)).fill(folder)
        return model.to(device, None if dtype == torch.float32 else dtype)

    # ---- repairing

    @torch.no_grad()
    def fix(
        self, renders: Float[Tensor, "V H W 3"], references: Sequence[Float[Tensor, "R H W 3"]], *, seed: int = 0
    ) -> Fixed:
        """Repair renders (see `Fixer.fix`). All renders of a call have the same noise at the same place.

        Raises:
            ShapeError: renders or references that do not fit each other.
            NonFiniteError: NaN or infinity in them.
        """
        check_views(renders, references)
        full = (renders.shape[1], renders.shape[2])
        size = self.config.worked_on(*full)
        if size == full:
            return self._averaged(renders, references, seed)
        small, *photos = (at_size(images, size).clamp(0, 1) for images in (renders, *references))
        found = self._averaged(small, photos, seed)
        images = (renders + at_size(found.images - small, full)).clamp(0, 1)
        return Fixed(images, at_size(found.weights[..., None], full)[..., 0].clamp(0, 1))

    def _averaged(
        self, renders: Float[Tensor, "V H W 3"], references: Sequence[Float[Tensor, "R H W 3"]], seed: int
    ) -> Fixed:
        """At the size they have, of one look at them or of two."""
        found = self._fixed(renders, references, seed)
        if not self.config.mirrored:
            return found
        other = self._fixed(renders.flip(2), [photos.flip(2) for photos in references], seed)
        return Fixed((found.images + other.images.flip(2)) / 2, (found.weights + other.weights.flip(2)) / 2)

    def _fixed(
        self, renders: Float[Tensor, "V H W 3"], references: Sequence[Float[Tensor, "R H W 3"]], seed: int
    ) -> Fixed:
        """One look."""
        images = torch.empty_like(renders, dtype=torch.float32)
        weights = images.new_empty(images.shape[:3])
        for members in self._batches(renders, references):
            given = [torch.cat([renders[v][None], references[v].to(renders)]) for v in members]
            views = torch.stack(given).to(self.device, torch.float32)
            found, mask = self._repaired(views.movedim(-1, 2) * 2 - 1, seed)
            fixed = fix_colours(found, views[:, 0], self.colour).clamp(0, 1)
            images[members] = fixed.to(images)
            weights[members] = (agreement(fixed, views[:, 0]) if mask is None else mask).to(weights)
        return Fixed(images, weights)

    def _batches(self, renders: Tensor, references: Sequence[Tensor]) -> Iterator[list[int]]:
        """Renders worked on together: with as many references each, and not too many tiles."""
        fitted, _ = fit_in(renders[:1].movedim(-1, 1), self.config.stride, self.config.image_size)
        tiles = len(self._tiling().scaled(self.config.stride).places(*fitted.shape[2:]))
        at_once = max(1, self.batch // tiles)
        for count in sorted({len(photos) for photos in references}):
            members = [v for v, photos in enumerate(references) if len(photos) == count]
            yield from (members[k : k + at_once] for k in range(0, len(members), at_once))

    def _repaired(
        self, views: Float[Tensor, "B V 3 H W"], seed: int
    ) -> tuple[Float[Tensor, "B H W 3"], Float[Tensor, "B H W"] | None]:
        """Renders of one batch repaired, in [0, 1], before their colours are set right, and what their bridge has taken
        from the tokens, not from the render; `views` in [-1, 1]."""
        planes, fitting = fit_in(views.flatten(0, 1), self.config.stride, self.config.image_size)
        views = planes.unflatten(0, views.shape[:2])
        decoded = self.decoded(self._latents(views, seed), views[:, 0])
        images = fitting.undo(decoded.images.float().clamp(-1, 1)).movedim(1, -1) / 2 + 0.5
        return images, None if decoded.mask is None else fitting.undo(decoded.mask.float()).mean(1).clamp(0, 1)

    def _latents(self, views: Float[Tensor, "B V 3 H W"], seed: int) -> Float[Tensor, "B z h w"]:
        """Of repaired renders, from tiles."""
        generator = Generator().manual_seed(seed)
        stride, tiling = self.config.stride, self._tiling()
        height, width = (side // stride for side in views.shape[3:])
        tiles = tiling.scaled(stride).cut(views.flatten(1, 2)).unflatten(1, views.shape[1:3])
        coarse = self._shared(views, generator) if self.shared_scales and len(tiles) > len(views) else []
        parts = []
        for first in range(0, len(tiles), self.batch):
            some = slice(first, first + self.batch)
            found = self.tokens(tiles[some], generator, [each[some] for each in coarse])
            parts.append((found.fhat[:, 0], found.condition[:, 0]))
        fhat, condition = (torch.cat(each) for each in zip(*parts, strict=True))
        noise = _AnchoredNoise(seed, tiling, (self.config.vqvae["z"], height, width), len(views))
        return tiling.join(self.refined(fhat, condition, noise), height, width)

    def tokens(
        self, pictures: Float[Tensor, "B V 3 S S"], generator: Generator | None = None,
        coarse: Sequence[Int[Tensor, "B L"]] = (),
    ) -> DecodedTokens:  # fmt: skip
        """Tokens of renders, each with its references after it.

        Args:
            pictures: in [-1, 1], of the model's size.
            generator: of what `sampling` leaves to chance.
            coarse: tokens of the renders' coarsest scales, where they are known.
        """
        return self.predicted(pictures, self.known(pictures), generator, coarse)

    def predicted(
        self, pictures: Float[Tensor, "B V 3 S S"], known: Known, generator: Generator | None = None,
        coarse: Sequence[Int[Tensor, "B L"]] = (),
    ) -> DecodedTokens:  # fmt: skip
        """As `tokens`, of pictures of which all that is `known` is at hand."""
        with self._computing():
            return decode(
                self.transformer, self.vqvae.quantize, pictures, known, sampling=self.sampling, generator=generator,
                coarse=coarse,
            )  # fmt: skip

    def refined(
        self, fhat: Float[Tensor, "B z h w"], condition: Float[Tensor, "B L D"], draw: Draw
    ) -> Float[Tensor, "B z h w"]:
        """Latents with what their tokens leave out, as `refining` says; `draw` gives noise where it is sampled."""
        if self.refining == "none":
            return fhat
        return refined(self.transformer, fhat, condition, draw if self.refining == "sampled" else None)

    def decoded(self, fhat: Float[Tensor, "B z h w"], renders: Float[Tensor, "B 3 H W"]) -> Decoded:
        """Pictures of latents, by the bridge where there is one; `renders` in [-1, 1]."""
        with self._computing():
            seen = self.vqvae.features(renders) if self.vqvae.has_bridge else None
            return self.vqvae.decode(fhat, seen)

    def known(self, pictures: Float[Tensor, "B V 3 S S"]) -> Known:
        """Tokens of references, and latents of all views where the transformer sees them; `pictures` as in `tokens`."""
        render_too = self.transformer.beside is not None
        encoded = pictures if render_too else pictures[:, 1:]
        if not encoded.shape[1]:
            return Known()
        with self._computing():
            latents = self.vqvae.encode(encoded.flatten(0, 1)).float().unflatten(0, encoded.shape[:2])
        seen = self.vqvae.quantize.maps(latents) if render_too else ()
        references = latents[:, 1:] if render_too else latents
        if not references.shape[1]:
            return Known(seen=seen)
        tokens = self.vqvae.tokens(references.flatten(0, 1)).indices
        return Known([each.unflatten(0, references.shape[:2]) for each in tokens], seen)

    def _shared(self, views: Float[Tensor, "B V 3 H W"], generator: Generator) -> list[Int[Tensor, "BT L"]]:
        """Coarsest tokens of every tile, from latents predicted for the whole picture, shrunk to a tile's size."""
        side, stride = self.config.image_size, self.config.stride
        height, width = views.shape[3:]
        scale = side / max(height, width)
        small = [max(stride, round(each * scale / stride) * stride) for each in (height, width)]
        whole = resized(views.flatten(0, 1), (small[0], small[1])).clamp(-1, 1)
        whole = pad(whole, (0, side - small[1], 0, side - small[0]), mode="replicate")
        fhat = self.tokens(whole.unflatten(0, views.shape[:2]), generator).fhat[:, 0]
        there = fhat[:, :, : small[0] // stride, : small[1] // stride]
        wide = interpolate(there, (height // stride, width // stride), mode="bicubic", align_corners=False)
        return self.vqvae.tokens(self._tiling().cut(wide)).indices[: self.shared_scales]

    def _tiling(self) -> Tiling:
        """Of latents."""
        return Tiling(self.config.latent_side, int(self.config.latent_side * OVERLAP))

    def _computing(self) -> AbstractContextManager[None]:
        """In the precision of the transformer."""
        dtype = self.transformer.word_embed.weight.dtype
        context: AbstractContextManager[None] = torch.autocast(
            self.device.type, dtype if dtype != torch.float32 else torch.bfloat16, enabled=dtype != torch.float32
        )
        return context


class _AnchoredNoise:
    """Noise of whole pictures, cut into tiles: equal where these overlap, and for all pictures of a seed.

    Args:
        seed: of it.
        tiling: of latents.
        shape: of one picture's latents: channels, height, width.
        pictures: how many there are.
    """

    def __init__(self, seed: int, tiling: Tiling, shape: tuple[int, int, int], pictures: int) -> None:
        self.generator = Generator().manual_seed(seed)
        self.tiling, self.shape, self.pictures = tiling, shape, pictures

    def __call__(self, shape: tuple[int, ...]) -> Float[Tensor, "N z"]:
        """For the tokens of all tiles of all pictures; a `Draw`."""
        whole = torch.randn((1, *self.shape), generator=self.generator)
        tokens = self.tiling.cut(whole).flatten(2).transpose(1, 2).flatten(0, 1)
        noise = tokens.repeat(self.pictures, 1)
        assert noise.shape == shape
        return noise


def at_size(images: Float[Tensor, "N H W C"], size: tuple[int, int]) -> Float[Tensor, "N h w C"]:
    """Pictures at another height and width (see `resized`)."""
    if not len(images):
        return images.new_zeros(0, *size, images.shape[-1])
    return resized(images.movedim(-1, 1).float(), size).movedim(1, -1)


def _folder(name: PathLike) -> Path:
    """Where a model lies."""
    if str(name) != "tiny":
        return Path(name)
    if not TINY.is_dir():
        raise InputError(
            "the small fixer is not part of this version yet: train one with `unseen train fixer -o run`, which leaves "
            "it in run/model, or name another model"
        )
    return TINY
