"""pycolmap, imported when it is needed and kept quiet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from unseen.core.errors import MissingDependencyError


def load_pycolmap() -> ModuleType:
    """The module.

    Raises:
        MissingDependencyError: it is not installed, or too old.
    """
    try:
        import pycolmap
    except ImportError as error:
        raise MissingDependencyError(
            "solving for cameras needs pycolmap: pip install 'unseen[sfm]' "
            "(or solve with COLMAP elsewhere and give its project)"
        ) from error
    if not hasattr(pycolmap, "match_image_pairs"):
        raise MissingDependencyError(
            f"pycolmap {pycolmap.__version__} is too old to solve for cameras: pip install --upgrade 'unseen[sfm]'"
        )
    return pycolmap


@contextmanager
def quiet(pycolmap: ModuleType) -> Iterator[None]:
    """Keep COLMAP's own log, thousands of lines, to its errors."""
    before = pycolmap.logging.minloglevel
    pycolmap.logging.minloglevel = int(pycolmap.logging.Level.FATAL)
    try:
        yield
    finally:
        pycolmap.logging.minloglevel = before
