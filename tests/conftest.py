"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

import unseen  # noqa: F401 - before torch: it sets how idle threads wait

settings.register_profile("unseen", deadline=None, derandomize=True)
settings.load_profile("unseen")  # no test depends on the speed of the machine, and a failure comes again


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Folder with real data, `UNSEEN_SHARED_DIR` or `../shared` beside the checkout; skips when absent."""
    path = Path(os.environ.get("UNSEEN_SHARED_DIR", Path(__file__).resolve().parents[2] / "shared"))
    if not (path / "data").is_dir():
        pytest.skip(f"needs the shared data folder, not found at {path}")
    return path
