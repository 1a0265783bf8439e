"""Little worlds as folders of photographs."""

from pathlib import Path

import pytest

from unseen.core.errors import InputError
from unseen.synthetic.worlds import photograph_world, vocabulary, words


def test_a_folder_has_photographs_cameras_and_a_caption(tmp_path: Path):
    album = photograph_world("landscape", tmp_path / "out", photos=3, width=64, height=48, seed=2)
    assert len(album.cameras) == 3 and len(album.points)
    caption = (tmp_path / "out" / "caption.txt").read_text()
    assert set(words(caption)) <= set(vocabulary())
    assert sorted(path.name for path in (tmp_path / "out" / "images").iterdir()) == list(album.names)


def test_one_photograph_is_no_path(tmp_path: Path):
    with pytest.raises(InputError, match="a path of 1 cameras: expected at least 2"):
        photograph_world("room", tmp_path, photos=1, width=64, height=48)
