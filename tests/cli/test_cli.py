"""The command line as scripts meet it: exit codes, one clear line, JSON."""

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import pytest
import torch

from unseen.core.gaussians import Gaussians
from unseen.io.ply import save_ply
from unseen.io.video import VideoWriter


def unseen(*args, cwd=None):
    command = [sys.executable, "-m", "unseen", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300, env=dict(os.environ))


def here(*args):
    """The same in this process, for what is refused before anything is computed: no second to import torch again."""
    from unseen.cli.main import app

    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        app([*map(str, args)])
    return subprocess.CompletedProcess(args, end.value.code, out.getvalue(), err.getvalue())


def video(path, frames=4, height=64, width=48):
    rng = np.random.default_rng(0)
    with VideoWriter(path, fps=10) as writer:
        for _ in range(frames):
            writer.write(rng.integers(0, 255, (height, width, 3), dtype=np.uint8))
    return path


def companions(folder, frames, height, width, landmarks=None):
    """Landmarks inside a full matte beside video.mp4."""
    marks = np.random.default_rng(1).uniform(10, 40, (frames, 478, 3)).astype(np.float32)
    np.savez(
        folder / "video.landmarks.npz",
        landmarks_px=marks if landmarks is None else landmarks,
        image_size=np.array([height, width]),
    )
    with VideoWriter(folder / "video.alpha.mp4", fps=10) as writer:
        for _ in range(frames):
            writer.write(np.full((height, width, 3), 255, np.uint8))


def expect_error(result, code, *words):
    assert result.returncode == code, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(lines) == 1 and lines[0].startswith("error: "), result.stderr
    for word in words:
        assert word in lines[0]
    assert "Traceback" not in result.stderr


def test_help_names_every_command_and_needs_no_torch():
    result = unseen("--help")
    assert result.returncode == 0
    for command in ("avatar", "fit", "eval", "drive", "track", "render", "view", "convert", "info", "sample", "doctor"):
        assert command in result.stdout
    code = "import sys, unseen.cli.main; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_convert_reports_as_json(tmp_path):
    g = torch.Generator().manual_seed(0)
    splats = Gaussians.from_rgb(
        torch.randn(9, 3, generator=g), torch.full((9, 3), 0.1), torch.randn(9, 4, generator=g),
        torch.full((9,), 0.5), torch.rand(9, 3, generator=g),
    )  # fmt: skip
    save_ply(tmp_path / "a.ply", splats)
    result = unseen("convert", tmp_path / "a.ply", tmp_path / "b.spz", "--json")
    assert json.loads(result.stdout)["splats"] == 9
    found = json.loads(unseen("info", tmp_path / "b.spz", "--json").stdout)
    assert (found["splats"], found["sh_degree"], found["non_finite"]) == (9, 0, 0)
    assert "bytes_per_splat" in unseen("info", tmp_path / "b.spz").stdout
    page = unseen("convert", tmp_path / "b.spz", tmp_path / "page.html", "--max-splats", 5, "--sh-degree", 0)
    assert "5 splats" in page.stdout and "4 splats left out" in page.stdout
    picture = unseen("render", tmp_path / "b.spz", "-o", tmp_path / "p.png", "--width", 32, "--height", 32, "--json")
    assert json.loads(picture.stdout)["frames"] == 1 and (tmp_path / "p.png").stat().st_size > 50


def test_bad_input_gets_one_clear_line(tmp_path):
    text = tmp_path / "notes.mp4"
    text.write_text("not a video")
    expect_error(here("avatar", tmp_path / "none.mp4", "-o", tmp_path / "o"), 2, "none.mp4")
    expect_error(here("avatar", text, "-o", tmp_path / "o"), 2, "notes.mp4")
    one = video(tmp_path / "one.mp4", frames=1)
    expect_error(here("track", one, "-o", tmp_path / "o"), 2, "one.mp4", "1 frame")
    expect_error(here("convert", tmp_path / "x.ply", tmp_path / "y.obj"), 2, "y.obj", ".sog")
    expect_error(here("convert", tmp_path / "x.ply", tmp_path / "y.sog"), 2, "x.ply", "No such file")
    expect_error(here("info", text), 2, "notes.mp4", "splat file")
    expect_error(here("drive", tmp_path, "--with", one), 2, "no avatar at")
    expect_error(here("avatar", one, "-o", tmp_path / "o", "--device", "tpu"), 2, "tpu")


def test_a_video_without_landmarks_names_the_three_ways(tmp_path):
    source = video(tmp_path / "bare.mp4")
    result = here("track", source, "-o", tmp_path / "o")
    if result.returncode == 2:  # MediaPipe is installed here and found no face
        expect_error(result, 2, "no face")
    else:
        expect_error(result, 3, "(1)", "(2)", "(3)", "--landmarks", "bare.landmarks.npz")


def test_landmarks_and_mattes_of_another_video_are_refused(tmp_path):
    source = video(tmp_path / "video.mp4", frames=4)
    companions(tmp_path, 5, 64, 48)
    expect_error(here("track", source, "-o", tmp_path / "o"), 2, "landmarks of this video")
    companions(tmp_path, 4, 48, 64)
    expect_error(here("track", source, "-o", tmp_path / "o"), 2, "landmarks of this video")
    companions(tmp_path, 4, 64, 48, np.full((4, 478, 3), np.nan, np.float32))
    expect_error(here("track", source, "-o", tmp_path / "o"), 2, "a face was found in 0 of 4")


def test_a_file_in_the_way_of_the_results_is_not_touched(tmp_path):
    source = video(tmp_path / "video.mp4")
    companions(tmp_path, 4, 64, 48)
    (tmp_path / "o").write_text("mine")
    expect_error(here("avatar", source, "-o", tmp_path / "o"), 2, "is a file")
    assert (tmp_path / "o").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0 and not os.path.isdir("/proc/self"), reason="needs a folder that refuses writes")
def test_a_folder_that_refuses_writes_is_reported(tmp_path):
    source = video(tmp_path / "video.mp4")
    companions(tmp_path, 4, 64, 48)
    expect_error(here("track", source, "-o", "/proc/self/unseen"), 4, "/proc/self/unseen")


def test_unknown_options_and_commands_exit_with_2():
    assert unseen("avatar", "--nonsense").returncode == 2
    assert unseen("nonsense").returncode == 2


def test_debug_shows_the_traceback(tmp_path):
    result = here("avatar", tmp_path / "none.mp4", "-o", tmp_path / "o", "--debug")
    assert "Traceback" in result.stderr and result.returncode == 2


def test_doctor_speaks_json():
    findings = json.loads(unseen("doctor", "--json").stdout)
    assert {"torch", "cuda", "FLAME", "mediapipe"} <= set(findings)


def test_sample_films_a_scene(tmp_path):
    out = tmp_path / "table"
    result = unseen(
        "sample", "table", "-o", out, "--photos", 2, "--size", "64x48", "--detail", 0.08, "--masks", "--json"
    )
    assert json.loads(result.stdout) == {"out": str(out), "photos": 2}, result.stderr
    names = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    assert {"images/0002.jpg", "depth/0002.png", "masks/0002.png", "transforms.json", "sparse/0/cameras.bin"} <= names


def test_sample_names_what_it_cannot_make(tmp_path):
    expect_error(here("sample", "cellar", "-o", tmp_path / "o"), 2, "cellar", "courtyard")
    expect_error(here("sample", "room", "-o", tmp_path / "o", "--size", "wide"), 2, "wide", "400x300")
    expect_error(here("sample", "garden", "-o", tmp_path / "o"), 2, "--points")
    assert not (tmp_path / "o").exists()


def test_eval_says_what_an_avatar_and_a_fit_need(tmp_path):
    (tmp_path / "avatar.safetensors").touch()
    expect_error(here("eval", tmp_path), 2, "--view VIDEO")
    expect_error(here("eval", tmp_path, "--view", tmp_path / "v.mp4", "--renders"), 2, "--renders belongs to a fit")
    expect_error(here("eval", tmp_path / "none", "--view", tmp_path / "v.mp4"), 2, "no avatar at")
