"""Sizes of the fixer."""

import json

import pytest

from unseen.core.errors import InputError
from unseen.priors.fixer.config import FixerConfig
from unseen.priors.fixer.pipeline import FixerPipeline


@pytest.mark.parametrize("name", ["varsr", "tiny"])
def test_there_and_back_through_json(name):
    config = FixerConfig.named(name)
    assert FixerConfig.from_dict(json.loads(json.dumps(config.as_dict()))) == config
    assert config.tokens == sum(side**2 for side in config.patch_nums)


def test_the_small_one_fits_the_package():
    modules = FixerPipeline.random(FixerConfig.named("tiny")).modules().values()
    parameters = sum(p.numel() for module in modules for p in module.parameters())
    assert 8e6 < parameters < 12.5e6, f"{parameters:,}"


def test_what_cannot_be():
    with pytest.raises(InputError, match="expected one of varsr, tiny"):
        FixerConfig.named("huge")
    found = FixerConfig.named("tiny").as_dict()
    with pytest.raises(InputError, match="latents of 8 a side"):
        FixerConfig.from_dict(found | {"patch_nums": (1, 2, 3, 4, 6, 9)})
    with pytest.raises(InputError, match="phi_map"):
        FixerConfig.from_dict(found | {"phi_map": (0, 1)})
