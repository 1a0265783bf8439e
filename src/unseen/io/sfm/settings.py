"""What one run of structure from motion works on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from unseen.core.errors import InputError
from unseen.io.colmap.models import MODELS

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class SolveOptions:
    """What determines a solution besides the pictures.

    Attributes:
        camera_model: of COLMAP's, one that `unseen.io.colmap` reads.
        max_frames: of a video, so many at most are used.
        max_side: pictures are reduced to it for finding features.
        max_features: per picture.
        seed: of all random choices.
        threads: for features and matches; they change nothing but the time.
    """

    camera_model: str
    max_frames: int
    max_side: int
    max_features: int
    seed: int
    threads: int

    def __post_init__(self) -> None:
        if self.camera_model not in MODELS:
            raise InputError(f"camera model {self.camera_model!r}: expected one of {', '.join(MODELS)}")
        for name in ("max_frames", "max_side", "max_features", "threads"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}: expected 1 or more")


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        pycolmap: the module.
        options: of the run.
        pictures: folder COLMAP reads pictures from.
        original: own name of each picture, by its name there, in order; those there hold no blanks.
        in_time: whether they are frames of a video.
        work: folder for everything that is written.
        progress: called with stage, done, total.
    """

    pycolmap: ModuleType
    options: SolveOptions
    pictures: Path
    original: dict[str, str]
    in_time: bool
    work: Path
    progress: Progress

    @property
    def names(self) -> tuple[str, ...]:
        """Of the pictures, in order."""
        return tuple(self.original)

    @property
    def database(self) -> Path:
        """COLMAP's database: features and matches, kept for resuming."""
        return self.work / "database.db"

    def key(self) -> dict[str, Any]:
        """What has to be equal for earlier results to hold."""
        states = {own: (self.pictures / name).stat() for name, own in self.original.items()}
        files = {own: [state.st_size, state.st_mtime_ns] for own, state in states.items()}
        options = {name: value for name, value in asdict(self.options).items() if name != "threads"}
        return {"options": options, "pycolmap": self.pycolmap.__version__, "pictures": files}
