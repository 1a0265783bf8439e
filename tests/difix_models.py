"""Difix small enough for tests in seconds, and the files it is published in."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from unseen.priors.fixer.difix import Difix, DifixConfig, sd_turbo

RANK = 2
ALPHA = 8  # peft's default
VOCABULARY = ("<|startoftext|>", "<|endoftext|>", *"abcdefghijklmnopqrstuvwxyz", *(f"{c}</w>" for c in "abdegmnortv"))


def small_config() -> DifixConfig:
    """A fraction of SD-Turbo's widths; pictures of sides divisible by 4."""
    plain = sd_turbo()
    unet = plain.unet | {
        "block_out_channels": (8, 16),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "cross_attention_dim": 12,
        "attention_head_dim": (2, 4),
        "sample_size": 8,
    }
    vae = plain.vae | {
        "block_out_channels": (4, 8),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "layers_per_block": 1,
        "norm_num_groups": 2,
    }
    return DifixConfig(unet, vae, plain.scheduler, tokens=7)


def small_difix(seed: int = 0) -> Difix:
    """A random model of `small_config`, its skips far from where training starts."""
    torch.manual_seed(seed)
    model = Difix.random(small_config())
    for skip in model.vae.skips():
        torch.nn.init.normal_(skip.weight, std=0.3)
    return model


def adapted(model: Difix) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The autoencoder's weights as published: what is SD-Turbo's, and what is Difix's (skips and adapters).

    Folded, they are the model's.
    """
    torch.manual_seed(1)
    weights = {name: tensor.clone() for name, tensor in model.vae.state_dict().items()}
    own = {}
    for name in list(weights):
        layer, _, kind = name.rpartition(".")
        if not name.startswith("decoder.") or kind != "weight" or weights[name].ndim < 2:
            continue
        rows, columns, *kernel = weights[name].shape
        a = 0.1 * torch.randn(RANK, columns, *kernel)
        b = 0.1 * torch.randn(rows, RANK, *[1] * len(kernel))
        change = ALPHA / RANK * torch.einsum("or,ri...->oi...", b.flatten(1), a)
        own[f"{layer}.lora_A.vae_skip.weight"], own[f"{layer}.lora_B.vae_skip.weight"] = a, b
        plain = weights.pop(name) - change
        if "skip_conv" in name:
            own[f"{layer}.base_layer.weight"] = plain
        else:
            weights[name] = plain
    return weights, own


def _write_config(folder: Path, name: str, config: dict[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(config))


def write_base(folder: Path, model: Difix, weights: dict[str, torch.Tensor]) -> None:
    """A folder as SD-Turbo's, without the U-Net's weights."""
    from transformers import CLIPTextConfig, CLIPTextModel

    _write_config(folder / "unet", "config.json", {"_class_name": "UNet2DConditionModel", **model.config.unet})
    _write_config(folder / "vae", "config.json", {"_class_name": "AutoencoderKL", **model.config.vae})
    _write_config(
        folder / "scheduler", "scheduler_config.json", {"_class_name": "DDPMScheduler"} | model.config.scheduler
    )
    save_file(weights, folder / "vae" / "diffusion_pytorch_model.safetensors")
    _write_config(folder / "tokenizer", "vocab.json", {word: k for k, word in enumerate(VOCABULARY)})
    (folder / "tokenizer" / "merges.txt").write_text("#version: 0.2\n")
    _write_config(
        folder / "tokenizer", "tokenizer_config.json", {"tokenizer_class": "CLIPTokenizer", "model_max_length": 7}
    )
    torch.manual_seed(2)
    config = CLIPTextConfig(
        vocab_size=len(VOCABULARY), hidden_size=12, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=7, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    CLIPTextModel(config).save_pretrained(folder / "text_encoder")


def write_published(folder: Path, model: Difix) -> None:
    """A folder as `nvidia/difix_ref`: adapters beside what they adapt."""
    weights, own = adapted(model)
    layers = {name.removesuffix(".lora_A.vae_skip.weight") for name in own if ".lora_A." in name}
    named = {}
    for name, tensor in weights.items():
        layer, _, kind = name.rpartition(".")
        named[f"{layer}.base_layer.{kind}" if layer in layers else name] = tensor
    write_base(folder, model, named | own)
    unet = {name: tensor.contiguous() for name, tensor in model.unet.state_dict().items()}
    save_file(unet, folder / "unet" / "diffusion_pytorch_model.safetensors")


def write_run(folder: Path, model: Difix) -> Path:
    """A training run's pickle, and SD-Turbo beside it in `base`."""
    weights, own = adapted(model)
    write_base(folder / "base", model, weights)
    path = folder / "model_10001.pkl"
    targets = [name.removesuffix(".lora_A.vae_skip.weight") for name in own if ".lora_A." in name]
    optimizer = torch.optim.AdamW([torch.zeros(2, requires_grad=True)]).state_dict()
    state = {"vae_lora_target_modules": targets, "rank_vae": RANK, "state_dict_unet": model.unet.state_dict()}
    torch.save(state | {"state_dict_vae": own, "optimizer": optimizer}, path)
    return path
