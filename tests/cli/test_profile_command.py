"""`unseen profile` as scripts meet it."""

import json
import os
import subprocess
import sys


def unseen(*args):
    command = [sys.executable, "-m", "unseen", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=dict(os.environ))


def test_profile_prints_json_and_nothing_else():
    small = ("--latent", 8, "--views", 1, "--guidance", 1, "--steps", 1, "--device", "cpu")
    result = unseen("profile", "multiview", "--model", "tiny-random", *small, "--dtype", "bf16", "--json")
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["step_s"] > 0 and told["random_weights"] and told["dtype"] == "bf16" and told["views"] == 1
    assert result.stderr == ""


def test_offloading_without_a_gpu_is_one_clear_line():
    result = unseen("profile", "multiview", "--model", "tiny-random", "--offload", "--device", "cpu")
    assert result.returncode == 2
    assert result.stderr.startswith("error: ") and "GPU" in result.stderr and result.stderr.count("\n") == 1
