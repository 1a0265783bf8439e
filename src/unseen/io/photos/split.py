"""Which photos are held out to judge a fit by."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from unseen.core.errors import InputError
from unseen.io.atomic import PathLike
from unseen.io.photoset import Photo

EVERY = 8
"""The field's habit: of the photos in the order of their names, number 0, 8, 16, ... are for testing."""


def split_photos(
    photos: Sequence[Photo], *, every: int = EVERY, listed: PathLike | None = None
) -> tuple[list[int], list[int]]:
    """Indices of the photos to fit, and of those to hold out.

    Args:
        photos: sorted by name, as readers give them.
        every: hold out photo 0 and every so-many-th; 0 holds none out.
        listed: a text file that takes the place of `every`: one name per line, or a pattern such as "test/*"; empty
            lines and lines that start with # do not count.

    Raises:
        InputError: the list cannot be read or names no photo, or no photo would be left to fit.
    """
    if every < 0:
        raise InputError(f"every {every}-th photo held out: expected 0 or more")
    if listed is not None:
        held = _listed([photo.name for photo in photos], listed)
    else:
        held = set(range(0, len(photos), every)) if every else set()
    fitted = [i for i in range(len(photos)) if i not in held]
    if not fitted:
        raise InputError(f"all {len(photos)} photos would be held out: expected at least one to fit")
    return fitted, sorted(held)


def _listed(names: Sequence[str], path: PathLike) -> set[int]:
    try:
        lines = [line.strip() for line in Path(path).read_text("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the list of held-out photos {path}: {error}") from error
    held: set[int] = set()
    for line in lines:
        if not line or line.startswith("#"):
            continue
        matches = {i for i, name in enumerate(names) if name == line} or {
            i for i, name in enumerate(names) if fnmatchcase(name, line)
        }
        if not matches:
            raise InputError(f"{path} holds out {line!r}, but there is no such photo; names are like {names[0]!r}")
        held |= matches
    return held
