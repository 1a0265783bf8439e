"""The multi-view U-Net: diffusers' UNet2DConditionModel, its frames seeing each other (GAF section 4.1, ImageDream)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unseen.core.errors import ShapeError
from unseen.priors.multiview.attention import FrameAttention, ImageTokenAttention, KeyValueCache
from unseen.priors.multiview.config import LATENT_CHANNELS, MultiViewConfig


class MultiViewUNet(nn.Module):
    """Predicts noise (or v) of V views at once, given their normals, image tokens and the references' latents.

    References stand behind the views as frames of their own, free of noise; their normals are zero, and what is
    predicted for them is dropped. A model that concatenates the reference has the first one's latents in every view's
    input as well, zeros in the references' own and where there is none.

    Args:
        config: sizes.
    """

    def __init__(self, config: MultiViewConfig) -> None:
        super().__init__()
        from diffusers import UNet2DConditionModel

        self.config = config
        self.model: Any = UNet2DConditionModel(**config.unet)
        self.model.set_attn_processor(self._processors())

    def _processors(self) -> dict[str, Any]:
        processors: dict[str, Any] = {}
        for key in self.model.attn_processors:
            name = key.removesuffix(".processor")
            layer = self.model.get_submodule(name)
            if name.endswith("attn1"):
                processors[key] = FrameAttention(name)
            else:
                context = self.model.config.cross_attention_dim
                processors[key] = ImageTokenAttention(name, context, layer.inner_dim)
        return processors

    @property
    def attention_processors(self) -> dict[str, FrameAttention | ImageTokenAttention]:
        """Processors by the names of their layers."""
        return {key.removesuffix(".processor"): p for key, p in self.model.attn_processors.items()}

    def set_image_weight(self, weight: float) -> None:
        """Weight of the image tokens' branch in all layers; 1 as trained, 0 without."""
        for processor in self.attention_processors.values():
            if isinstance(processor, ImageTokenAttention):
                processor.weight = weight

    def forward(
        self,
        latents: Float[Tensor, "B V 4 h w"],
        timesteps: Float[Tensor, "B"],
        tokens: Float[Tensor, "B T D"],
        *,
        normals: Float[Tensor, "B V 4 h w"] | None = None,
        cameras: Float[Tensor, "B V 4 4"] | None = None,
        references: Float[Tensor, "B R 4 h w"] | None = None,
        reference_cameras: Float[Tensor, "B R 4 4"] | None = None,
        num_text_tokens: int = 0,
        cache: KeyValueCache | None = None,
        down_residuals: Sequence[Tensor] | None = None,
        mid_residual: Tensor | None = None,
    ) -> Float[Tensor, "B V 4 h w"]:
        """Noise or v of the views.

        Args:
            latents: noisy.
            timesteps: 0..999, one per sample.
            tokens: text tokens, then image tokens, of the width of the cross-attention.
            normals: latents of the normal maps, where the model is steered by them.
            cameras: camera-to-world poses, where it is steered by those; `reference_cameras` those of the references.
            references: latents of the references.
            num_text_tokens: how many tokens are text.
            cache: keeps keys and values of the tokens from step to step.
            down_residuals, mid_residual: of a ControlNet, over all frames, [B * (V + R), C, h', w'].

        Raises:
            ShapeError: what steers the views is missing, or too much.
        """
        frames = self._frames(latents, normals, references)
        count = frames.shape[1]
        poses = self._poses(latents, cameras, references, reference_cameras)
        out = self.model(
            frames.flatten(0, 1),
            timesteps.repeat_interleave(count),
            tokens,
            class_labels=poses,
            cross_attention_kwargs={
                "num_frames": count,
                "num_image_tokens": tokens.shape[1] - num_text_tokens,
                "cache": cache,
            },
            down_block_additional_residuals=None if down_residuals is None else tuple(down_residuals),
            mid_block_additional_residual=mid_residual,
            return_dict=False,
        )[0]
        result: Tensor = out.unflatten(0, (-1, count))[:, : latents.shape[1]]
        return result

    def _frames(self, latents: Tensor, normals: Tensor | None, references: Tensor | None) -> Tensor:
        if (normals is not None) != self.config.uses_normals:
            wanted = "normal maps of every view" if self.config.uses_normals else "no normal maps"
            raise ShapeError(f"this model takes {wanted}, got {'none' if normals is None else tuple(normals.shape)}")
        frames = latents
        if normals is not None:
            if normals.shape != latents.shape:
                raise ShapeError(f"normals have shape {tuple(normals.shape)}, latents {tuple(latents.shape)}")
            frames = torch.cat([latents, normals], 2)
        if references is not None and references.shape[2:] != latents.shape[2:]:
            raise ShapeError(f"references have latents {tuple(references.shape[2:])}, views {tuple(latents.shape[2:])}")
        if self.config.concatenates_reference:
            beside = torch.zeros_like(latents) if references is None else references[:, :1].expand_as(latents)
            frames = torch.cat([frames, beside.to(frames)], 2)
        if references is None:
            return frames
        clean = torch.zeros_like(frames[:, :1]).repeat(1, references.shape[1], 1, 1, 1)
        clean[:, :, :LATENT_CHANNELS] = references
        return torch.cat([frames, clean], 1)

    def _poses(
        self, latents: Tensor, cameras: Tensor | None, references: Tensor | None, reference_cameras: Tensor | None
    ) -> Tensor | None:
        if (cameras is not None) != self.config.uses_cameras:
            wanted = "camera poses of every view" if self.config.uses_cameras else "no camera poses"
            raise ShapeError(f"this model takes {wanted}, got {'none' if cameras is None else tuple(cameras.shape)}")
        if cameras is None:
            return None
        if references is not None:
            if reference_cameras is None:
                reference_cameras = torch.zeros(*references.shape[:2], 4, 4).to(cameras)
            cameras = torch.cat([cameras, reference_cameras], 1)
        return cameras.flatten(2).flatten(0, 1).to(latents.dtype)
