"""The published checkpoint: names and shapes at full size, and loading of small files of its kind."""

import json
import math
import pickle
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from recordings import folder as folder_of
from small_models import small_world, small_world_config
from unseen.core.errors import FormatError, InputError
from unseen.priors.unfilled import without_memory
from unseen.priors.weights import KeyMismatchError
from unseen.priors.weights.links import differences
from unseen.priors.world import WorldConfig, WorldPipeline
from unseen.priors.world.decoder import GaussianDecoder
from unseen.priors.world.published import (
    CHECKPOINT,
    open_codec,
    open_decoder,
    open_published,
    open_transformer,
)
from unseen.priors.world.text import random_text_encoder
from unseen.priors.world.transformer import WorldTransformer
from unseen.priors.world.vae import ImageCodec

FULL = WorldConfig.named("flashworld")


@pytest.fixture(scope="module")
def inventory():
    return json.loads((folder_of("flashworld") / "inventory.json").read_text())


def shapes(module):
    return {name: tuple(t.shape) for name, t in module.state_dict().items()}


def on_frames(recorded, unused=()):
    """Shapes as they are on single frames, without the temporal axis."""
    kept = {name: tuple(shape) for name, shape in recorded.items() if name not in unused}
    return {name: s[:2] + s[3:] if len(s) == 5 else s for name, s in kept.items()}


def test_the_full_transformer_has_the_published_names(inventory):
    with without_memory():
        network = WorldTransformer(FULL.transformer, FULL.features)
    recorded = inventory["transformer"]
    wanted = {name: tuple(shape) for name, shape in recorded["tensors"].items()}
    assert differences(shapes(network.model), wanted) == ([], [], {})
    assert sum(p.numel() for p in network.parameters()) == recorded["parameters"]
    assert all(p.is_meta for p in network.parameters())
    channels = recorded["input_channels"]
    order = ["noisy_latent", "ray_map", "condition_latent", "previous_feats", "previous_latent_3d"]
    assert list(channels) == order  # as WorldTransformer.forward joins them
    assert (network.latents, network.features) == (48, 1024)


def test_the_full_decoder_has_the_published_names(inventory):
    with without_memory():
        network = GaussianDecoder(FULL.decoder, FULL.features, FULL.points, FULL.sh_degree)
    recorded = inventory["recon_decoder"]
    assert differences(shapes(network), on_frames(recorded["tensors"])) == ([], [], {})
    assert sum(t.numel() for t in network.state_dict().values()) == recorded["parameters"]


def test_the_full_encoder_has_the_published_names(inventory):
    with without_memory():
        network = ImageCodec(FULL.vae)
    recorded = inventory["vae_encoder"]
    wanted = on_frames(recorded["tensors"], recorded["unused_on_single_frames"])
    own = {"latents_mean": (48,), "latents_std": (48,)}
    assert differences(shapes(network), wanted | own) == ([], [], {})
    for key, value in recorded["config"].items():
        if key in FULL.vae and key not in ("latents_mean", "latents_std"):
            assert (list(FULL.vae[key]) if isinstance(value, list) else FULL.vae[key]) == value, key
    for key in ("latents_mean", "latents_std"):
        assert FULL.vae[key] == pytest.approx(recorded["config"].get(key, FULL.vae[key]))


def test_the_full_text_encoder_has_the_published_size():
    with without_memory():
        encoder = random_text_encoder(FULL.text)
    tied = "model.shared.weight"  # the embedding under a second name, one tensor with it once there is memory
    count = sum(p.numel() for name, p in encoder.named_parameters() if name != tied)
    assert 5.6e9 < count < 5.8e9


# ---- files


def as_video(name, tensor):
    """A weight with a temporal axis where the published one has it: convolutions but those of attention."""
    flat = tensor.ndim != 4 or ".to_qkv." in name or ".proj." in name or ".resample." in name or "gs_proj" in name
    return tensor if flat or not name.endswith("weight") else tensor[:, :, None]


@pytest.fixture
def source():
    """A random model whose every weight counts."""
    model = small_world()
    torch.manual_seed(3)
    for module in model.modules().values():
        for p in module.parameters():
            p.data += 0.05 * torch.randn_like(p)
    return model


@pytest.fixture
def folder(source, tmp_path):
    """Laid out as published: a pickle with two state dicts, and Wan's autoencoder with three taps and a decoder."""
    state = {
        "transformer": dict(source.transformer.model.state_dict()),
        "recon_decoder": {n: as_video(n, t) for n, t in source.decoder.state_dict().items()},
    }
    torch.save(state, tmp_path / CHECKPOINT)
    (tmp_path / "vae").mkdir()
    own = {n: t for n, t in source.codec.state_dict().items() if not n.startswith("latents_")}
    video = {n: three_taps(as_video(n, t)) for n, t in own.items()}
    video |= {
        "decoder.conv_in.weight": torch.zeros(1),
        "encoder.down_blocks.1.downsampler.time_conv.bias": torch.ones(1),
    }
    save_file({n: t.contiguous() for n, t in video.items()}, tmp_path / "vae" / "diffusion_pytorch_model.safetensors")
    return tmp_path


def three_taps(tensor):
    return (
        torch.cat([torch.randn_like(tensor)] * 2 + [tensor], 2) if tensor.ndim == 5 and tensor.shape[-1] > 1 else tensor
    )


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def test_published_files_open(source, folder):
    config = small_world_config()
    for found, wanted in (
        (open_transformer(folder / CHECKPOINT, config, torch.float32), source.transformer),
        (open_decoder(folder / CHECKPOINT, config, torch.float32), source.decoder),
        (open_codec(folder / "vae", config, torch.float32), source.codec),
    ):
        assert same(found.state_dict(), wanted.state_dict())
        assert not any(p.is_meta or p.requires_grad for p in found.parameters())
    rope = open_transformer(folder / CHECKPOINT, config, torch.bfloat16).model.rope
    assert torch.equal(rope.freqs_cos, source.transformer.model.rope.freqs_cos)


def test_lower_precision_spares_what_it_would_harm(folder):
    config = small_world_config()
    transformer = open_transformer(folder / CHECKPOINT, config, torch.bfloat16)
    cast = small_world().to(dtype=torch.bfloat16)
    for found, wanted in (
        (transformer, cast.transformer),
        (open_decoder(folder / CHECKPOINT, config, torch.bfloat16), cast.decoder),
        (open_codec(folder / "vae", config, torch.bfloat16), cast.codec),
    ):
        assert {n: t.dtype for n, t in found.state_dict().items()} == {
            n: t.dtype for n, t in wanted.state_dict().items()
        }


def test_a_whole_published_model(source, folder, monkeypatch):
    """The text encoder stands in: transformers has its own tests for loading one."""
    monkeypatch.setattr("unseen.priors.world.published.published_text_encoder", lambda *_: source.text)
    for part in ("text_encoder", "tokenizer"):
        (folder / part).mkdir()
    from unseen.core.paths import orbit

    def views(model):
        path = orbit(2, radius_m=1.0, width=48, height=32)
        return model.generate(path, prompt="red", steps=2, generator=torch.Generator().manual_seed(0)).views

    opened = open_published(folder, torch.float32, config=small_world_config())
    assert torch.equal(views(opened), views(source))
    small = open_published(folder, torch.float32, weights="fp8", config=small_world_config())
    names = [type(m).__name__ for m in small.transformer.modules()]
    assert names.count("EightBitLinear") == 10 * small_world_config().transformer["num_layers"]
    torch.testing.assert_close(views(small), views(source), atol=0.1, rtol=0)


def test_weights_that_do_not_fit_are_named(source, folder):
    wide = replace(small_world_config(), features=12)
    with pytest.raises(KeyMismatchError, match=r"transformer of .*: 3 of another shape: model\.") as caught:
        open_transformer(folder / CHECKPOINT, wide, torch.float32)
    assert set(caught.value.misshapen) == {
        "model.patch_embedding.weight",
        "model.proj_out.weight",
        "model.proj_out.bias",
    }
    state = torch.load(folder / CHECKPOINT)
    state["recon_decoder"]["decoder.extra.weight"] = state["recon_decoder"].pop("gs_head.lrs_mul")
    torch.save(state, folder / CHECKPOINT)
    with pytest.raises(KeyMismatchError, match=r"missing: gs_head\.lrs_mul; 1 unused: decoder\.extra"):
        open_decoder(folder / CHECKPOINT, small_world_config(), torch.float32)


class Hostile:
    def __reduce__(self):
        return (print, ("executed",))


def test_hostile_checkpoints_run_nothing(folder, capsys):
    (folder / CHECKPOINT).write_bytes(pickle.dumps({"transformer": Hostile()}, protocol=2))
    with pytest.raises(FormatError, match="more than tensors"):
        open_transformer(folder / CHECKPOINT, small_world_config(), torch.float32)
    torch.save({"transformer": {"a": torch.ones(1)}, "state": Hostile()}, folder / CHECKPOINT)
    with pytest.raises(FormatError, match="more than tensors"):
        open_transformer(folder / CHECKPOINT, small_world_config(), torch.float32)
    assert "executed" not in capsys.readouterr().out


def test_folders_without_a_model_are_told(tmp_path):
    with pytest.raises(InputError, match=r"expected model\.ckpt"):
        WorldPipeline.from_pretrained(tmp_path)


def test_the_checkpoint_as_published_has_21_gigabytes(inventory):
    count = inventory["transformer"]["parameters"] + inventory["recon_decoder"]["parameters"]
    assert math.isclose(4 * count, 20.9e9, rel_tol=0.01)
