"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

import unseen  # noqa: F401 - before torch: it sets how idle threads wait


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Folder with real data, `UNSEEN_SHARED_DIR` or `../shared` beside the checkout; skips when absent."""
    path = Path(os.environ.get("UNSEEN_SHARED_DIR", Path(__file__).resolve().parents[2] / "shared"))
    if not (path / "data").is_dir():
        pytest.skip(f"needs the shared data folder, not found at {path}")
    return path
