"""Whole checkpoints converted, verified, inspected and compared."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from weight_samples import CLIP, PLAIN_UNET, UNET, UPSAMPLER, VAE, imagedream, random_state, same_bits

from unseen.core.errors import FormatError, InputError
from unseen.priors.weights import ConvertRequest, KeyMismatchError, run_convert, run_inspect, run_verify
from unseen.priors.weights.compare import run_compare
from unseen.priors.weights.image_encoder import clip_map
from unseen.priors.weights.networks import NETWORKS
from unseen.priors.weights.unet import unet_map
from unseen.priors.weights.vae import vae_map

FOLDERS = ("unet", "vae", "image_encoder", "resampler")


def convert(source, target, **options):
    return run_convert(ConvertRequest(source, target, **options))


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "imagedream.ckpt"
    torch.save({"state_dict": imagedream(), "epoch": 1}, path)
    return path


def test_a_published_checkpoint_becomes_a_diffusers_folder_and_comes_back(tmp_path, checkpoint):
    found = convert(checkpoint, tmp_path / "out", max_shard_bytes=10**6)
    assert {name: n["from"] for name, n in found["networks"].items()} == {
        "unet": "ldm", "resampler": "ldm", "vae": "ldm", "image_encoder": "openclip"
    }  # fmt: skip
    assert found["aside"] == {"noise schedule": 2, "text encoder": 1}
    assert (tmp_path / "out/unet/diffusion_pytorch_model.safetensors.index.json").is_file()
    back = tmp_path / "back.safetensors"
    convert(tmp_path / "out", back, to="imagedream")
    original = imagedream()
    networks = ("model.diffusion_model.", "vae_model.", "clip_model.model.visual.")
    assert same_bits(load_file(back), {n: t for n, t in original.items() if n.startswith(networks)})


def test_diffusers_and_transformers_load_the_folder(tmp_path, checkpoint):
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPVisionModelWithProjection

    state = random_state(unet_map(PLAIN_UNET).left)
    save_file(state, tmp_path / "plain.safetensors")
    convert(tmp_path / "plain.safetensors", tmp_path / "plain", dtype="fp32")
    convert(checkpoint, tmp_path / "out", networks=("vae", "image_encoder"))
    for kind, folder in (
        (UNet2DConditionModel, "plain/unet"),
        (AutoencoderKL, "out/vae"),
        (CLIPVisionModelWithProjection, "out/image_encoder"),
    ):
        module, info = kind.from_pretrained(tmp_path / folder, output_loading_info=True)
        assert not any(info.values()), (folder, info)
        assert all(p.isfinite().all() for p in module.parameters())
    unet = UNet2DConditionModel.from_pretrained(tmp_path / "plain/unet")
    assert torch.equal(unet.conv_in.weight, state["input_blocks.0.0.weight"])


def test_files_of_single_networks_need_no_prefix(tmp_path):
    state = {n.removeprefix("model.diffusion_model."): t for n, t in imagedream().items() if n.startswith("model.")}
    save_file({f"module.{n}": t for n, t in state.items()}, tmp_path / "bare.safetensors")
    found = convert(tmp_path / "bare.safetensors", tmp_path / "out", dtype="bf16")
    assert set(found["networks"]) == {"unet", "resampler"}
    assert run_inspect(tmp_path / "out")["dtypes"].keys() == {"bfloat16"}
    assert json.loads((tmp_path / "out/unet/config.json").read_text())["projection_class_embeddings_input_dim"] == 16


@pytest.mark.parametrize("spelling", ["oxigaf", "oxigaf-underscore", "oxigaf-slash"])
def test_oxigafs_weights_come_and_go(tmp_path, checkpoint, spelling):
    convert(checkpoint, tmp_path / "ours", networks=("unet", "vae"))
    convert(tmp_path / "ours", tmp_path / "theirs", to=spelling)
    names = set(load_file(tmp_path / "theirs/vae/diffusion_pytorch_model.safetensors"))
    assert ("decoder.conv_in.weight" in names) == (spelling == "oxigaf")
    for name in ("unet", "vae"):
        convert(tmp_path / "theirs" / name, tmp_path / "again")
        file = f"{name}/diffusion_pytorch_model.safetensors"
        assert same_bits(load_file(tmp_path / "again" / file), load_file(tmp_path / "ours" / file))
    theirs = load_file(tmp_path / "theirs/vae/diffusion_pytorch_model.safetensors")
    assert {len(t.shape) for n, t in theirs.items() if "to_q" in n or "to__q" in n} == {1, 4}


def test_oxigafs_own_layers_have_no_place_and_are_dropped_only_on_demand(tmp_path):
    state = random_state(NETWORKS["unet"].layout("oxigaf").map(UNET).left)
    state["down_blocks.0.attentions.0.transformer_blocks.0.attn_cv.to_q.weight"] = torch.zeros(2, 2)
    save_file(state, tmp_path / "o.safetensors")
    with pytest.raises(KeyMismatchError, match=r"1 unused: down_blocks.*attn_cv"):
        convert(tmp_path / "o.safetensors", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert convert(tmp_path / "o.safetensors", tmp_path / "out", drop=(r".*\.attn_cv\..*",))["dropped"] == 1
    with pytest.raises(InputError, match="no tensor matches"):
        convert(tmp_path / "o.safetensors", tmp_path / "out", drop=("attn_xx",))


def test_an_incomplete_checkpoint_writes_nothing(tmp_path):
    state = imagedream()
    del state["vae_model.encoder.mid.attn_1.q.weight"]
    save_file(state, tmp_path / "less.safetensors")
    with pytest.raises(KeyMismatchError, match=r"autoencoder \(ldm layout\): 1 missing: encoder.mid.attn_1.q.weight"):
        convert(tmp_path / "less.safetensors", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert "1 missing" in run_inspect(tmp_path / "less.safetensors")["networks"]["vae"]["problem"]
    state["strange.thing"] = torch.zeros(1)
    save_file(state, tmp_path / "more.safetensors")
    with pytest.raises(KeyMismatchError, match=r"1 unused: strange\.thing"):
        convert(tmp_path / "more.safetensors", tmp_path / "out")


def test_requests_that_make_no_sense_are_refused(tmp_path, checkpoint):
    for options, words in (
        ({"target": tmp_path / "x.safetensors"}, "name a folder"),
        ({"target": tmp_path / "x", "to": "ldm"}, "expected a .safetensors file"),
        ({"target": tmp_path / "x.safetensors", "to": "openclip"}, "no place for unet"),
        ({"target": tmp_path / "x", "networks": ("upsampler",)}, "there is no upsampler"),
        ({"target": tmp_path / "x", "to": "mars"}, "unknown layout 'mars'"),
        ({"target": tmp_path / "x", "dtype": "int3"}, "unknown precision"),
        ({"target": tmp_path / "x", "drop": ("(",)}, "no regular expression"),
    ):
        with pytest.raises(InputError, match=words):
            convert(checkpoint, **options)
    convert(checkpoint, tmp_path / "out")
    with pytest.raises(InputError, match="would replace what it is made from"):
        convert(tmp_path / "out", tmp_path / "out", dtype="fp16")


def test_custom_mappings_are_strict(tmp_path):
    save_file({"a.x": torch.ones(1), "a.y": torch.zeros(2)}, tmp_path / "a.safetensors")
    source, target, mapping = tmp_path / "a.safetensors", tmp_path / "b.safetensors", tmp_path / "map.json"
    mapping.write_text(json.dumps([["a\\.(.)", "b/\\1"]]))
    convert(source, target, mapping=mapping)
    assert set(load_file(target)) == {"b/x", "b/y"}
    mapping.write_text(json.dumps({"a.x": "one", "a.y": "two"}))
    convert(source, target, mapping=mapping)
    assert set(load_file(target)) == {"one", "two"}
    for text, kind, words in (
        ('{"a.x": "one"}', KeyMismatchError, "1 unused: a.y"),
        ('{"a.x": "1", "a.y": "2", "a.z": "3"}', KeyMismatchError, "1 missing: a.z"),
        ('[["a..", "same"]]', InputError, "would both become same"),
        ('[["(", "x"]]', FormatError, "no regular expression"),
        ('[["a.(.)", "\\\\2"]]', FormatError, "does not fit"),
        ('["a"]', FormatError, "expected"),
        ("[", FormatError, "no JSON"),
    ):
        mapping.write_text(text)
        with pytest.raises(kind, match=words):
            convert(source, target, mapping=mapping)
    assert set(load_file(target)) == {"one", "two"}


def test_upscaler_and_other_networks_keep_their_names(tmp_path):
    state = random_state(NETWORKS["upsampler"].layout("diffusers").map(UPSAMPLER).left)
    torch.save(state, tmp_path / "up.bin")
    assert convert(tmp_path / "up.bin", tmp_path / "out")["networks"]["upsampler"]["from"] == "diffusers"
    save_file({"some.weight": torch.ones(2)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="unknown weights"):
        convert(tmp_path / "other.safetensors", tmp_path / "out")
    convert(tmp_path / "other.safetensors", tmp_path / "half.safetensors", to="same", dtype="fp16")
    assert load_file(tmp_path / "half.safetensors")["some.weight"].dtype is torch.float16
    assert run_inspect(tmp_path / "other.safetensors")["unknown"] == ["some.weight"]


def test_verify_lists_what_is_missing_extra_and_misshapen(tmp_path):
    save_file({"a": torch.ones(2), "b": torch.ones(3), "c": torch.ones(1)}, tmp_path / "w.safetensors")
    inventory = tmp_path / "inventory.json"
    inventory.write_text(json.dumps({"a": [2], "b": ["float32", [4]], "c": ["float16", [1]], "d": [1]}))
    found = run_verify(tmp_path / "w.safetensors", str(inventory))
    assert (found["matches"], found["missing"], found["extra"]) == (False, ["d"], [])
    assert found["misshapen"] == {
        "b": {"found": [3], "expected": [4]}, "c": {"found": "float32", "expected": "float16"}
    }  # fmt: skip
    inventory.write_text(json.dumps(run_inspect(tmp_path / "w.safetensors")["inventory"]))
    assert run_verify(tmp_path / "w.safetensors", str(inventory))["matches"]
    inventory.write_text('{"a": "big"}')
    with pytest.raises(FormatError, match="a has no shape"):
        run_verify(tmp_path / "w.safetensors", str(inventory))


@pytest.mark.parametrize("layout", ["ldm", "diffusers-0.17", "diffusers", "oxigaf"])
def test_published_inventories_are_checked_in_the_layout_of_the_file(tmp_path, layout):
    state = random_state(NETWORKS["vae"].layout(layout).map(VAE).left)
    save_file(state, tmp_path / "vae.safetensors")
    found = run_verify(tmp_path / "vae.safetensors", "sd21-vae")
    assert found["layout"] == layout and found["tensors"] == 248 and not found["matches"]
    assert "encoder.conv_in.weight" in found["misshapen"] and found["missing"]
    assert all("conv_shortcut" in name for name in found["extra"])  # narrow where the published one is not
    with pytest.raises(InputError, match="holds no unet"):
        run_verify(tmp_path / "vae.safetensors", "sd21-unet")


def test_equal_networks_compare_equal_across_layouts_to_the_last_bit(tmp_path, checkpoint):
    convert(checkpoint, tmp_path / "out")
    found = run_compare(checkpoint, tmp_path / "out", outputs=True)
    assert found["largest"] == 0 and not found["only_in_a"] and not found["only_in_b"]
    assert set(found["outputs"]) == set(FOLDERS)
    assert all(row["max_abs"] == 0 for rows in found["outputs"].values() for row in rows)


def test_differences_are_found_where_they_are(tmp_path):
    state = random_state(clip_map(CLIP).left)
    save_file(state, tmp_path / "a.safetensors")
    state["transformer.resblocks.1.mlp.c_fc.bias"][3] += 0.5
    save_file(state, tmp_path / "b.safetensors")
    found = run_compare(tmp_path / "a.safetensors", tmp_path / "b.safetensors", outputs=True)
    changed = [row for row in found["weights"] if row["max_abs"]]
    assert [row["name"] for row in changed] == ["image_encoder/vision_model.encoder.layers.1.mlp.fc1.bias"]
    assert changed[0]["max_abs"] == pytest.approx(0.5) == found["largest"]
    layers = [row["layer"] for row in found["outputs"]["image_encoder"] if row["max_abs"]]
    assert layers[0] == "vision_model.encoder.layers.1.mlp.fc1" and layers[-1] == "visual_projection"
    save_file({"x": torch.tensor([float("nan"), 1.0])}, tmp_path / "c.safetensors")
    save_file({"x": torch.tensor([0.0, 1.0]), "y": torch.ones(1)}, tmp_path / "d.safetensors")
    found = run_compare(tmp_path / "c.safetensors", tmp_path / "d.safetensors")
    assert found["largest"] is None and found["only_in_b"] == ["y"]


def test_old_autoencoders_of_diffusers_become_new_ones(tmp_path):
    old = random_state(NETWORKS["vae"].layout("diffusers-0.17").map(VAE).left)
    save_file(old, tmp_path / "vae.safetensors")
    convert(tmp_path / "vae.safetensors", tmp_path / "new.safetensors")
    new = load_file(tmp_path / "new.safetensors")
    assert new.keys() == vae_map(VAE).right.keys()
    attention = "decoder.mid_block.attentions.0"
    assert torch.equal(new[f"{attention}.to_out.0.weight"], old[f"{attention}.proj_attn.weight"])
