"""`unseen repair`, `unseen fix` and `unseen eval repair` as people meet them."""

import json

import torch
from test_cli import expect_error, here, unseen

from repairing import write_album
from unseen.io.images import write_image


def test_photos_to_scene_to_figures(tmp_path):
    album, out = write_album(tmp_path / "album"), tmp_path / "out"
    options = ["--fixer", "none", "--steps", 20, "--max-splats", 600, "--export", "", "--keep", 8, "--judged", 4]
    done = unseen("repair", album, "-o", out, *options)
    assert done.returncode == 0, done.stderr
    assert "held-out photos (4):" in done.stdout and "no fixer" in done.stdout and "3 photos" in done.stdout
    assert (out / "raw.ply").is_file() and (out / "before_after.jpg").is_file()
    assert len(unseen("eval", out).stdout.splitlines()) == 5
    expect_error(here("repair", album, "-o", out, *options), 2, "already holds a run")
    expect_error(here("repair", album, "-o", tmp_path / "b", "--keep", 8, "--holdout", 8), 2, "--keep already says")
    expect_error(here("repair", album, "-o", tmp_path / "c", "--weight", 3), 2, "weight 3.0")
    expect_error(here("repair", tmp_path / "none", "-o", tmp_path / "d"), 2, "does not exist")


def test_fix_and_protocol_say_what_is_wrong(tmp_path):
    write_image(tmp_path / "render.png", torch.zeros(8, 8, 3))
    render, out = tmp_path / "render.png", tmp_path / "out.png"
    expect_error(here("fix", render, "-o", out, "--fixer", "none"), 2, "repairs nothing")
    expect_error(here("fix", render, "-o", out, "--reference", tmp_path / "no.png"), 2, "reference", "does not exist")
    expect_error(here("fix", tmp_path / "no.png", "-o", out), 2, "does not exist")
    expect_error(here("eval", "repair", "--split", "dense", "-o", tmp_path / "e"), 2, "there is no split")
    expect_error(here("eval", tmp_path, "--split", "quick"), 2, "belongs to `unseen eval repair")


def test_the_protocol_prints_a_table(tmp_path):
    write_album(tmp_path / "album")
    capture = {"name": "blobs", "folder": "album", "keep": [8]}
    (tmp_path / "split.json").write_text(json.dumps({"captures": [capture], "steps": 10, "judged": 2}))
    done = unseen("eval", "repair", "--split", tmp_path / "split.json", "-o", tmp_path / "out", "--fixer", "none")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3 and "every 8th" in done.stdout
