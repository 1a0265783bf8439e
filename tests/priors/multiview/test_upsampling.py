"""Latents at twice the side: interpolation, the small trained network, the k-diffusion upscaler."""

import copy
import json
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from unseen.core.errors import FormatError, InputError, ShapeError
from unseen.priors.multiview.upsampling import (
    BilinearUpsampler,
    ConvUpsampler,
    KDiffusionUpsampler,
    load_upsampler,
)
from unseen.priors.precision import apply_precision


def latents(n=2, side=8, seed=0):
    return torch.randn(n, 4, side, side, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def parts():
    """Tiny random U-Net of the published upscaler's kind, its scheduler, and text states."""
    from diffusers import EulerDiscreteScheduler, UNet2DConditionModel

    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        in_channels=8, out_channels=5, block_out_channels=(32, 32, 64, 64), layers_per_block=1, norm_num_groups=None,
        down_block_types=("KDownBlock2D", *["KCrossAttnDownBlock2D"] * 3), mid_block_type=None,
        up_block_types=(*["KCrossAttnUpBlock2D"] * 3, "KUpBlock2D"), cross_attention_dim=32, attention_head_dim=8,
        act_fn="gelu", resnet_time_scale_shift="scale_shift", time_embedding_type="fourier", time_cond_proj_dim=160,
        timestep_post_act="gelu", conv_in_kernel=1, conv_out_kernel=1,
    )  # fmt: skip
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="sample",
        interpolation_type="log_linear",
    )  # fmt: skip
    return unet.eval(), scheduler, torch.randn(77, 32), torch.randn(32)


def test_bilinear_keeps_a_ramp():
    ramp = torch.arange(8.0).expand(1, 4, 8, 8)
    out = BilinearUpsampler()(ramp)
    expected = (torch.arange(16) + 0.5) / 2 - 0.5
    torch.testing.assert_close(out[0, 0, 5, 1:-1], expected[1:-1])


def test_a_new_network_is_bilinear_interpolation_and_learns_what_that_misses():
    torch.manual_seed(0)
    network = ConvUpsampler(channels=16, blocks=2)
    assert torch.equal(network(latents()), BilinearUpsampler()(latents()))
    sharp = 3 * F.avg_pool2d(latents(8, 32), 3, 1, 1)
    soft = F.avg_pool2d(sharp, 2)
    optimiser = torch.optim.Adam(network.parameters(), 5e-3)
    losses = []
    for _ in range(60):
        losses.append(F.mse_loss(network(soft), sharp))
        optimiser.zero_grad()
        losses[-1].backward()
        assert all(p.grad is not None for p in network.parameters())
        optimiser.step()
    assert losses[-1] < 0.7 * losses[0]


def test_size_of_the_default_network():
    assert 0.3e6 < sum(p.numel() for p in ConvUpsampler().parameters()) < 0.6e6


def test_a_saved_network_comes_back(tmp_path):
    network = ConvUpsampler(channels=8, blocks=1)
    torch.nn.init.normal_(network.conv_out.weight)
    network.save_pretrained(tmp_path)
    again = load_upsampler(tmp_path)
    assert isinstance(again, ConvUpsampler) and again.config == network.config
    assert torch.equal(again(latents()), network(latents()))
    BilinearUpsampler().save_pretrained(tmp_path / "plain")
    assert isinstance(load_upsampler(tmp_path / "plain"), BilinearUpsampler)


def test_broken_folders_are_told_apart(tmp_path):
    with pytest.raises(InputError, match=r"config\.json"):
        load_upsampler(tmp_path)
    network = ConvUpsampler(channels=8, blocks=1)
    network.save_pretrained(tmp_path)
    config = tmp_path / "config.json"
    good = json.loads(config.read_text())
    config.write_text(json.dumps({**good, "blocks": 2}))
    with pytest.raises(FormatError, match=r"blocks\.1\.conv1\.weight"):
        load_upsampler(tmp_path)
    config.write_text(json.dumps({**good, "depth": 2}))
    with pytest.raises(FormatError, match="depth"):
        load_upsampler(tmp_path)
    config.write_text(json.dumps({"_class_name": "Mystery"}))
    with pytest.raises(InputError, match="Mystery"):
        load_upsampler(tmp_path)
    config.write_text(json.dumps(good))
    (tmp_path / "diffusion_pytorch_model.safetensors").write_bytes(b"\x08")
    with pytest.raises(FormatError, match="safetensors"):
        load_upsampler(tmp_path)


def test_other_latents_are_refused():
    with pytest.raises(ShapeError, match="expected"):
        ConvUpsampler(channels=8, blocks=1)(torch.zeros(1, 3, 8, 8))


def test_upscaler_is_the_pipeline_of_diffusers(parts):
    from diffusers import AutoencoderKL, StableDiffusionLatentUpscalePipeline

    unet, scheduler, hidden, pooled = parts
    vae = AutoencoderKL(block_out_channels=(32,), norm_num_groups=32)
    pipeline = StableDiffusionLatentUpscalePipeline(vae, None, None, unet, scheduler)
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        image=latents(), num_inference_steps=10, guidance_scale=1.0, generator=torch.Generator().manual_seed(5),
        prompt_embeds=hidden.expand(2, -1, -1), pooled_prompt_embeds=pooled.expand(2, -1), output_type="latent",
    ).images  # fmt: skip
    ours = KDiffusionUpsampler(*parts)(latents(), torch.Generator().manual_seed(5))
    assert ours.shape == (2, 4, 16, 16)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def log_linear_sigmas(steps):
    """Independent: noise levels of the scaled-linear schedule, evenly spaced in their logarithm, then 0; float64."""
    alphas = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)
    ends = np.sqrt((1 - alphas[[-1, 0]]) / alphas[[-1, 0]])
    return [*np.exp(np.linspace(*np.log(ends), steps + 1)), 0.0]


def test_one_step_against_float64(parts):
    unet, scheduler, hidden, pooled = parts
    upsampler = KDiffusionUpsampler(unet, scheduler, hidden, pooled, steps=7)
    scheduler.set_timesteps(7)
    sigmas = log_linear_sigmas(7)
    np.testing.assert_allclose(scheduler.sigmas.numpy(), sigmas, rtol=2e-5)

    here, there = sigmas[2], sigmas[3]
    given, noise = F.interpolate(latents(), scale_factor=2), latents(side=16, seed=1)
    noisy = given + here * noise
    try:
        unet.double()
        with torch.no_grad():
            network = unet(
                torch.cat([noisy.double() / math.hypot(here, 1), given.double()], 1), 0.25 * math.log(here),
                encoder_hidden_states=hidden.double().expand(2, -1, -1),
                timestep_cond=torch.cat([torch.ones(64), torch.zeros(64), pooled]).double().expand(2, -1),
            ).sample[:, :4]  # fmt: skip
    finally:
        unet.float()
    clean = noisy.double() / (here**2 + 1) + here / math.hypot(here, 1) * network
    expected = noisy.double() + (there - here) * (noisy.double() - clean) / here

    t = scheduler.timesteps[2]
    scheduler.scale_model_input(noisy, t)
    with torch.no_grad():
        ours = scheduler.step(upsampler.denoised(noisy, here, given), t, noisy).prev_sample
    torch.testing.assert_close(ours.double(), expected, rtol=2e-5, atol=2e-5)


def test_a_perfect_network_is_followed_to_the_truth(parts):
    """To a network that knows the clean latents, Euler steps walk the straight line from the first noise to them."""
    _, scheduler, hidden, pooled = parts
    truth = latents(side=16, seed=3)

    class Oracle(torch.nn.Module):
        config = parts[0].config

        def forward(self, sample, timestep, **conditions):
            sigma = math.exp(4 * float(timestep))
            noisy = sample[:, :4] * math.hypot(sigma, 1)
            answer = (truth - noisy / (sigma**2 + 1)) * math.hypot(sigma, 1) / sigma
            return type("Output", (), {"sample": torch.cat([answer, torch.full_like(answer[:, :1], math.nan)], 1)})

    upsampler = KDiffusionUpsampler(Oracle(), scheduler, hidden, pooled, steps=4)
    out = upsampler(latents(), torch.Generator().manual_seed(5))
    first, last = log_linear_sigmas(4)[0], log_linear_sigmas(4)[-2]
    noise = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(out, truth + last * (noise - truth / first), rtol=1e-4, atol=1e-4)


def test_upscaler_is_seeded_and_comes_back_from_a_folder(parts, tmp_path):
    upsampler = KDiffusionUpsampler(*parts, steps=2)
    first, second, other = (upsampler(latents(), torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(first, second) and not torch.equal(first, other)
    upsampler.save_pretrained(tmp_path)
    again = load_upsampler(tmp_path)
    assert again.steps == 2
    assert torch.equal(again(latents(), torch.Generator().manual_seed(1)), first)
    (tmp_path / "empty_prompt.safetensors").unlink()
    with pytest.raises((InputError, FormatError), match="upscaler"):
        load_upsampler(tmp_path)


def test_published_layout_tells_itself_the_empty_prompt(parts, tmp_path):
    """Text encoder and tokenizer in the folder, as the published upscaler has them."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    unet, scheduler, *_ = parts
    unet.save_pretrained(tmp_path / "unet")
    scheduler.save_pretrained(tmp_path / "scheduler")
    vocabulary = {"<|startoftext|>": 0, "<|endoftext|>": 1, "a</w>": 2}
    source = tmp_path / "source"
    source.mkdir()
    (source / "vocab.json").write_text(json.dumps(vocabulary))
    (source / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizer.from_pretrained(source, model_max_length=9).save_pretrained(tmp_path / "tokenizer")
    config = CLIPTextConfig(
        vocab_size=3, hidden_size=32, intermediate_size=37, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=9, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    encoder = CLIPTextModel(config).eval()
    encoder.save_pretrained(tmp_path / "text_encoder")
    upsampler = load_upsampler(tmp_path)
    with torch.no_grad():
        states = encoder(torch.tensor([[0] + [1] * 8]), output_hidden_states=True)
    torch.testing.assert_close(upsampler.hidden_states, states.hidden_states[-1][0])
    torch.testing.assert_close(upsampler.pooled, states.pooler_output[0])
    assert upsampler.steps == 10


def test_upscaler_in_half_precision_stays_near(parts):
    full = KDiffusionUpsampler(*parts, steps=3)(latents(), torch.Generator().manual_seed(5))
    half = KDiffusionUpsampler(copy.deepcopy(parts[0]), *parts[1:], steps=3)
    apply_precision(half, torch.bfloat16)
    assert torch.equal(half.unet.time_proj.weight, parts[0].time_proj.weight)
    assert half.unet.time_proj.weight.dtype == half.unet.time_embedding.cond_proj.weight.dtype == torch.float32
    out = half(latents().bfloat16(), torch.Generator().manual_seed(5))
    assert out.dtype == torch.bfloat16
    assert (out.float() - full).abs().mean() < 0.05 * full.abs().mean()


def test_wrong_parts_are_refused(parts):
    from diffusers import EulerDiscreteScheduler

    unet, scheduler, hidden, pooled = parts
    with pytest.raises(InputError, match="prediction_type"):
        KDiffusionUpsampler(unet, EulerDiscreteScheduler(), hidden, pooled)
    with pytest.raises(ShapeError, match="text states"):
        KDiffusionUpsampler(unet, scheduler, hidden, torch.zeros(31))
    with pytest.raises(InputError, match="0 upsampling steps"):
        KDiffusionUpsampler(unet, scheduler, hidden, pooled, steps=0)
