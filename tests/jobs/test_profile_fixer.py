"""`unseen profile fixer` measures what it says."""

import pytest

from unseen.core.errors import InputError
from unseen.jobs.profile_fixer import FixerProfileSettings, fixer_lines_of, run_fixer_profile
from unseen.jobs.progress import Silent


def profiled(**settings):
    return run_fixer_profile(FixerProfileSettings(device="cpu", dtype="fp32", **settings), Silent())


def test_parts_add_up():
    result = profiled(references=0, bridge=False)
    assert set(result["parts"]) == {"references", "tokens", "refiner", "decoder"}
    assert result["seconds"] == pytest.approx(sum(result["parts"].values()))
    assert result["peak_bytes"] > result["weight_bytes"] > 30e6
    lines = "\n".join(fixer_lines_of(result))
    assert "64 x 64 with 0 reference(s)" in lines and "blocks measured" not in lines


def test_blocks_that_are_not_built_are_reckoned():
    whole, some = profiled(), profiled(blocks=2)
    assert some["weight_bytes"] == whole["weight_bytes"]
    assert some["blocks_of"] == [2, 6]
    assert "2 of 6 blocks measured" in fixer_lines_of(some)[-1]


@pytest.mark.parametrize("settings", [{"model": "varsr"}, {"model": "huge-random"}, {"blocks": 0}, {"references": -1}])
def test_what_cannot_be(settings):
    with pytest.raises(InputError, match="expected"):
        profiled(**settings)
