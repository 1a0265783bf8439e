"""Little worlds on disk."""

from pathlib import Path

import numpy as np
import pytest

from unseen.core.errors import InputError
from unseen.synthetic.worlds import WorldShots, film_world, render_worlds


def test_what_is_saved_is_loaded(tmp_path: Path):
    shots = film_world(7, views=3, size=(32, 24), between=True)
    shots.save(tmp_path / "one.npz")
    again = WorldShots.load(tmp_path / "one.npz")
    for name, value in vars(shots).items():
        assert np.array_equal(value, vars(again)[name]), name
    assert isinstance(again.captions, tuple) and again.seed == 7
    assert len(again.cameras) == 3 and len(again.between_cameras) == len(again.between_images) == 2
    assert again.images.shape == (3, 24, 32, 3) and np.isfinite(again.depths).all() and (again.depths > 0).all()


def test_other_files_are_refused(tmp_path: Path):
    (tmp_path / "no.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"no\.npz is not a little world"):
        WorldShots.load(tmp_path / "no.npz")


def test_a_folder_is_filled_once(tmp_path: Path):
    told: list[tuple[int, int]] = []
    paths = render_worlds(tmp_path, [3, 4], lambda done, of: told.append((done, of)), views=2, size=(32, 24))
    assert told == [(1, 2), (2, 2)]
    stamps = [path.stat().st_mtime_ns for path in paths]
    paths[1].unlink()
    assert render_worlds(tmp_path, [3, 4], lambda done, of: told.append((done, of)), views=2, size=(32, 24)) == paths
    assert told[2:] == [(2, 2)] and paths[0].stat().st_mtime_ns == stamps[0]
    assert np.array_equal(WorldShots.load(paths[1]).images, film_world(4, views=2, size=(32, 24)).images)
