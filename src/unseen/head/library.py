"""Which head model to use: the built-in procedural one, or a FLAME file on this machine."""

from __future__ import annotations

from pathlib import Path

from unseen.core.errors import InputError, MissingDependencyError
from unseen.head.flame import find_flame, load_head_model
from unseen.head.landmarks import with_mediapipe_landmarks
from unseen.head.model import HeadModel
from unseen.head.neck import with_head_shift
from unseen.head.procedural import procedural_head
from unseen.head.teeth import add_teeth
from unseen.head.torso import with_torso


def head_model(name: str | Path = "procedural") -> HeadModel:
    """Load a head model by name or path.

    Args:
        name: "procedural" (or the built-in head's variant), "flame" for the FLAME file found on this machine, the name
            of a FLAME variant, or the path of a FLAME file. FLAME models get teeth and a torso layer.

    Raises:
        InputError: neither a known name nor a file.
        MissingDependencyError: a FLAME model was asked for and none is found.
    """
    built_in = with_head_shift(procedural_head())
    if str(name) in ("procedural", built_in.variant):
        return built_in
    if Path(name).exists():
        return _complete(load_head_model(Path(name)), built_in)
    if not str(name).startswith("flame"):
        raise InputError(f"unknown head model {str(name)!r}: expected procedural, flame or the path of a FLAME file")
    path = find_flame()
    if path is None:
        raise MissingDependencyError(
            f"head model {name} needs a FLAME file: get one at flame.is.tue.mpg.de, then set UNSEEN_FLAME_PATH to it"
        )
    return _complete(load_head_model(path), built_in)


def _complete(flame: HeadModel, built_in: HeadModel) -> HeadModel:
    """FLAME with teeth, MediaPipe's points (carried over from the built-in head) and a torso."""
    return with_torso(with_mediapipe_landmarks(add_teeth(flame), built_in))
