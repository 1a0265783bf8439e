"""The networks as diffusers and transformers build them, and inputs to try them on.

Those libraries are imported when a function is called: they take seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from unseen.core.errors import MissingDependencyError
from unseen.priors.weights.image_encoder import CLIPShape
from unseen.priors.weights.resampler import ResamplerShape
from unseen.priors.weights.tensors import Tensors
from unseen.priors.weights.unet import UNetShape
from unseen.priors.weights.upsampler import UpsamplerShape
from unseen.priors.weights.vae import VAEShape

IMAGE_TOKENS, TEXT_TOKENS = 16, 77


def build(shape: Any, config: Mapping[str, Any] | None = None) -> nn.Module:
    """The network of these sizes, without memory for its parameters (they are on the meta device).

    Args:
        config: its `config.json` where there is one; else `shape.config()`.

    Raises:
        MissingDependencyError: diffusers or transformers is not installed.
    """
    try:
        from accelerate import init_empty_weights
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from diffusers.models.embeddings import IPAdapterPlusImageProjection
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection
    except ImportError as error:
        raise MissingDependencyError(
            f"building networks needs {error.name}: pip install diffusers transformers accelerate"
        ) from error
    config = dict(config or shape.config())
    with init_empty_weights():
        if isinstance(shape, CLIPShape):
            config.pop("architectures", None)
            return CLIPVisionModelWithProjection(CLIPVisionConfig(**config)).eval()
        if isinstance(shape, VAEShape):
            return AutoencoderKL.from_config(config).eval()
        if isinstance(shape, ResamplerShape):
            config.pop("_class_name", None)
            return IPAdapterPlusImageProjection(**config).eval()
        unet = UNet2DConditionModel.from_config(config)
        if isinstance(shape, UNetShape) and shape.image_tokens:
            _attend_to_image(unet, shape)
    return unet.eval()


def load(module: nn.Module, tensors: Tensors) -> None:
    """Put weights in diffusers' layout into a network, in fp32; a CLIP without projection gets one of zeros.

    They are copied: how a file lies in memory would change the rounding of what is computed.
    """
    plain = torch.contiguous_format
    state = {n: tensors.read(n).to(torch.float32, copy=True, memory_format=plain) for n in tensors.entries}
    for name, tensor in module.state_dict().items():
        state.setdefault(name, torch.zeros(tensor.shape))
    module.load_state_dict(state, strict=True, assign=True)


def example_inputs(shape: Any, seed: int) -> dict[str, Any]:
    """Arguments of the network's `forward`: noise of the smallest fitting size, always the same for a seed."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*size: int) -> Tensor:
        return torch.randn(size, generator=generator)

    if isinstance(shape, CLIPShape):
        side = shape.config()["image_size"]
        return {"pixel_values": noise(1, 3, side, side)}
    if isinstance(shape, ResamplerShape):
        return {"x": noise(1, 4 * shape.queries, shape.embed_dim)}
    side = 2 ** len(shape.block_out_channels)
    if isinstance(shape, VAEShape):
        return {"sample": noise(1, shape.in_channels, 2 * side, 2 * side)}
    text: Any = noise(1, TEXT_TOKENS, shape.cross_attention_dim)
    common = {"sample": noise(1, shape.in_channels, side, side), "timestep": torch.tensor([500.0])}
    if isinstance(shape, UpsamplerShape):
        return {**common, "encoder_hidden_states": text, "timestep_cond": noise(1, shape.time_cond_proj_dim)}
    if shape.image_tokens:
        text = (text, [noise(1, 1, IMAGE_TOKENS, shape.cross_attention_dim)])
    camera = {"class_labels": noise(1, shape.camera_dim)} if shape.camera_dim else {}
    return {**common, "encoder_hidden_states": text, **camera}


def _attend_to_image(unet: Any, shape: UNetShape) -> None:
    """Give every cross-attention the keys and values of image tokens."""
    from diffusers.models.attention_processor import AttnProcessor2_0, IPAdapterAttnProcessor2_0

    processors = {}
    for name in unet.attn_processors:
        attention = unet.get_submodule(name.removesuffix(".processor"))
        processors[name] = (
            IPAdapterAttnProcessor2_0(
                attention.to_q.out_features, shape.cross_attention_dim, num_tokens=(IMAGE_TOKENS,)
            )
            if name.endswith("attn2.processor")
            else AttnProcessor2_0()
        )
    unet.set_attn_processor(processors)
