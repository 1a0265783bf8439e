import gc
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from photo_samples import ring
from unseen.core.errors import FormatError, InputError, ResourceError
from unseen.io.photos import Photo, PictureStore, load_photo, store

COUNT, SIZE = 6, 64 * 48 * 4


@pytest.fixture
def photos(tmp_path) -> list[Photo]:
    """With alpha, mask and depth, all different."""
    generator, made = np.random.default_rng(0), []
    for i, camera in enumerate(ring(COUNT)):
        path, mask, depth = (tmp_path / f"{i}{suffix}" for suffix in (".png", "_mask.png", "_depth.npy"))
        Image.fromarray(generator.integers(0, 256, (48, 64, 4), dtype=np.uint8)).save(path)
        Image.fromarray(generator.integers(0, 256, (48, 64), dtype=np.uint8)).save(mask)
        np.save(depth, generator.random((48, 64), dtype=np.float32) + 1)
        made.append(Photo(path.name, path, camera, None, mask, depth, 0.5))
    return made


def same(a, b) -> bool:
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in ("image", "mask", "alpha", "depth"))


@pytest.mark.parametrize("budget", [0, 30_000, 1 << 30])
def test_pictures_are_the_same_whatever_the_budget(photos, budget, tmp_path):
    with PictureStore(photos, 0.5, budget, tmp_path) as pictures:
        assert len(pictures) == COUNT
        for i in [3, 3, 0, 5, 1, 3, 2, 4, 0, 5]:
            assert same(pictures[i], load_photo(photos[i], 0.5))
            assert torch.equal(pictures[i].camera.K, load_photo(photos[i], 0.5).camera.K)


def test_each_photo_is_decoded_once_and_the_budget_is_kept(photos, tmp_path, monkeypatch):
    decoded = []
    monkeypatch.setattr(store, "load_photo", lambda p, s: decoded.append(p.name) or load_photo(p, s))
    each = sum(getattr(load_photo(photos[0]), n).nbytes for n in ("image", "mask", "alpha", "depth"))
    with PictureStore(photos, 1.0, int(2.5 * each), tmp_path) as pictures:
        for i in pictures.ordered([0, 1, 2, 3, 4, 5] * 3):
            _ = pictures[i]
        files = sorted(tmp_path.glob("unseen-pictures-*/*"))
        assert len(files) == COUNT - 2 and all(f.stat().st_size == each for f in files)
    assert sorted(decoded) == [p.name for p in photos]
    assert not list(tmp_path.glob("unseen-pictures-*"))


def test_an_endless_order_is_read_only_a_little_ahead(photos):
    read = []
    order = (read.append(i) or i for i in cycle([4, 4, 2, 0]))
    with PictureStore(photos) as pictures:
        got = [(i, pictures[i]) for i in islice(pictures.ordered(order), 9)]
    assert [i for i, _ in got] == [4, 4, 2, 0, 4, 4, 2, 0, 4]
    assert len(read) <= 9 + store.AHEAD and all(same(p, load_photo(photos[i])) for i, p in got)


def test_a_damaged_photo_is_named_when_its_turn_comes(photos):
    photos[2].path.write_bytes(photos[2].path.read_bytes()[:900])
    with PictureStore(photos) as pictures:
        order = pictures.ordered(range(COUNT))
        assert same(pictures[next(order)], load_photo(photos[0]))
        assert pictures[next(order)] is not None
        with pytest.raises(FormatError, match=r"2.png is damaged"):
            _ = pictures[next(order)]


def test_the_folder_goes_with_the_store(photos, tmp_path):
    pictures = PictureStore(photos, budget_bytes=0, folder=tmp_path)
    kept = pictures[0]
    assert list(tmp_path.glob("unseen-pictures-*/*.raw"))
    del pictures
    gc.collect()
    assert not list(tmp_path.glob("unseen-pictures-*")) and same(kept, load_photo(photos[0]))


def test_refusals(photos, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="budget of -1"):
        PictureStore(photos, budget_bytes=-1)
    with pytest.raises(ResourceError, match="folder does not exist"):
        PictureStore(photos, folder=tmp_path / "none")

    def full(*_):
        raise OSError(28, "No space left on device")

    with PictureStore(photos, budget_bytes=0) as pictures:
        monkeypatch.setattr(Path, "open", full)
        with pytest.raises(ResourceError, match="disk is full"):
            _ = pictures[0]
