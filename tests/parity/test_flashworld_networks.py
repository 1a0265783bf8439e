"""FlashWorld's networks against recordings: transformer, image encoder, decoder of Gaussians."""

import torch

from unseen.core.gaussians import Gaussians
from unseen.priors.world.decoder import GaussianDecoder
from unseen.priors.world.frames import last_taps
from unseen.priors.world.transformer import WorldTransformer
from unseen.priors.world.vae import ImageCodec


def activated(gaussians: Gaussians):
    """The reference's 38 numbers of each."""
    g = gaussians
    return torch.cat([g.means, g.opacities[:, None], g.scales, g.quats, g.sh.flatten(1)], 1)


def transformer_of(recording, prefix=""):
    config = recording.config
    network = WorldTransformer(config["transformer"], config["feat_dim"])
    network.model.load_state_dict(recording.weights(prefix), strict=True)
    return network.eval()


def codec_of(recording, prefix="", decoder=True):
    known = {k: v for k, v in recording.config["vae"].items() if k != "clip_output"}  # the reference's own
    codec = ImageCodec(known, decoder=decoder)
    weights = {n: last_taps(t) for n, t in recording.weights(prefix).items() if ".time_conv." not in n}
    missing, unexpected = codec.load_state_dict(weights, strict=False)
    assert not unexpected and missing == ["latents_mean", "latents_std"]
    return codec.eval()


def decoder_of(recording, prefix=""):
    config = recording.config
    network = GaussianDecoder(config["vae"], config["feat_dim"], 2, 2)
    network.load_state_dict({n: last_taps(t) for n, t in recording.weights(prefix).items()}, strict=True)
    return network.eval()


@torch.no_grad()
def test_transformer(flashworld):
    recording = flashworld("wan_transformer_a")
    network = transformer_of(recording)
    z, f = network.latents, network.features
    parts = recording["hidden_states"].split([z, 6, z, f, z], 1)
    for queries in (None, 7):
        network.chunk_attention(queries)
        velocity, features = network(*parts, recording["timestep"], recording["encoder_hidden_states"])
        recording.check("velocity", velocity)
        recording.check("feats", features)
    out = network(*parts, recording["timestep_per_token"], recording["encoder_hidden_states"])
    recording.check("optional_per_token_timestep", torch.cat(out, 1))
    assert not recording.unchecked()


@torch.no_grad()
def test_image_encoder(flashworld):
    recording = flashworld("wan_vae_encode_a")
    codec = codec_of(recording)
    images = recording["image"][:, :, 0].permute(0, 2, 3, 1) / 2 + 0.5
    noise = recording["posterior_eps"][:, :, 0]
    for codec.batch in (None, 1):
        mean, logvar = codec.posterior(images)
        sample = codec.encode(images, noise)
        for name, found in {
            "mean": mean,
            "logvar": logvar,
            "normalised_mean": codec.encode(images),
            "sample": codec.denormalize(sample),
            "normalised_sample": sample,
        }.items():
            recording.check(name, found[:, :, None])
    assert not recording.unchecked()


@torch.no_grad()
def test_gaussian_decoder(flashworld):
    recording = flashworld("recon_decoder_a")
    network = decoder_of(recording)
    for network.batch in (None, 2):
        raw = network(recording["latents"][:, :, 0], recording["feats"][:, :, 0])
        recording.check("head_raw_view0", raw[:1].flatten(1, 2), group="intermediates")
        found = activated(network.gaussians(raw, recording["cameras"][0]))
        recording.check("gaussians", found.unflatten(0, (1, *raw.shape[:2], *raw.shape[3:])))
    assert not recording.unchecked()
