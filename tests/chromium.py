"""Pictures of a page, taken by a headless Chromium where the machine has one."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
import torch

from unseen.io.images import read_image_float

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PROGRAM = next((found for name in _NAMES if (found := shutil.which(name))), None)
SOFTWARE_GL = ["--no-sandbox", "--disable-quic", "--use-gl=angle", "--use-angle=swiftshader"]
SOFTWARE_GL += ["--enable-unsafe-swiftshader"]
_FLAGS = [
    *("--headless", "--no-first-run", "--hide-scrollbars", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", *SOFTWARE_GL),
]


def screenshot(url: str, size: tuple[int, int], budget_ms: int = 15000) -> torch.Tensor:
    """Picture [H, W, 3] of a page in a window of `size` (width, height); skips without Chromium."""
    if PROGRAM is None:
        pytest.skip("needs Chromium on the PATH")
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "page.png"
        options = [f"--user-data-dir={folder}/profile", f"--window-size={size[0]},{size[1]}"]
        options += [f"--virtual-time-budget={budget_ms}", f"--screenshot={picture}"]
        done = subprocess.run([PROGRAM, *_FLAGS, *options, url], capture_output=True, text=True, timeout=240)
        assert picture.exists(), done.stderr[-2000:]
        return read_image_float(picture)


def psnr_db(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(-10 * (a - b).square().mean().log10())
