"""Poor fits on purpose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unseen.core.errors import InputError
from unseen.fit.config import FitConfig
from unseen.jobs.curate.plan import STRATEGIES, FullPlan, Shortage, SmallPlan


@given(
    st.integers(8, 400),
    st.sampled_from(STRATEGIES),
    st.integers(2, 60),
    st.floats(0, 1),
    st.integers(0, 9),
    st.floats(0.05, 1),
)
def test_what_is_held_out_is_shown(photos, strategy, every, start, views, share):
    fit = FitConfig(steps=10)
    shortage = Shortage("x", strategy, fit, every=every, share=share, start=start, views=views)
    try:
        kept, shown = shortage.split(photos)
    except InputError:
        length = max(2, round(share * photos))
        assert (strategy == "sparse" and every >= length) or (strategy == "outside" and length == photos)
        return
    assert kept == sorted(set(kept)) and shown == sorted(set(shown))
    assert set(kept) | set(shown) <= set(range(photos))
    assert len(shown) <= views or not views
    if strategy in ("sparse", "outside"):
        assert not set(kept) & set(shown)
    elif not views:
        assert set(kept) <= set(shown)


def test_strategies():
    fit = FitConfig(steps=100)
    assert Shortage("s", "sparse", fit, every=4).split(10) == ([0, 4, 8], [1, 2, 3, 5, 6, 7, 9])
    assert Shortage("o", "outside", fit, share=0.3, start=0.5).split(20) == (
        [7, 8, 9, 10, 11, 12],
        [4, 5, 6, 13, 14, 15],
    )
    assert Shortage("u", "underfitting", fit).split(10) == ([0, 1, 2, 3, 5, 6, 7, 8, 9], list(range(10)))
    assert Shortage("u", "coarse", fit, share=0.4, start=1).split(10) == ([6, 7, 8, 9], [6, 7, 8, 9])
    assert Shortage("u", "underfitting", fit, iterations=(40, 10)).stops == [10, 40, 100]


def test_refusals():
    fit = FitConfig(steps=100)
    for wrong in ({"strategy": "dense"}, {"iterations": (101,)}, {"every": 1}, {"views": -1}):
        with pytest.raises(InputError):
            Shortage(**{"name": "x", "strategy": "sparse", "fit": fit} | wrong)


def test_plans():
    full = FullPlan(strategies=("sparse", "underfitting", "coarse"), every=(10, 40), at=(1000, 3000))
    names = [(s.name, s.stops) for s in full.shortages(3)]
    assert names == [
        ("sparse-10", [7000]), ("sparse-40", [7000]), ("underfitting", [1000, 3000, 7000]), ("coarse", [7000])
    ]  # fmt: skip
    small = SmallPlan()
    assert small.shortages(5) == small.shortages(5) != small.shortages(6)
    assert {s.strategy for s in small.shortages(5)} == set(STRATEGIES)
    assert len({s.name for s in small.shortages(5)}) == len(small.shortages(5))
