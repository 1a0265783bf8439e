"""Published checkpoints: names and shapes at full size, and loading of small files of their kinds."""

import csv
import json
from argparse import Namespace
from ast import literal_eval
from dataclasses import replace

import pytest
import torch

from recordings import folder as folder_of
from small_models import small_fixer
from unseen.core.errors import FormatError, InputError
from unseen.priors.fixer.config import FixerConfig
from unseen.priors.fixer.loading import load_fixer
from unseen.priors.fixer.pipeline import FixerPipeline
from unseen.priors.fixer.published import LORA_SCALE, open_published
from unseen.priors.fixer.transformer import FixerTransformer
from unseen.priors.fixer.vqvae import BRIDGE, VQVAE
from unseen.priors.unfilled import without_memory
from unseen.priors.weights import KeyMismatchError
from unseen.priors.weights.links import differences

FULL = FixerConfig.named("varsr")


def shapes(module):
    return {name: tuple(t.shape) for name, t in module.state_dict().items()}


@pytest.mark.parametrize(("network", "part"), [(FixerTransformer, "var_wo_ddp"), (VQVAE, "vae_local")])
def test_the_full_size_has_the_published_names(network, part):
    with without_memory():
        built = network(FULL)
    assert all(p.is_meta for p in built.parameters())
    recorded = json.loads((folder_of("gsvar") / "inventory.json").read_text())[part]
    wanted = {name: tuple(shape) for name, shape, _ in recorded["tensors"]}
    assert differences(shapes(built), wanted) == ([], [], {})
    assert sum(t.numel() for t in built.state_dict().values()) == recorded["elements"]
    types = {name: str(t.dtype).removeprefix("torch.") for name, t in built.state_dict().items()}
    assert types == {name: dtype for name, _, dtype in recorded["tensors"]}


def test_the_full_size_transformer_has_the_names_of_the_table():
    path = folder_of("gsvar").parents[1] / "reference" / "gsvar_var_keys.tsv"
    if not path.is_file():
        pytest.skip(f"needs {path}")
    with path.open() as file, without_memory():
        table = {name: literal_eval(shape) for name, shape, _ in csv.reader(file, delimiter="\t")}
        assert shapes(FixerTransformer(FULL)) == table


@pytest.fixture(scope="module")
def model():
    return small_fixer()


def trainer_of(model, **more):
    parts = {"var_wo_ddp": model.transformer.state_dict(), "vae_local": model.vqvae.state_dict()}
    return parts | {"config": {"patch_nums": list(model.config.patch_nums), "label_smooth": 0.0}} | more


def written(path, **trainer):
    torch.save({"epoch": 3, "iter": 0, "trainer": trainer, "args": Namespace(depth=2, name="a run")}, path)
    return str(path)


def opened(model, names, dtype=torch.float32):
    return open_published(names, dtype, config=model.config)


def same_weights(found, wanted):
    found, wanted = found.state_dict(), wanted.state_dict()
    return found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)


def without_bridge(weights):
    return {name: t for name, t in weights.items() if BRIDGE not in name}


def test_one_file_of_the_second_stage(model, tmp_path):
    name = written(tmp_path / "vae-ckpt-last.pth", **trainer_of(model, vae_opt={"state": {}, "param_groups": []}))
    found = opened(model, name)
    assert same_weights(found.transformer, model.transformer) and same_weights(found.vqvae, model.vqvae)
    renders = torch.rand(1, 48, 48, 3)
    nothing = [torch.zeros(0, 48, 48, 3)]
    assert torch.equal(found.fix(renders, nothing).images, model.fix(renders, nothing).images)
    low = opened(model, name, torch.bfloat16)
    assert low.transformer.word_embed.weight.dtype == torch.bfloat16
    assert low.transformer.head.weight.dtype == low.vqvae.decoder.conv_in.weight.dtype == torch.float32
    assert low.transformer.lvl_1L.dtype == torch.int64


def test_the_bridge_of_the_first_stage_is_noise_and_left_out(model, tmp_path):
    name = written(tmp_path / "ar-ckpt-last.pth", **trainer_of(model, var_opt={"state": {}, "param_groups": []}))
    found = opened(model, name)
    assert not found.vqvae.has_bridge and not found.config.vqvae["bridge"]
    assert found.fix(torch.rand(1, 48, 48, 3), [torch.zeros(0, 48, 48, 3)]).images.isfinite().all()


def test_two_files_with_a_mask_among_the_weights(model, tmp_path):
    weights = model.transformer.state_dict() | {"attn_bias_for_masking": torch.zeros(1, 1, 23, 23)}
    written(tmp_path / "VARSR.pth", var_wo_ddp=weights)
    written(tmp_path / "VQVAE.pth", vae_local=without_bridge(model.vqvae.state_dict()))
    both = f"{tmp_path / 'VARSR.pth'}, {tmp_path / 'VQVAE.pth'}"
    for names in (both, str(tmp_path)):
        found = opened(model, names)
        assert same_weights(found.transformer, model.transformer) and not found.vqvae.has_bridge
    with pytest.raises(InputError, match="vae_local: name the files of both"):
        opened(model, str(tmp_path / "VARSR.pth"))


def test_low_rank_updates_are_added(model, tmp_path):
    width, rank = 16, 3
    generator = torch.Generator().manual_seed(0)
    down = torch.randn(2 * rank, width, generator=generator)
    up = torch.randn(2 * width, rank, generator=generator)
    name = "blocks.1.attn.mat_qkv"
    base = written(tmp_path / "base.pth", **trainer_of(model))
    tuned = written(tmp_path / "lora.pth", var_wo_ddp={f"{name}.lora_A": down, f"{name}.lora_B": up})
    found = opened(model, f"{base},{tuned}").transformer.state_dict()
    before = model.transformer.state_dict()
    wanted = before[f"{name}.weight"].clone()
    wanted[:width] += LORA_SCALE * up[:width] @ down[:rank]
    wanted[2 * width :] += LORA_SCALE * up[width:] @ down[rank:]
    torch.testing.assert_close(found.pop(f"{name}.weight"), wanted)
    assert all(torch.equal(t, before[k]) for k, t in found.items())
    codec = written(tmp_path / "codec.pth", vae_local=model.vqvae.state_dict())
    with pytest.raises(InputError, match="name the file they were made for"):
        opened(model, f"{tuned},{codec},{written(tmp_path / 'some.pth', var_wo_ddp={'head.bias': torch.zeros(24)})}")
    odd = written(tmp_path / "odd.pth", var_wo_ddp={f"{name}.lora_A": down[:4], f"{name}.lora_B": up})
    with pytest.raises(FormatError, match="does not fit a weight"):
        opened(model, f"{base},{odd}")


def test_what_does_not_fit_is_named(model, tmp_path):
    trainer = trainer_of(model)
    del trainer["var_wo_ddp"]["pos_start"]
    with pytest.raises(KeyMismatchError, match="1 missing: pos_start"):
        opened(model, written(tmp_path / "a.pth", **trainer))
    trainer = trainer_of(model)
    trainer["vae_local"] = {k: t for k, t in trainer["vae_local"].items() if "blend_in" not in k}
    with pytest.raises(KeyMismatchError, match="blend_in_cond_layer"):  # half a bridge
        opened(model, written(tmp_path / "b.pth", **trainer))
    trainer = trainer_of(model, config={"patch_nums": [1, 2, 4]})
    with pytest.raises(InputError, match=r"trained for scales \(1, 2, 4\)"):
        opened(model, written(tmp_path / "c.pth", **trainer))
    torch.save({"weights": {"a": torch.zeros(1)}}, tmp_path / "d.pth")
    with pytest.raises(FormatError, match="no file of VARSR or GS-VAR"):
        opened(model, str(tmp_path / "d.pth"))
    with pytest.raises(InputError, match="no checkpoint"):
        opened(model, str(tmp_path / "nothing.pth"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no \*.pth"):
        opened(model, str(tmp_path / "empty"))


class Hostile:
    def __reduce__(self):
        return (print, ("executed",))


def test_nothing_is_executed(model, tmp_path, capsys):
    torch.save({"trainer": Hostile()}, tmp_path / "evil.pth")
    with pytest.raises(FormatError, match="more than tensors"):
        opened(model, str(tmp_path / "evil.pth"))
    assert "executed" not in capsys.readouterr().out


def test_fixers_by_name(model, tmp_path, monkeypatch):
    assert load_fixer("none") is None
    model.save_pretrained(tmp_path / "own")
    assert isinstance(load_fixer(str(tmp_path / "own")), FixerPipeline)
    monkeypatch.setattr("unseen.priors.fixer.published.FixerConfig.named", lambda name: replace(model.config))
    name = written(tmp_path / "both.pth", **trainer_of(model))
    assert same_weights(load_fixer(f"gsvar:{name}").transformer, model.transformer)
    with pytest.raises(InputError, match="cannot read"):
        load_fixer(str(tmp_path / "nothing"))
