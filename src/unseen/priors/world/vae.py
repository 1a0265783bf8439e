"""Latents of pictures: Wan's autoencoder with every view as a clip of its own, one frame long."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unseen.core.errors import ShapeError
from unseen.priors.world.config import downsampling
from unseen.priors.world.frames import reduce_to_frames

_LOGVAR_BOUNDS = (-30.0, 20.0)


class ImageCodec(nn.Module):
    """Encodes pictures to normalised latents, and decodes them where its decoder is there.

    Args:
        config: arguments of diffusers' AutoencoderKLWan, `latents_mean` and `latents_std` included.
        decoder: whether it can decode: published worlds need no pixels from latents, training the small one does.

    Attributes:
        batch: pictures worked on at a time, all when None: same result, less memory.
        latents_mean, latents_std: of the channels, what latents are normalised by, [C].
    """

    latents_mean: Float[Tensor, "C"]
    latents_std: Float[Tensor, "C"]
    FLOAT32 = r"latents_(mean|std)"

    def __init__(self, config: dict[str, Any], decoder: bool = False) -> None:
        from diffusers import AutoencoderKLWan

        super().__init__()
        lists = {k: list(v) for k, v in config.items() if isinstance(v, tuple)}
        model: Any = reduce_to_frames(AutoencoderKLWan(**(config | lists)))
        self.encoder, self.quant_conv = model.encoder, model.quant_conv
        self.decoder: Any = model.decoder if decoder else None
        self.post_quant_conv: Any = model.post_quant_conv if decoder else None
        self.patch = int(config.get("patch_size") or 1)
        self.downsampling = downsampling(config)
        self.batch: int | None = None
        self.register_buffer("latents_mean", torch.tensor(config["latents_mean"]))
        self.register_buffer("latents_std", torch.tensor(config["latents_std"]))

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        dtype: torch.dtype = self.encoder.conv_in.weight.dtype
        return dtype

    def encode(
        self, images: Float[Tensor, "N H W 3"], noise: Float[Tensor, "N C h w"] | None = None
    ) -> Float[Tensor, "N C h w"]:
        """Normalised latents of pictures in [0, 1].

        Args:
            images: of sides divisible by `downsampling`.
            noise: standard normal, for a sample of the posterior; its mode when None.

        Raises:
            ShapeError: other sides.
        """
        mean, logvar = self.posterior(images)
        return self.normalize(mean if noise is None else mean + (0.5 * logvar).exp() * noise)

    def posterior(self, images: Float[Tensor, "N H W 3"]) -> tuple[Float[Tensor, "N C h w"], Float[Tensor, "N C h w"]]:
        """Mean and logarithm of the variance of the latents, not normalised, in float32."""
        if images.ndim != 4 or images.shape[3] != 3 or any(s % self.downsampling for s in images.shape[1:3]):
            raise ShapeError(
                f"pictures have shape {tuple(images.shape)}, expected [N, H, W, 3] with sides divisible by "
                f"{self.downsampling}"
            )
        pixels = 2 * images.permute(0, 3, 1, 2)[:, :, None].to(self.dtype) - 1
        moments = torch.cat([self._moments(part) for part in pixels.split(self.batch or len(pixels))])
        mean, logvar = moments[:, :, 0].float().chunk(2, 1)
        return mean, logvar.clamp(*_LOGVAR_BOUNDS)

    def _moments(self, pixels: Float[Tensor, "N 3 1 H W"]) -> Tensor:
        from diffusers.models.autoencoders.autoencoder_kl_wan import patchify

        patches = patchify(pixels, self.patch)
        moments: Tensor = self.quant_conv(self.encoder(patches))
        return moments

    def decode(self, latents: Float[Tensor, "N C h w"]) -> Float[Tensor, "N H W 3"]:
        """Pictures of normalised latents, about [0, 1]; only with a decoder."""
        if self.decoder is None:
            raise ShapeError("this autoencoder came without its decoder: it only encodes")
        from diffusers.models.autoencoders.autoencoder_kl_wan import unpatchify

        inner = self.denormalize(latents)[:, :, None].to(self.dtype)
        parts = [
            self.decoder(self.post_quant_conv(part), first_chunk=True) for part in inner.split(self.batch or len(inner))
        ]
        pixels = unpatchify(torch.cat(parts), self.patch)[:, :, 0]
        return (pixels.float() / 2 + 0.5).permute(0, 2, 3, 1)

    def normalize(self, latents: Float[Tensor, "N C *h w"]) -> Float[Tensor, "N C *h w"]:
        """To zero mean and unit variance, as the transformer has them."""
        mean, std = self._statistics(latents)
        return (latents - mean) / std

    def denormalize(self, latents: Float[Tensor, "N C *h w"]) -> Float[Tensor, "N C *h w"]:
        """Inverse of `normalize`."""
        mean, std = self._statistics(latents)
        return latents * std + mean

    def _statistics(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        shape = (-1, *[1] * (latents.ndim - 2))
        mean, std = (s.to(latents.device).reshape(shape) for s in (self.latents_mean, self.latents_std))
        return mean, std
