"""`unseen weights` as scripts meet it."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from unseen.cli.main import app
from unseen.cli.weights import parse_size
from unseen.core.errors import InputError


def weights(*args):
    return CliRunner().invoke(app, ["weights", *map(str, args)])


@pytest.fixture
def files(tmp_path):
    for name, value in (("a", 1.0), ("b", 1.5)):
        save_file({"w": torch.full((2, 3), value)}, tmp_path / f"{name}.safetensors")
    return tmp_path


def test_convert_inspect_verify_compare(files):
    a, b, half = (files / f"{name}.safetensors" for name in ("a", "b", "half"))
    done = weights("convert", a, half, "--to", "same", "--dtype", "bf16", "--json")
    assert json.loads(done.stdout)["files"] == [str(half)], done.stderr
    inventory = files / "inventory.json"
    seen = weights("inspect", half, "--write-inventory", inventory)
    assert "sha256" in seen.stdout and "1 tensors (1 bfloat16), 6 parameters" in seen.stdout
    assert json.loads(inventory.read_text()) == {"w": ["bfloat16", [2, 3]]}
    assert weights("verify", half, "--inventory", inventory).exit_code == 0
    wrong = weights("verify", a, "--inventory", inventory)
    assert wrong.exit_code == 1 and "misshapen: w is float32, expected bfloat16" in wrong.stdout
    assert weights("compare", a, half).exit_code == 0
    apart = weights("compare", a, b)
    assert apart.exit_code == 1 and "max 5.000e-01" in apart.stdout
    assert weights("compare", a, b, "--tolerance", 0.5).exit_code == 0


def test_errors_are_one_line(files):
    torch.save({"x": subprocess.Popen}, files / "bad.ckpt")
    for args, word in (
        (("convert", files / "a.safetensors", files / "out"), "unknown weights"),
        (("inspect", files / "bad.ckpt"), "Popen"),
        (("verify", files / "a.safetensors", "--inventory", "sd99"), "sd21-unet"),
        (("convert", files / "a.safetensors", files / "o.safetensors", "--max-shard-size", "big"), "'big' is no size"),
    ):
        result = weights(*args)
        assert result.exit_code == 2 and word in result.stderr and len(result.stderr.splitlines()) == 1, result.stderr


def test_help_lists_the_four_and_imports_no_networks():
    code = "import sys, unseen.cli.weights; sys.exit('diffusers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    listed = weights("--help").stdout
    assert all(command in listed for command in ("convert", "inspect", "verify", "compare"))


def test_sizes():
    assert [parse_size(text) for text in ("500MB", "2 GiB", "1000", "1.5kb")] == [5 * 10**8, 2**31, 1000, 1500]
    for text in ("", "GB", "-1", "0", "5 parsecs"):
        with pytest.raises(InputError):
            parse_size(text)
