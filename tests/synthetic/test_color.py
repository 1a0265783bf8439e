"""Colours as seen and as added up."""

import numpy as np

from unseen.synthetic.color import displayed, linear


def test_colours_go_there_and_back() -> None:
    values = np.linspace(0, 1, 256)
    assert np.abs(displayed(linear(values)) - values).max() < 1e-6
