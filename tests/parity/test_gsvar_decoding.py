"""GS-VAR's decoding against recordings, token by token, up to the picture."""

import pytest
import torch
from test_gsvar_transformer import config_of, transformer_of

from unseen.priors.fixer.decoding import Known, decode, refined
from unseen.priors.fixer.vqvae import VQVAE


def vqvae_of(recording):
    network = VQVAE(config_of(recording))
    network.load_state_dict(recording.weights("vae_local/"), strict=True)
    return network.eval()


@pytest.mark.parametrize(("run", "items", "views"), [("noref", 1, 1), ("ref", 2, 2)])
@torch.no_grad()
def test_decoding(gsvar, run, items, views):
    recording = gsvar("var_decode_a")
    network, vqvae = transformer_of(recording), vqvae_of(recording)
    names = ("render", "reference")[:views]
    pictures = torch.stack([recording[name][:items] for name in names], 1)
    known = Known()
    if views > 1:
        known = Known([found[:, None] for found in vqvae.tokens(vqvae.encode(pictures[:, 1])).indices])
    logits = []

    def check_scale(k, hidden, fhat):
        kinds = torch.arange(views).expand(items, -1)
        logits.append(network.logits(hidden, kinds))
        recording.check(f"{run}/fhat_{k}", fhat.flatten(0, 1))

    found = decode(network, vqvae.quantize, pictures, known, on_scale=check_scale)
    recording.check(f"{run}/logits", torch.cat(logits, 2).flatten(0, 1))
    for k, indices in enumerate(found.indices):
        recording.check(f"{run}/idx_{k}", indices.flatten(0, 1))
    recording.check(f"{run}/refiner_condition", found.condition.flatten(0, 1))
    left = list(recording[f"noise_{run}"].flatten(1, 2))
    coarse = found.fhat.flatten(0, 1)
    fine = refined(network, coarse, found.condition.flatten(0, 1), lambda shape: left.pop(0))
    recording.check(f"{run}/refiner_residual", fine - coarse)
    recording.check(f"{run}/fhat_final", fine)
    renders = fine.unflatten(0, (items, views))[:, 0]
    seen = vqvae.features(pictures[:, 0])
    recording.check(f"{run}/image_bridge", shown(vqvae.decode(renders, seen)))
    if views > 1:
        recording.check(f"{run}/image_nobridge", shown(vqvae.decode(renders[:1])))
    assert all(name in recording.checked for name in recording.outputs() if name.startswith(f"{run}/"))


def shown(decoded):
    return decoded.images.clamp(-1, 1) / 2 + 0.5
