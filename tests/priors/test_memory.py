"""Memory is saved without changing results: slices, tiles, networks that wait elsewhere."""

import pytest
import torch
from torch import nn

from diffusion_networks import tiny_unet, tiny_vae, unet_inputs
from unseen.core.errors import MissingDependencyError
from unseen.priors.memory import compile_forward, offloaded, slice_vae


@torch.no_grad()
def test_vae_image_by_image_is_exact_and_in_tiles_near():
    vae = tiny_vae()
    latents = torch.randn(3, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    before = vae.decode(latents).sample
    slice_vae(vae, slicing=True, tiling=False)
    calls = []
    vae.decoder.register_forward_pre_hook(lambda _, args: calls.append(args[0].shape))
    torch.testing.assert_close(vae.decode(latents).sample, before, rtol=1e-4, atol=1e-5)
    assert [tuple(c) for c in calls] == [(1, 4, 16, 16)] * 3
    calls.clear()
    slice_vae(vae, slicing=False, tiling=True)
    tiled = vae.decode(latents).sample
    assert tiled.shape == before.shape and max(c[-1] for c in calls) <= 8
    slice_vae(vae, slicing=False, tiling=False)
    assert torch.equal(vae.decode(latents).sample, before)


class Walker(nn.Linear):
    """Records where it was sent instead of going, and refuses to compute anywhere but on cuda."""

    def __init__(self):
        super().__init__(2, 2)
        self.where = None

    def to(self, device):
        self.where = str(device)
        return self

    def forward(self, x):
        assert self.where == "cuda"
        return super().forward(x)


class Coder(nn.Module):
    """Used through a method that calls a child, as autoencoders are."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 2)
        self.where = None

    def to(self, device):
        self.where = str(device)
        return self

    def encode(self, x):
        assert self.inner(x) is not None and self.where == "cuda"
        return self.inner(x)


def test_one_component_at_a_time_is_on_the_device():
    parts = {"a": Walker(), "b": Walker(), "vae": Coder()}

    def where():
        return {name: part.where for name, part in parts.items()}

    x = torch.zeros(1, 2)
    with offloaded(parts, "cuda") as offloading:
        assert where() == {"a": "cpu", "b": "cpu", "vae": "cpu"} and offloading.resident is None
        parts["a"](x)
        parts["a"](x)
        assert where() == {"a": "cuda", "b": "cpu", "vae": "cpu"} and offloading.moves == 1
        parts["vae"].encode(x)
        assert where() == {"a": "cpu", "b": "cpu", "vae": "cuda"} and offloading.moves == 2
        assert offloading.fetch("b") is parts["b"] and offloading.resident == "b"
        assert where() == {"a": "cpu", "b": "cuda", "vae": "cpu"}
    assert where() == {"a": "cpu", "b": "cpu", "vae": "cpu"}
    with pytest.raises(AssertionError):
        parts["a"](x)  # nothing moves after the block


@torch.no_grad()
def test_offloading_to_the_same_device_changes_nothing():
    unet, vae, (x, t, text) = tiny_unet(), tiny_vae(), unet_inputs()
    expected = unet(x, t, text).sample, vae.decode(x).sample
    with offloaded({"unet": unet, "vae": vae}, "cpu") as offloading:
        assert torch.equal(unet(x, t, text).sample, expected[0])
        assert torch.equal(vae.decode(x).sample, expected[1])
        assert offloading.moves == 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@torch.no_grad()
def test_offloading_keeps_one_network_in_the_memory_of_the_device():
    parts = {name: nn.Linear(1024, 1024) for name in "abcd"}
    x = torch.zeros(1, 1024, device="cuda")
    before = torch.cuda.memory_allocated()
    with offloaded(parts, "cuda"):
        for part in parts.values():
            x = part(x)
            held = torch.cuda.memory_allocated() - before
            assert 4 << 20 <= held < 6 << 20


def test_compiling_without_a_compiler_is_one_clear_line(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(MissingDependencyError, match="C\\+\\+ compiler"):
        compile_forward(nn.Linear(2, 2))


def test_a_compiled_network_keeps_its_names_and_its_results():
    network = nn.Sequential(nn.Linear(4, 4), nn.SiLU())
    x, names = torch.ones(2, 4), list(network.state_dict())
    expected = network(x)
    try:
        compile_forward(network)
    except MissingDependencyError as error:
        pytest.skip(str(error))
    calls = []
    network.register_forward_hook(lambda *_: calls.append(1))
    for _ in range(2):
        torch.testing.assert_close(network(x), expected)
    assert list(network.state_dict()) == names and len(calls) == 2
