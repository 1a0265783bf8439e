"""What triplets are made of: captures on disk, and places invented from a seed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from unseen.core.errors import InputError
from unseen.fit.trainer import Pictures
from unseen.fit.world import Similarity, normalise
from unseen.io.photos import HeldPictures, PictureStore, load_photos
from unseen.io.photoset import PhotoSet, Picture
from unseen.io.triplets import Split
from unseen.jobs.curate.invented import invented_photos, kind_of
from unseen.jobs.curate.plan import Plan
from unseen.jobs.fit.setup import photo_scale
from unseen.jobs.fit.sources import has_cameras
from unseen.priors.training.recipe import invented_seeds
from unseen.synthetic.scenes.catalogue import JUDGED_FROM
from unseen.synthetic.worlds import HELD_OUT_FROM

MEMORY = 1 << 30
"""Bytes for a scene's decoded photos; beyond that they wait on disk."""


@dataclass(frozen=True)
class Source:
    """A scene before anything is made of it.

    Attributes:
        name: of its folder.
        split: what its triplets are for.
        seed: of its fits; of the place itself where it is invented.
        capture: folder or file with cameras; None: invented.
        images: as `load_photos` takes it.
    """

    name: str
    split: Split
    seed: int
    capture: Path | None = None
    images: Path | None = None


@dataclass(frozen=True)
class Opened:
    """Photos in the world of a fit, decoded, and the way there from their own."""

    photoset: PhotoSet
    pictures: Pictures
    world: Similarity


def captured(places: Sequence[Path], images: Path | None, held_out: int) -> list[Source]:
    """Captures in some folders: each is one, or holds some, perhaps a folder deeper.

    Args:
        places: folders, or transforms.json files.
        images: folder of their pictures, where it is not the usual one.
        held_out: of the captures, in the order of their names, the last so many are kept from training.

    Raises:
        InputError: a folder holds none, two have the same name, or none would be left to train on.
    """
    found: dict[str, Path] = {}
    for place in places:
        captures = _captures_in(place)
        if not captures:
            raise InputError(
                f"no captures in {place}: expected a COLMAP project or transforms.json, or folders that hold one each"
            )
        for name, path in captures.items():
            if found.setdefault(name, path) != path:
                raise InputError(f"{found[name]} and {path} have the same name: rename one")
    names = sorted(found)
    if found and held_out >= len(names):
        raise InputError(f"{held_out} of {len(names)} captures held out: expected fewer")
    first = len(names) - held_out
    return [
        Source(name, "train" if k < first else "val", zlib.crc32(name.encode()), found[name], images)
        for k, name in enumerate(names)
    ]


def invented(count: int, held_out: int, first: int = 0) -> list[Source]:
    """Places of the seeds from `first`, and of `held_out` seeds from `HELD_OUT_FROM` on, which no recipe trains on.

    Raises:
        InputError: more than there are seeds to train on.
    """
    seeds: dict[Split, range] = {
        "train": invented_seeds(first + count, JUDGED_FROM, "invented scenes")[first:],
        "val": range(HELD_OUT_FROM, HELD_OUT_FROM + held_out),
    }
    return [Source(f"{kind_of(seed)}-{seed:06d}", split, seed) for split, some in seeds.items() for seed in some]


@contextmanager
def opened(source: Source, plan: Plan) -> Iterator[Opened]:
    """The photos of a source, reduced or invented as the plan says.

    Raises:
        InputError: the capture is gone, or has no photos.
        FormatError: it is damaged.
        ResourceError: the machine refuses.
    """
    if source.capture is None:
        photoset, images = invented_photos(source.seed, plan.photos, plan.size, plan.detail)
        world = normalise(photoset)
        moved = world.photos(photoset)
        pairs = zip(images, moved.photos, strict=True)
        pictures = [Picture(image, None, None, None, photo.camera) for image, photo in pairs]
        yield Opened(moved, HeldPictures(pictures), world)
        return
    photoset = load_photos(source.capture, images=source.images)
    world = normalise(photoset)
    moved = world.photos(photoset)
    with PictureStore(moved.photos, photo_scale(photoset, plan.max_side), MEMORY) as store:
        yield Opened(moved, store, world)


def _captures_in(place: Path) -> dict[str, Path]:
    """Captures by name; a folder of a scene may hold its cameras one deeper."""
    if has_cameras(place):
        return {(place.parent if place.is_file() else place).resolve().name: place}
    if not place.is_dir():
        return {}
    found = {}
    for folder in sorted(path for path in place.iterdir() if path.is_dir()):
        inside = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
        capture = next((path for path in inside if has_cameras(path)), None)
        if capture is not None:
            found[folder.name] = capture
    return found
