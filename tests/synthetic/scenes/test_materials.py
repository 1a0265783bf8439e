"""Textures as the shader looks them up."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.synthetic.color import displayed
from unseen.synthetic.scenes.materials import Material, pack, reflectance

TEXTURE = np.random.default_rng(0).uniform(0.05, 0.9, (16, 32, 3)).astype(np.float32)
PALETTE = tuple(pack([Material(TEXTURE, 0.01)]))


def test_texels_keep_their_colour_to_the_byte() -> None:
    for row, column in ((0, 0), (7, 30), (15, 31)):
        got = reflectance(PALETTE, 0, (column + 0.5) * 0.01, (row + 0.5) * 0.01, 0.005)
        assert np.abs(displayed(np.array(got)) - displayed(TEXTURE[row, column])).max() <= 0.51 / 255


@settings(max_examples=30, deadline=None)
@given(u=st.floats(-3, 3), v=st.floats(-3, 3))
def test_textures_repeat_and_blur_to_their_mean(u: float, v: float) -> None:
    near, again = (np.array(reflectance(PALETTE, 0, u + shift, v, 0.01)) for shift in (0.0, 0.32))
    assert np.allclose(near, again, atol=1e-6)
    assert np.abs(np.array(reflectance(PALETTE, 0, u, v, 100.0)) - TEXTURE.mean((0, 1))).max() < 0.01
    assert TEXTURE.min() - 0.01 <= near.min() and near.max() <= TEXTURE.max() + 0.01
