"""Decoded photos at hand: in memory up to a budget, beyond it on disk, with the next ones fetched ahead."""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from unseen.core.errors import InputError
from unseen.io.atomic import PathLike, as_resource_error
from unseen.io.photos.picture import load_photo
from unseen.io.photoset import Photo, Picture

AHEAD = 4
"""Photos fetched before they are asked for."""

_ARRAYS = ("image", "mask", "alpha", "depth")


@dataclass(frozen=True)
class _OnDisk:
    """A picture whose arrays lie in a file one after the other; `bare` is the picture with empty arrays."""

    path: Path
    bare: Picture
    shapes: dict[str, tuple[int, ...]]


class PictureStore:
    """Decodes each photo once and keeps the result, so that a fit may ask for photos in any order, again and again.

        with PictureStore(photos, scale=0.5, budget_bytes=4 << 30) as store:
            for i in store.ordered(order):
                picture = store[i]

    The first pictures stay in memory until `budget_bytes` are used; the others are written uncompressed to a folder of
    the store's own, which goes when the store does. Pictures are the same whatever the budget and the order. They are
    shared: do not write into their arrays. One thread at a time may ask.

    Args:
        photos: from a reader.
        scale: of the pictures, in (0, 1].
        budget_bytes: memory for pictures; those just being fetched ahead come on top.
        folder: where the store makes its folder; by default where the machine keeps temporary files.

    Raises:
        InputError, FormatError: as `load_photo`, when the photo is asked for.
        ResourceError: the disk refuses.
    """

    def __init__(
        self, photos: Sequence[Photo], scale: float = 1.0, budget_bytes: int = 2 << 30, folder: PathLike | None = None
    ) -> None:
        if budget_bytes < 0:
            raise InputError(f"a budget of {budget_bytes} bytes for pictures: expected 0 or more")
        self._photos, self._scale, self._budget = list(photos), scale, budget_bytes
        self._held: dict[int, Picture | _OnDisk] = {}
        self._lock = threading.Lock()
        self._pending: dict[int, Future[Picture]] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="unseen-pictures")
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="unseen-pictures-", dir=folder))
        except OSError as error:
            raise as_resource_error(error, folder or tempfile.gettempdir()) from error
        self._close = weakref.finalize(self, _close, self._pool, self._folder)

    def __enter__(self) -> PictureStore:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._photos)

    def __getitem__(self, index: int) -> Picture:
        """The picture of photo `index`."""
        future = self._pending.pop(index, None)
        return self._fetch(index) if future is None else future.result()

    def ordered(self, indices: Iterable[int]) -> Iterator[int]:
        """The same indices, while the photos of the next ones are fetched in the background.

        The order may be endless; it is read `AHEAD` entries ahead.
        """
        source = iter(indices)
        queue: deque[int] = deque()
        while True:
            for index in islice(source, AHEAD + 1 - len(queue)):
                queue.append(index)
                self._announce(index)
            if not queue:
                return
            yield queue.popleft()

    def close(self) -> None:
        """Stop fetching and remove the folder. Pictures handed out stay valid."""
        self._pending.clear()
        self._close()

    def _announce(self, index: int) -> None:
        if index not in self._pending and not isinstance(self._held.get(index), Picture):
            self._pending[index] = self._pool.submit(self._fetch, index)

    def _fetch(self, index: int) -> Picture:
        with self._lock:
            held = self._held.get(index)
        if isinstance(held, Picture):
            return held
        if held is not None:
            return _read(held)
        picture = load_photo(self._photos[index], self._scale)
        self._keep(index, picture)
        return picture

    def _keep(self, index: int, picture: Picture) -> None:
        size = sum(getattr(picture, name).nbytes for name in _ARRAYS if getattr(picture, name) is not None)
        with self._lock:
            if index in self._held:
                return
            if size <= self._budget:
                self._budget -= size
                self._held[index] = picture
                return
            self._held[index] = _write(self._folder / f"{index:06d}.raw", picture)


@dataclass(frozen=True)
class HeldPictures:
    """Pictures in memory, as a trainer asks for them."""

    pictures: Sequence[Picture]

    def __getitem__(self, index: int) -> Picture:
        """The picture at `index`."""
        return self.pictures[index]

    def ordered(self, indices: Iterable[int]) -> Iterator[int]:
        """As they come: nothing has to be fetched."""
        return iter(indices)


def _write(path: Path, picture: Picture) -> _OnDisk:
    arrays = {name: getattr(picture, name) for name in _ARRAYS if getattr(picture, name) is not None}
    try:
        with path.open("wb") as file:
            for array in arrays.values():
                file.write(np.ascontiguousarray(array).data.cast("B"))
    except OSError as error:
        raise as_resource_error(error, path) from error
    bare = replace(picture, **{name: arrays[name][:0, :0] for name in arrays})
    return _OnDisk(path, bare, {name: array.shape for name, array in arrays.items()})


def _read(held: _OnDisk) -> Picture:
    arrays: dict[str, Any] = {}
    offset = 0
    for name, shape in held.shapes.items():
        mapped = np.memmap(held.path, getattr(held.bare, name).dtype, "r", offset, shape)
        arrays[name] = np.array(mapped)
        offset += mapped.nbytes
    return replace(held.bare, **arrays)


def _close(pool: ThreadPoolExecutor, folder: Path) -> None:
    pool.shutdown(wait=True, cancel_futures=True)
    shutil.rmtree(folder, ignore_errors=True)
