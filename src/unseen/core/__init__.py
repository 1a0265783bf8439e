"""Types and mathematics everything else stands on. Imports nothing else of this package."""

from unseen.core.camera import Camera, stack_cameras
from unseen.core.devices import resolve_device, seed_everything
from unseen.core.errors import (
    FormatError,
    InputError,
    MissingDependencyError,
    NonFiniteError,
    ResourceError,
    ShapeError,
    UnseenError,
)
from unseen.core.gaussians import Gaussians

__all__ = [
    "Camera",
    "FormatError",
    "Gaussians",
    "InputError",
    "MissingDependencyError",
    "NonFiniteError",
    "ResourceError",
    "ShapeError",
    "UnseenError",
    "resolve_device",
    "seed_everything",
    "stack_cameras",
]
