"""The depth order of the cpu backend against numpy's stable sort."""

import numpy as np
import pytest

from unseen.render.cpu.depth_order import sort_by_depth

_RNG = np.random.default_rng(0)
DEPTHS = {
    "even": _RNG.uniform(3, 5, (2, 5000)),
    "many octaves": np.exp(_RNG.normal(0, 4, (1, 5000))),
    "one plane": np.full((1, 3000), 2.0),
    "a plane within rounding, and far away": np.append(2 + 1e-15 * _RNG.integers(0, 50, 4000), [1e9, 0.01])[None],
    "a few": _RNG.uniform(1, 2, (3, 5)),
    "none": np.zeros((2, 0)),
}


@pytest.mark.parametrize("name", DEPTHS)
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_order_is_a_stable_sort_of_the_visible(name, share):
    depths = DEPTHS[name]
    visible = np.random.default_rng(1).uniform(size=depths.shape) < share
    radii = np.repeat(visible[..., None], 2, 2).astype(np.int32)
    order, seen = sort_by_depth(depths, radii)
    for c in range(len(depths)):
        ids = np.flatnonzero(visible[c])
        expected = ids[np.argsort(depths[c, ids], kind="stable")] + c * depths.shape[1]
        assert seen[c] == len(ids)
        np.testing.assert_array_equal(order[c, : seen[c]], expected)
