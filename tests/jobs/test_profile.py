"""What `unseen profile` tells: measured, complete, honest about random weights."""

import dataclasses
import json

import pytest
import torch

from diffusion_networks import little
from unseen.core.errors import InputError
from unseen.jobs import profile
from unseen.jobs.profile import ProfileSettings, lines_of, run_profile
from unseen.jobs.progress import Silent
from unseen.priors.multiview.config import NAMED

SMALL = ProfileSettings(model="little-random", views=2, latent=8, steps=2, device="cpu")


@pytest.fixture(autouse=True)
def little_models(monkeypatch):
    """Configurations that compute in milliseconds, by name."""
    monkeypatch.setitem(NAMED, "little", little)
    monkeypatch.setitem(NAMED, "little-cameras", lambda: little("tiny-cameras"))


def run(**changes):
    result = run_profile(dataclasses.replace(SMALL, **changes), Silent())
    json.dumps(result)
    return result


def test_a_step_is_measured():
    result = run()
    assert len(result["steps_s"]) == 2 and min(result["steps_s"]) <= result["step_s"] <= max(result["steps_s"])
    assert 0 < result["step_s"] <= result["total_s"]
    assert result["random_weights"] and result["peak_bytes"] > 50 << 20
    assert set(result["parameters"]) == {"unet"}
    assert result["weight_bytes"]["unet"] == 4 * result["parameters"]["unet"]
    layers = result["layers"]
    assert len(layers) == 15 and layers == sorted(layers, key=lambda c: -c["seconds"])
    assert all(layer["calls"] == 1 for layer in layers) and 0 < sum(layer["share"] for layer in layers) <= 1
    text = "\n".join(lines_of(result))
    assert "random weights" in text and layers[0]["name"][-66:] in text and "2 views and a reference" in text


@pytest.mark.parametrize("changes", [
    {"guidance": 1.0}, {"dtype": "bf16"}, {"slicing": True}, {"fused": False}, {"weights": "int8"},
    {"weights": "fp8", "dtype": "bf16"}, {"model": "little-cameras-random"},
])  # fmt: skip
def test_settings_reach_the_network(changes, monkeypatch):
    seen = {}
    build = profile._unet

    def watched(model):
        unet = build(model)

        def look(module, args, keywords):
            seen.update(rows=len(args[0]), dtype=args[0].dtype, unet=module, poses=keywords["cameras"])

        unet.register_forward_pre_hook(look, with_kwargs=True)
        return unet

    monkeypatch.setattr(profile, "_unet", watched)
    result = run(**changes)
    assert seen["rows"] == (1 if changes.get("guidance") == 1 else 2)
    assert seen["dtype"] == (torch.bfloat16 if changes.get("dtype") == "bf16" else torch.float32)
    assert {p.slice_size for p in seen["unet"].attention_processors.values()} == {1 if "slicing" in changes else None}
    assert (result["weight_bytes"]["unet"] < 2 * result["parameters"]["unet"]) == ("weights" in changes)
    assert (seen["poses"] is not None) == ("model" in changes)


def test_all_networks_from_the_reference_to_pictures():
    pytest.importorskip("unseen.priors.multiview.pipeline")
    result = run(whole=True)
    assert {"unet", "vae", "image_encoder", "resampler"} <= set(result["parameters"])
    assert {"vae.encoder", "vae.decoder", "image_encoder"} <= set(result["other_networks_s"])
    assert len(result["steps_s"]) == 2
    assert sum(result["steps_s"]) + sum(result["other_networks_s"].values()) <= result["total_s"]
    assert any(line.startswith("pictures") for line in lines_of(result))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_offloading_lowers_the_peak_on_a_gpu():
    plain, less = (run(whole=True, offload=offload, device="cuda") for offload in (False, True))
    assert less["moves"] > 3 and less["peak_bytes"] < plain["peak_bytes"]


@pytest.mark.parametrize(("changes", "words"), [
    ({"offload": True}, "GPU"), ({"views": 0}, "--views"), ({"guidance": 0.5}, "--guidance"),
    ({"dtype": "fp64"}, "fp64"), ({"model": "huge-random"}, "huge"),
])  # fmt: skip
def test_what_cannot_be_is_refused(changes, words):
    with pytest.raises(InputError, match=words):
        run(**changes)
