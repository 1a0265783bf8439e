"""Programs run by two processes of torchrun."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TESTS = Path(__file__).parent


def run_by_two(code: str, folder: Path, paths: Sequence[Path] = ()) -> None:
    """Run Python code in two processes, one thread each; fails with what they wrote where either fails.

    Args:
        code: may import what tests may, and modules in `paths`.
        folder: for its file.
        paths: folders to import from besides.
    """
    program = folder / "two.py"
    program.write_text(code)
    places = [str(TESTS), *map(str, paths), *sys.path]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(places), "OMP_NUM_THREADS": "1"}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*torchrun, str(program)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
