"""Adapters folded into the weights they adapt, as peft computes with them."""

import pytest
import torch
from torch import nn

from unseen.priors.weights.low_rank import Folded
from unseen.priors.weights.tensors import InMemory


def test_as_peft_computes():
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.Flatten(), nn.Linear(6 * 4, 5), nn.Linear(5, 2))
    adapted = peft.inject_adapter_in_model(peft.LoraConfig(r=4, target_modules=["0", "2"]), plain, "some_name")
    for name, parameter in adapted.named_parameters():
        if "lora" in name:
            nn.init.normal_(parameter)
    x = torch.randn(2, 3, 5, 5)
    expected = adapted(x)
    folded = Folded(InMemory(adapted.state_dict()), "a network")
    bare = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.Flatten(), nn.Linear(6 * 4, 5), nn.Linear(5, 2))
    bare.load_state_dict({name: folded.read(name) for name in folded.entries}, strict=True)
    torch.testing.assert_close(bare(x), expected, rtol=1e-4, atol=1e-4)


def test_weights_without_adapters_are_as_they_were():
    weights = {"a.weight": torch.randn(2, 3), "a.bias": torch.randn(2)}
    folded = Folded(InMemory(weights), "a network")
    assert folded.entries == InMemory(weights).entries
    assert all(torch.equal(folded.read(name), tensor) for name, tensor in weights.items())
