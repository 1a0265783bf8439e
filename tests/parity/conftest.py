"""Fixtures of the parity tests: they skip where the recordings are absent."""

import pytest

from recordings import Recording


@pytest.fixture
def flashworld():
    """Opens a case of FlashWorld's recordings by name."""
    return lambda case: Recording.open("flashworld", case)


@pytest.fixture
def gsvar():
    """Opens a case of GS-VAR's recordings by name."""
    return lambda case: Recording.open("gsvar", case)
