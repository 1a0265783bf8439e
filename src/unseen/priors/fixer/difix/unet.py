"""Difix's U-Net: diffusers' own, whose self-attention sees a render and its references at once."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from unseen.priors.multiview.attention import FrameAttention


def mixing_unet(config: dict[str, Any]) -> Any:
    """A UNet2DConditionModel in which all views of a sample attend to each other in every self-attention; it has no
    weights more.

    Told with `cross_attention_kwargs={"num_frames": V}` how many rows of its batch are views of the same sample.

    Args:
        config: arguments of UNet2DConditionModel.
    """
    from diffusers import UNet2DConditionModel
    from diffusers.models.attention_processor import AttnProcessor2_0

    class TextAttention(AttnProcessor2_0):  # type: ignore[misc]
        """Each view by itself; takes the number of views without need, as all attention is told the same."""

        def __call__(
            self,
            attn: Any,
            hidden_states: Float[Tensor, "N L C"],
            encoder_hidden_states: Float[Tensor, "N T D"] | None = None,
            attention_mask: Tensor | None = None,
            num_frames: int = 1,
        ) -> Float[Tensor, "N L C"]:
            result: Tensor = super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask)
            return result

    unet: Any = UNet2DConditionModel(**config)
    unet.set_attn_processor(
        {
            name: FrameAttention(name.removesuffix(".processor"))
            if name.endswith("attn1.processor")
            else TextAttention()
            for name in unet.attn_processors
        }
    )
    return unet
