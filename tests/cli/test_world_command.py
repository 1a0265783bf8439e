"""`unseen world` as people meet it, with a small random model."""

import json

import pytest
import torch
from test_cli import expect_error, here, unseen

from small_models import small_world
from unseen.io.ply import load_ply

SIZE = ("--size", "32x48", "--views", 3, "--steps", 2)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    small_world().save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_a_world_and_its_replay(model, tmp_path):
    first = unseen("world", "--prompt", "a red room", "--model", model, *SIZE, "-o", tmp_path / "a", "--ply", "--json")
    summary = json.loads(first.stdout)
    assert summary["views"] == 3 and summary["size"] == [48, 32] and (tmp_path / "a" / "scene.ply").is_file()
    assert not (tmp_path / "a" / "video.mp4").exists()
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "good.json").write_bytes((tmp_path / "a" / "request.json").read_bytes())
    (folder / "bad.json").write_text('{"resolution": [3, 33, 48]}')
    batch = unseen("world", "--input", folder, "-o", tmp_path / "b", "--ply", "--model", model)
    assert batch.returncode == 1 and "1 of 2 worlds" in batch.stdout and "divisible by" in batch.stdout
    made, again = (load_ply(folder / "scene.ply") for folder in (tmp_path / "a", tmp_path / "b" / "good"))
    assert torch.allclose(made.means, again.means, atol=1e-4) and torch.allclose(made.sh, again.sh, atol=1e-3)


@pytest.mark.slow
def test_mistakes_get_one_line(model, tmp_path):
    out = ("-o", tmp_path / "out", "--model", model)
    expect_error(here("world", *out, *SIZE), 2, "neither image_prompt nor text_prompt")
    expect_error(here("world", *out, "--prompt", "a", "--size", "33x48"), 2, "divisible by")
    expect_error(here("world", *out, "--prompt", "a", "--size", "0x0"), 2, "positive whole numbers")
    expect_error(here("world", *out, "--prompt", "a", "--size", "big"), 2, "height x width")
    expect_error(here("world", *out, "--image", tmp_path / "none.png"), 2, "cannot read the picture")
    expect_error(here("world", *out, "--prompt", "a", "--input", tmp_path), 2, "leave out --prompt")
    expect_error(here("world", *out, "--prompt", "a", "--path", "loop"), 2, "unknown camera path 'loop'")
    assert not (tmp_path / "out").exists()
