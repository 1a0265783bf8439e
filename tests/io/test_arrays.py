"""Arrays go into a file and come back, and what is no such file is said."""

import numpy as np
import pytest

from unseen.core.errors import InputError
from unseen.io.arrays import array_files, load_arrays, save_arrays


def test_arrays_come_back(tmp_path):
    arrays = {"a": np.arange(6, dtype=np.float16).reshape(2, 3), "words": np.array(["one", "two"])}
    save_arrays(tmp_path / "x.npz", arrays)
    found = load_arrays(tmp_path / "x.npz", ["words", "a"], "a pair")
    assert found["a"].dtype == np.float16 and found["words"].tolist() == ["one", "two"]
    np.testing.assert_array_equal(found["a"], arrays["a"])


def test_what_is_no_such_file_is_said(tmp_path):
    save_arrays(tmp_path / "x.npz", {"a": np.zeros(2)})
    with pytest.raises(InputError, match=r"x\.npz is not a pair"):
        load_arrays(tmp_path / "x.npz", ["a", "b"], "a pair")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "x.npz").read_bytes()[:60])
    with pytest.raises(InputError, match="not a pair"):
        load_arrays(tmp_path / "cut.npz", ["a"], "a pair")
    (tmp_path / "empty.npz").touch()
    with pytest.raises(InputError, match="not a pair"):
        load_arrays(tmp_path / "empty.npz", ["a"], "a pair")
    np.save(tmp_path / "object.npy", np.array([{}], dtype=object))
    with pytest.raises(InputError, match="not a pair"):
        load_arrays(tmp_path / "object.npy", ["a"], "a pair")


def test_what_a_killed_run_left_is_no_array_file(tmp_path):
    for name in ("000002.npz", "000001.npz", ".000003.77-ab.part.npz", "other.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in array_files(tmp_path)] == ["000001.npz", "000002.npz"]
