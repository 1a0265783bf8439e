"""Fixtures of the parity tests: they skip where the recordings are absent."""

import pytest
from recordings import Recording, folder


@pytest.fixture
def flashworld():
    """Opens a case of FlashWorld's recordings by name."""
    if not (folder("flashworld") / "manifest.json").is_file():
        pytest.skip(f"needs the recordings, not found at {folder('flashworld')}: set UNSEEN_PARITY_DIR")
    return lambda case: Recording.open("flashworld", case)
