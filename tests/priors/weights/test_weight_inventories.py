"""Inventories of published networks, against the networks diffusers and transformers build at full size."""

import math

import pytest
from weight_samples import UPSAMPLER

from unseen.core.errors import InputError
from unseen.priors.weights.links import differences
from unseen.priors.weights.modules import build
from unseen.priors.weights.networks import NETWORKS
from unseen.priors.weights.published import PUBLISHED, published


def parameters(name):
    return sum(math.prod(size) for size in published(name).shapes().values())


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_full_size_networks_match_the_inventories(name):
    module = build(published(name).shape)
    assert all(p.is_meta for p in module.parameters())
    found = {n: tuple(tensor.shape) for n, tensor in module.state_dict().items()}
    assert differences(found, published(name).shapes()) == ([], [], {})


@pytest.mark.parametrize(
    ("name", "count"),
    [("sd21-unet", 865_910_724), ("sd21-vae", 83_653_863), ("clip-vit-h14", 632_076_800)],
)
def test_published_numbers_of_parameters(name, count):
    assert parameters(name) == count


def test_published_sizes_of_fp16_files():
    assert round(2 * parameters("sd-x2-latent-upscaler") / 1e6) == 745
    assert round(2 * (parameters("imagedream-unet") + parameters("imagedream-resampler")) / 1e9, 2) == 1.88


def test_the_ldm_inventory_has_as_many_parameters():
    for name in ("sd21-unet", "sd21-vae"):
        theirs = published(name).shapes("ldm")
        assert sum(math.prod(size) for size in theirs.values()) == parameters(name)


def test_upscalers_of_another_size_match_too():
    found = {n: tuple(tensor.shape) for n, tensor in build(UPSAMPLER).state_dict().items()}
    assert differences(found, NETWORKS["upsampler"].layout("diffusers").map(UPSAMPLER).left) == ([], [], {})


def test_unknown_inventories_are_refused():
    with pytest.raises(InputError, match="sd21-unet"):
        published("sd99")
