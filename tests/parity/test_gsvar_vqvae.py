"""GS-VAR's VQ-VAE against recordings: encoder, quantiser, decoder, bridge, and the published size's weights by name."""

import json
from dataclasses import replace

import pytest
import torch

from recordings import folder
from unseen.priors.fixer.config import FixerConfig
from unseen.priors.fixer.quantizer import MultiScaleQuantizer
from unseen.priors.fixer.vqvae import BRIDGE, VQVAE
from unseen.priors.world.published import without_memory


def config_of(recording, bridge):
    about = recording.config
    patch_nums = tuple(about["patch_nums"])
    sizes = {"ch": about["ch"], "z": about["Cvae"], "codebook": about["V"], "groups": about["groups"], "bridge": bridge}
    plain = FixerConfig.named("varsr")
    return replace(
        plain,
        image_size=plain.stride * patch_nums[-1],
        patch_nums=patch_nums,
        phi_map=tuple(about.get("phi_map", (0,) * len(patch_nums))),
        vqvae=plain.vqvae | sizes,
    )


def vqvae_of(recording, bridge):
    network = VQVAE(config_of(recording, bridge))
    network.load_state_dict(recording.weights("vae_local/"), strict=True)
    return network.eval()


def margin(quantizer, k, residual):
    """Squared distance to the second nearest entry less that to the nearest."""
    rows = quantizer.shrunk(k, residual).flatten(2).transpose(1, 2)
    nearest = quantizer.distances(rows).topk(2, largest=False).values
    return nearest[..., 1] - nearest[..., 0]


@torch.no_grad()
def test_encoder_quantizer_decoder(gsvar):
    recording = gsvar("vqvae_a")
    network = vqvae_of(recording, bridge=False)
    quantizer, size = network.quantize, (10, 10)
    recording.check("encoder_out", network.encoder(recording["image"]))
    latent = network.encode(recording["image"])
    recording.check("latent", latent)
    found = network.tokens(latent)
    missing = latent
    for k, fhat in enumerate(quantizer.sums(found.indices, size)):
        recording.check(f"idx_{k}", found.indices[k])
        recording.check(f"margin_{k}", margin(quantizer, k, missing))
        recording.check(f"fhat_{k}", fhat)
        missing = latent - fhat
    recording.check("fhat_9", found.fhat)
    recording.check("last_residual", found.residual.flatten(2).transpose(1, 2))
    recording.check("next_scale_input", quantizer.inputs(found.indices, size))
    recording.check("recon_raw", network.decode(found.fhat).images)
    recording.check("phi_map", torch.tensor(quantizer.phi_map))
    check_full_schedule(recording, quantizer)
    assert not recording.unchecked()


def check_full_schedule(recording, small):
    """The quantiser alone at the published schedule."""
    full = FixerConfig.named("varsr")
    about = recording.config
    quantizer = MultiScaleQuantizer(full.patch_nums, full.phi_map, about["Cvae"], about["V"], full.vqvae["phis"])
    own = quantizer.state_dict()["ema_vocab_hit_SV"]
    quantizer.load_state_dict(small.state_dict() | {"ema_vocab_hit_SV": own}, strict=True)
    latent = recording["latent_full"]
    found = quantizer.tokens(latent)
    means = []
    for k, fhat in enumerate(quantizer.sums(found.indices, (32, 32))):
        recording.check(f"full/idx_{k}", found.indices[k])
        if k in about["full_keep"]:
            recording.check(f"full/fhat_{k}", fhat)
        if quantizer.sizes(32, 32)[min(k + 1, 9)] == (13, 13):
            recording.check("full/next_scale_input_13x13", quantizer.next_input(k, fhat))
        means.append(fhat.abs().mean())
    recording.check("full/fhat_absmean", torch.stack(means))
    recording.check("full/phi_map", torch.tensor(quantizer.phi_map))


@torch.no_grad()
def test_bridge(gsvar):
    recording = gsvar("bridge_a")
    network = vqvae_of(recording, bridge=True)
    decoder, render, fhat = network.decoder, recording["render"], recording["fhat"]
    seen = network.features(render)
    assert seen[0] is render
    for name, feature in zip(("feat_conv_in", *(f"feat_{k}" for k in range(5))), seen[1:], strict=True):
        recording.check(name, feature)
    recording.check("z", network.post_quant_conv(fhat))
    watch_gates(recording, decoder)
    decoded = network.decode(fhat, seen)
    recording.check("blend_mask", decoded.mask)
    recording.check("image_raw", decoded.images)
    recording.check("image", decoded.images.clamp(-1, 1))
    plain = network.decode(fhat)
    assert plain.mask is None
    recording.check("image_nobridge", plain.images.clamp(-1, 1))
    assert not recording.unchecked()


def watch_gates(recording, decoder):
    """Check what passes through the bridge at its first use."""

    def watch(module, name, activation=None, before=False):
        def check(module, args, output=None):
            if name not in recording.checked:
                value = args[0] if before else output
                recording.check(name, value if activation is None else activation(value))

        module.register_forward_pre_hook(check) if before else module.register_forward_hook(check)

    for k in range(5):
        watch(decoder.weight_cond_layer[k], f"gate_{k}", torch.sigmoid)
        watch(decoder.up[k].block[0], f"fused_{k}", before=True)
    watch(decoder.cond_layer[0], "candidate_0")
    watch(decoder.pixel_weight_cond_layer, "gate_pixel", torch.sigmoid)
    watch(decoder.norm_out, "fused_pixel", before=True)
    watch(decoder.conv_out, "rgb")


@pytest.mark.parametrize("bridge", [True, False])
def test_names_of_the_published_size(bridge):
    inventory = json.loads((folder("gsvar") / "inventory.json").read_text())["vae_local"]
    expected = {name: shape for name, shape, _ in inventory["tensors"] if bridge or BRIDGE not in name}
    config = FixerConfig.named("varsr")
    with without_memory():
        network = VQVAE(replace(config, vqvae=config.vqvae | {"bridge": bridge}))
    found = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    assert found == expected
    assert len(found) == (458 if bridge else 324)
