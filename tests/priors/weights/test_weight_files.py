"""Containers: single files, shards, folders, torch pickles; damage and hostility; memory."""

import json
import os
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from weight_samples import same_bits

from unseen.core.errors import FormatError, InputError, NonFiniteError
from unseen.priors.weights.checkpoint import open_checkpoint, sha256
from unseen.priors.weights.tensors import Cast, InMemory
from unseen.priors.weights.writing import write_weights

STATE = {
    "b.weight": torch.arange(12.0).reshape(3, 4),
    "a.half": torch.randn(5, generator=torch.Generator().manual_seed(0)).bfloat16(),
    "c.step": torch.tensor(7),
    "d.turned": torch.arange(6.0).reshape(2, 3).t(),
    "e.none": torch.zeros(0, 3),
    "f.flag": torch.tensor([True, False, True]),
}


class Trap:
    """Unpickling this would run a command."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def read(path, entry=None):
    tensors = open_checkpoint(path, entry).tensors
    return {name: tensors.read(name) for name in tensors.entries}


@pytest.mark.parametrize("limit", [10**9, 60, 1])
def test_what_is_written_is_read_by_us_and_by_safetensors(tmp_path, limit):
    target = tmp_path / "model.safetensors"
    files = write_weights(target, InMemory(STATE), limit)
    if limit == 10**9:
        assert files == [target] and same_bits(load_file(target), STATE)
        assert same_bits(read(target), STATE)
        return
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["weight_map"].keys() == STATE.keys() and len(files) == len(set(index["weight_map"].values())) + 1
    assert same_bits({n: load_file(tmp_path / f)[n] for n, f in index["weight_map"].items()}, STATE)
    assert same_bits(read(files[-1]), STATE) and same_bits(read(tmp_path), STATE)


def test_older_weights_do_not_hide_newer_ones(tmp_path):
    target, other = tmp_path / "model.safetensors", tmp_path / "model_other.safetensors"
    other.write_bytes(b"mine")
    write_weights(target, InMemory(STATE), 1)
    write_weights(target, InMemory({"x": torch.ones(1)}))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.safetensors", "model_other.safetensors"]
    write_weights(target, InMemory(STATE), 60)
    assert not target.exists() and other.read_bytes() == b"mine"


def test_torch_checkpoints_of_all_ages(tmp_path):
    nested = {"state_dict": OrderedDict(STATE), "epoch": 3, "optimizer": {"lr": 0.1}}
    torch.save(nested, tmp_path / "lightning.ckpt")
    torch.save(STATE, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    torch.save({"model_ema": STATE, "step": 5}, tmp_path / "ema.pt")
    for name in ("lightning.ckpt", "old.pth", "ema.pt"):
        assert same_bits(read(tmp_path / name), STATE), name
    torch.save({"model": STATE, "model_ema": {"x": torch.ones(2)}}, tmp_path / "two.pt")
    with pytest.raises(InputError, match="under each of model, model_ema: name one"):
        read(tmp_path / "two.pt")
    assert read(tmp_path / "two.pt", "model_ema").keys() == {"x"}
    with pytest.raises(InputError, match="no weights under 'teacher'"):
        read(tmp_path / "two.pt", "teacher")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_hostile_pickle_is_refused_and_not_executed(tmp_path, zipped):
    evidence = tmp_path / "executed"
    torch.save({"state_dict": STATE, "x": Trap(evidence)}, tmp_path / "bad.ckpt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        FormatError, match=r"bad.ckpt holds more than tensors: .*posix.system.*nothing was executed"
    ) as e:
        open_checkpoint(tmp_path / "bad.ckpt")
    assert "\n" not in str(e.value) and "safetensors" in str(e.value)
    assert not evidence.exists()


def test_damaged_files_get_one_clear_line(tmp_path):
    whole = tmp_path / "whole.safetensors"
    save_file({n: t.contiguous() for n, t in STATE.items()}, whole)
    torch.save(STATE, tmp_path / "whole.pt")
    for name in ("whole.safetensors", "whole.pt"):
        data = (tmp_path / name).read_bytes()
        for cut in (0, 5, len(data) // 2, len(data) - 3):
            damaged = tmp_path / f"cut{Path(name).suffix}"
            damaged.write_bytes(data[:cut])
            with pytest.raises(FormatError, match="cut") as caught:
                open_checkpoint(damaged)
            assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
    torch.save({"state_dict": {"a": torch.ones(1), "b": 3}}, tmp_path / "mixed.pt")
    with pytest.raises(FormatError, match="no dense tensors among its weights, b first"):
        open_checkpoint(tmp_path / "mixed.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(FormatError, match="holds a list"):
        open_checkpoint(tmp_path / "list.pt")


def test_missing_and_ambiguous_sources_are_named(tmp_path):
    for name in ("none.safetensors", "none.ckpt", "none.index.json", "notes.txt"):
        with pytest.raises(InputError, match=name.replace(".", r"\.")):
            open_checkpoint(tmp_path / name)
    with pytest.raises(InputError, match="found none"):
        open_checkpoint(tmp_path)
    for name in ("a.safetensors", "b.safetensors"):
        save_file({"x": torch.ones(1)}, tmp_path / name)
    with pytest.raises(InputError, match=r"found a\.safetensors, b\.safetensors"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("place", ["../outside.safetensors", "/etc/passwd.safetensors", "shard.safetensors"])
def test_an_index_stays_in_its_folder_and_tells_the_truth(tmp_path, place):
    save_file({"x": torch.ones(1)}, tmp_path / "shard.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"y": place}}))
    with pytest.raises(FormatError, match=r"outside its folder|does not hold it"):
        open_checkpoint(tmp_path / "model.safetensors.index.json")


def test_precision_is_cast_on_the_way(tmp_path):
    state = {"w": torch.tensor([1.0, 1e-3, 300.0]), "n": torch.tensor([3])}
    write_weights(tmp_path / "w.safetensors", Cast(InMemory(state), torch.bfloat16))
    assert same_bits(load_file(tmp_path / "w.safetensors"), {"w": state["w"].bfloat16(), "n": state["n"]})
    with pytest.raises(NonFiniteError, match=r"w holds 7e\+04, too large for fp16"):
        write_weights(tmp_path / "h.safetensors", Cast(InMemory({"w": torch.tensor([7e4])}), torch.float16))
    assert not (tmp_path / "h.safetensors").exists()


def test_the_checksum_is_sha256(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


MEMORY = """
import sys
from pathlib import Path
import unseen, torch
from unseen.priors.weights.checkpoint import open_checkpoint
from unseen.priors.weights.tensors import Cast
from unseen.priors.weights.writing import write_weights

def own_memory(*_):
    lines = Path("/proc/self/status").read_text().splitlines()
    peaks.append(int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) // 1024)

peaks = []
own_memory()
write_weights(Path(sys.argv[2]), Cast(open_checkpoint(Path(sys.argv[1])).tensors, torch.bfloat16), 10**12, own_memory)
print(max(peaks) - peaks[0])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to see a process's own memory")
@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_a_large_file_passes_through_in_the_memory_of_one_tensor(tmp_path, suffix):
    state = {f"w{i}": torch.full((1 << 20,), float(i)) for i in range(50)}  # 50 x 4 MiB
    source = tmp_path / f"large{suffix}"
    save_file(state, source) if suffix == ".safetensors" else torch.save(state, source)
    command = [sys.executable, "-c", MEMORY, str(source), str(tmp_path / "out.safetensors")]
    grown_mib = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert grown_mib < 40
    assert same_bits(load_file(tmp_path / "out.safetensors"), {n: t.bfloat16() for n, t in state.items()})
