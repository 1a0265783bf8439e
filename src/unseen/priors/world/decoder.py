"""From latents and features of views to 3D Gaussians, two per pixel of half the picture's resolution."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, logsigmoid, normalize, silu
from torch.utils.checkpoint import checkpoint

from unseen.core.gaussians import Gaussians
from unseen.core.sh import num_coefficients
from unseen.priors.world.cameras import rays
from unseen.priors.world.frames import FrameConv, reduce_to_frames

LARGEST_SCALE = 16.0
"""Of a Gaussian, in units of the length that one pixel's share of the focal length spans at its depth."""
_START_OPACITY, _START_SCALE, _START_QUAT = math.log(0.1 / 0.9), -math.log(LARGEST_SCALE - 1), (1.0, 0.0, 0.0, 0.0)
_RATES = {"sh0": 1.0, "shN": 0.5, "uv": 0.01, "depth": 1.0, "opacity": 1.0, "scale": 1.0, "quat": 1.0}
_START_SPREAD = 0.01


class GaussianDecoder(nn.Module):
    """Wan's decoder without its last layer, fed features besides latents, and a head of Gaussians.

    Args:
        config: `z_dim`, `decoder_base_dim`, `dim_mult`, `num_res_blocks`, `temperal_downsample` as in diffusers'
            AutoencoderKLWan.
        features: channels of the transformer's features.
        points: Gaussians per pixel.
        sh_degree: of their colours.

    Attributes:
        batch: views worked on at a time, all when None: same result, less memory.
        checkpointing: recompute in backward what would be kept.
    """

    FLOAT32 = r"gs_head\."
    """Depth is the exponential of what the head gives: in bf16 it would come in steps of 0.8 %."""

    def __init__(self, config: dict[str, Any], features: int, points: int, sh_degree: int) -> None:
        from diffusers.models.autoencoders.autoencoder_kl_wan import WanDecoder3d

        super().__init__()
        latents, width = config["z_dim"], config["decoder_base_dim"]
        self.decoder: Any = reduce_to_frames(
            WanDecoder3d(
                dim=width, z_dim=latents, dim_mult=list(config["dim_mult"]), num_res_blocks=config["num_res_blocks"],
                temperal_upsample=list(config["temperal_downsample"])[::-1], is_residual=True,
            )
        )  # fmt: skip
        del self.decoder.conv_out
        self.post_quant_conv = FrameConv(latents, latents, 1)
        self.extra_conv_in = FrameConv(features, width * config["dim_mult"][-1], 3, padding=1)
        nn.init.zeros_(self.extra_conv_in.weight)
        nn.init.zeros_(self.extra_conv_in.bias)  # type: ignore[arg-type]
        self.gs_head = GaussianHead(width * config["dim_mult"][0], points, sh_degree)
        self.batch: int | None = None
        self.checkpointing = False

    def forward(
        self, latents: Float[Tensor, "V C h w"], features: Float[Tensor, "V F h w"]
    ) -> Float[Tensor, "V P D H2 W2"]:
        """What the head gives for views, float32, half the picture's height and width.

        Args:
            latents: not normalised.
            features: of the transformer.
        """
        step = self.batch or len(latents)
        views = [self._view(z, f) for z, f in zip(latents.split(step), features.split(step), strict=True)]
        return torch.cat(views) if len(views) > 1 else views[0]

    def _view(self, latents: Tensor, features: Tensor) -> Tensor:
        dtype = self.extra_conv_in.weight.dtype
        z, f = (x[:, :, None].to(dtype) for x in (latents, features))
        x = self.decoder.conv_in(self.post_quant_conv(z)) + self.extra_conv_in(f)
        x = self.decoder.mid_block(x)
        for block in self.decoder.up_blocks:
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, first_chunk=True, use_reentrant=False)
            else:
                x = block(x, first_chunk=True)
        raw: Tensor = self.gs_head(silu(self.decoder.norm_out(x))[:, :, 0])
        return raw

    def gaussians(self, raw: Float[Tensor, "V P D H2 W2"], cameras: Float[Tensor, "V 11"]) -> Gaussians:
        """Gaussians of views of one world, in the order views, points, rows, columns.

        A point lies on its pixel's ray, which may be moved a little, at the Euclidean distance exp(depth); its size is
        a share of what the pixel spans there; its turn and colours are in the network's frame.

        Args:
            raw: what `forward` gave.
            cameras: of the views, in the network's frame.
        """
        sh, uv, depth, opacity, scale, quats = self.gs_head.split(raw.float().movedim(2, -1))
        height, width = raw.shape[-2:]
        each = cameras[:, None].expand(-1, raw.shape[1], -1)
        origins, directions = rays(each, height, width, uv)
        focal = (each[..., 7] / width).square() + (each[..., 8] / height).square()
        log_pixel = depth + 0.5 * focal.log()[..., None, None, None]
        sh = sh.unflatten(-1, (-1, 3)).flatten(0, 3)
        return Gaussians(
            means=(origins + depth.exp() * directions).flatten(0, 3),
            quats=normalize(quats, dim=-1).flatten(0, 3),
            log_scales=(math.log(LARGEST_SCALE) + logsigmoid(scale) + log_pixel).flatten(0, 3),
            logit_opacities=opacity.flatten(),
            sh0=sh[:, 0],
            shN=sh[:, 1:],
        )


class GaussianHead(nn.Module):
    """One convolution whose output channels learn at rates of their own.

    Args:
        width: of its input.
        points: Gaussians per pixel.
        sh_degree: of their colours.
    """

    lrs_mul: Float[Tensor, "PD"]

    def __init__(self, width: int, points: int, sh_degree: int) -> None:
        super().__init__()
        self.points = points
        colours = 3 * num_coefficients(sh_degree)
        self.sizes = {"sh": colours, "uv": 2, "depth": 1, "opacity": 1, "scale": 3, "quat": 4}
        rates = [_RATES["sh0"]] * 3 + [_RATES["shN"]] * (colours - 3)
        rates += [_RATES[name] for name, size in self.sizes.items() if name != "sh" for _ in range(size)]
        self.register_buffer("lrs_mul", torch.tensor(rates * points))
        self.gs_proj = nn.Conv2d(width, len(rates) * points, 3, padding=1)
        nn.init.normal_(self.gs_proj.weight, std=_START_SPREAD / math.sqrt(9 * width))
        with torch.no_grad():
            bias = torch.zeros(points, len(rates))
            _, _, _, opacity, scale, quats = self.split(bias)
            opacity[:], scale[:], quats[:] = _START_OPACITY, _START_SCALE, torch.tensor(_START_QUAT)
            self.gs_proj.bias = nn.Parameter(bias.flatten())

    def split(self, raw: Float[Tensor, "*batch D"]) -> tuple[Tensor, ...]:
        """Colours, offset, logarithm of the depth, logit of the opacity, logit of the scale, quaternion."""
        return raw.split(list(self.sizes.values()), -1)

    def forward(self, x: Float[Tensor, "V I H W"]) -> Float[Tensor, "V P D H W"]:
        """In float32 whatever it is fed."""
        weight, bias = self.gs_proj.weight, cast(Tensor, self.gs_proj.bias)
        with torch.autocast(x.device.type, enabled=False):
            raw = conv2d(x.float(), weight * self.lrs_mul[:, None, None, None], bias * self.lrs_mul, padding=1)
        return raw.unflatten(1, (self.points, -1))
