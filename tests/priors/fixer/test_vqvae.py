"""The VQ-VAE and its bridge: shapes, where training starts, what gradients reach."""

from dataclasses import replace

import pytest
import torch

from unseen.core.errors import InputError, ShapeError
from unseen.priors.fixer.config import FixerConfig
from unseen.priors.fixer.vqvae import VQVAE


def small_vqvae(bridge=True):
    torch.manual_seed(0)
    config = FixerConfig.named("varsr")
    sizes = {"ch": 4, "z": 4, "codebook": 16, "groups": 2, "bridge": bridge}
    return VQVAE(replace(config, vqvae=config.vqvae | sizes)).eval()


@torch.no_grad()
def test_blocks_start_as_their_shortcuts():
    network = small_vqvae(bridge=False)
    network.initialise()
    block, x = network.encoder.down[0].block[0], torch.rand(1, 4, 16, 16)
    assert torch.equal(block(x), x)
    assert network.encode(torch.rand(1, 3, 32, 32)).std() > 0


@torch.no_grad()
def test_pictures_of_any_fitting_sides_come_back_in_their_size():
    network = small_vqvae()
    images = torch.rand(2, 3, 32, 80) * 2 - 1
    latents = network.encode(images)
    assert latents.shape == (2, 4, 2, 5)
    decoded = network.decode(network.tokens(latents).fhat, network.features(images))
    assert decoded.images.shape == decoded.mask.shape == images.shape
    assert decoded.mask.min() >= 0 and decoded.mask.max() <= 1


@torch.no_grad()
def test_a_new_bridge_hardly_changes_the_picture():
    network = small_vqvae()
    images = torch.rand(1, 3, 32, 32) * 2 - 1
    latents = network.encode(images)
    plain, bridged = network.decode(latents), network.decode(latents, network.features(images))
    assert plain.mask is None
    assert bridged.mask.min() > 0.95
    change = (bridged.images - plain.images).square().mean() / (images - plain.images).square().mean()
    assert change < 0.02


def test_gradients_reach_all_of_the_bridge():
    network = small_vqvae().requires_grad_(False)
    for parameter in network.bridge_parameters():
        parameter.requires_grad_(True)
        if parameter.ndim == 4:  # away from the start, where gates see nothing
            torch.nn.init.normal_(parameter, std=0.1)
    images = torch.rand(1, 3, 32, 32) * 2 - 1
    network.decode(network.encode(images), network.features(images)).images.square().mean().backward()
    assert len(network.bridge_parameters()) == 134
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.bridge_parameters())


def test_the_bridge_is_moved_cast_and_copied_with_the_decoder():
    import copy

    network = copy.deepcopy(small_vqvae()).double()
    images = torch.rand(1, 3, 32, 32, dtype=torch.float64) * 2 - 1
    before = network.decode(network.encode(images), network.features(images)).images
    assert before.dtype == torch.float64
    with torch.no_grad():
        for parameter in network.bridge_parameters():
            parameter.add_(0.1)
    after = network.decode(network.encode(images), network.features(images)).images
    assert (after - before).abs().max() > 1e-3


@torch.no_grad()
def test_features_without_a_bridge():
    network = small_vqvae(bridge=False)
    images = torch.zeros(1, 3, 32, 32)
    assert not network.has_bridge and not network.bridge_parameters()
    with pytest.raises(InputError, match="without its bridge"):
        network.decode(network.encode(images), network.features(images))


def test_sides_that_do_not_fit():
    with pytest.raises(ShapeError, match=r"\(1, 3, 32, 40\), expected .* divisible by 16"):
        small_vqvae().encode(torch.zeros(1, 3, 32, 40))
