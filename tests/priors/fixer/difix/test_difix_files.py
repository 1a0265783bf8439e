"""Difix from its published files: folder and pickle, strictly and safely."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from difix_models import small_difix, write_published, write_run
from unseen.core.errors import FormatError, InputError
from unseen.priors.fixer.difix import Difix
from unseen.priors.fixer.difix.published import PROMPT, prompt_states
from unseen.priors.weights import KeyMismatchError

UNET = "unet/diffusion_pytorch_model.safetensors"


def same_weights(found, expected):
    for name, module in expected.modules().items():
        ours = getattr(found, name).state_dict()
        assert ours.keys() == module.state_dict().keys()
        for key, tensor in module.state_dict().items():
            torch.testing.assert_close(ours[key], tensor, atol=1e-5, rtol=1e-5)


def test_published_folder(tmp_path):
    model = small_difix()
    write_published(tmp_path / "difix_ref", model)
    found = Difix.from_pretrained(tmp_path / "difix_ref")
    same_weights(found, model)
    assert found.config.references
    assert torch.equal(found.prompt, prompt_states(tmp_path / "difix_ref", PROMPT))
    model.prompt = found.prompt
    renders, photos = torch.rand(1, 12, 16, 3), [torch.rand(1, 12, 16, 3)]
    torch.testing.assert_close(found.fix(renders, photos).images, model.fix(renders, photos).images, atol=1e-4, rtol=0)


def test_the_model_that_has_not_learned_to_look(tmp_path):
    write_published(tmp_path / "difix", small_difix())
    assert not Difix.from_pretrained(tmp_path / "difix").config.references
    assert Difix.from_pretrained(tmp_path / "difix", references=True).config.references


def test_gain_of_the_skips(tmp_path):
    model = small_difix()
    write_published(tmp_path, model)
    path = tmp_path / "vae" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"gamma": 0.5, "lora_rank": 2, "ignore_skip": False}))
    found = Difix.from_pretrained(tmp_path)
    for ours, theirs in zip(found.vae.skips(), model.vae.skips(), strict=True):
        torch.testing.assert_close(ours.weight, 0.5 * theirs.weight)


def test_pickle_of_a_run(tmp_path):
    model = small_difix()
    path = write_run(tmp_path, model)
    same_weights(Difix.from_pretrained(path, base=tmp_path / "base"), model)


def test_weights_that_are_missing(tmp_path):
    write_published(tmp_path, small_difix())
    weights = load_file(tmp_path / UNET)
    weights.pop("conv_in.weight")
    save_file(weights | {"extra": torch.zeros(1)}, tmp_path / UNET)
    with pytest.raises(KeyMismatchError, match=r"U-Net of .*1 missing: conv_in.weight; 1 unused: extra"):
        Difix.from_pretrained(tmp_path)


def test_half_an_adapter(tmp_path):
    path = write_run(tmp_path, small_difix())
    state = torch.load(path, weights_only=True)
    state["state_dict_vae"].pop("decoder.conv_in.lora_A.vae_skip.weight")
    torch.save(state, path)
    with pytest.raises(FormatError, match=r"half an adapter.*decoder.conv_in.lora_B"):
        Difix.from_pretrained(path, base=tmp_path / "base")


def test_a_pickle_that_wants_to_run_something_is_refused(tmp_path):
    path = write_run(tmp_path, small_difix())
    torch.save({"state_dict_unet": {}, "state_dict_vae": {}, "call": print}, path)
    with pytest.raises(FormatError, match="nothing was executed"):
        Difix.from_pretrained(path, base=tmp_path / "base")


def test_models_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match="no model at"):
        Difix.from_pretrained(tmp_path / "absent.pkl")
    (tmp_path / "vae").mkdir()
    with pytest.raises(InputError, match="no unet in"):
        Difix.from_pretrained(tmp_path)
