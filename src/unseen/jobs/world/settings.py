"""How a world is made, apart from what it shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from unseen.core.errors import InputError


@dataclass(frozen=True)
class WorldSettings:
    """Everything that changes the result besides the request itself; kept in request.json under "unseen"."""

    model: str = "tiny"
    """tiny (comes with unseen), a folder, or a repository on the hub."""
    seed: int = 0
    """Of everything random."""
    steps: int = 4
    """Denoising steps."""
    feedback: bool = True
    """Whether each step is shown the Gaussians of the one before."""
    preview: bool = False
    """Views of half the size."""
    window: int = 0
    """Views made at once; a longer path is filmed window by window. 0: all at once."""
    overlap: int = 4
    """Views that neighbouring windows share."""
    least_opacity: float = 0.00025
    """Gaussians fainter than this are left out (the value of FlashWorld's web application)."""
    budget: int = 0
    """At most so many Gaussians: near ones are merged. 0: no limit."""
    refine: int = 0
    """Steps of a fit of the Gaussians to the views they were made from."""

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("budget", 0), ("refine", 0), ("window", 0), ("overlap", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}: expected at least {least}")
        if self.window == 1 or (self.window and not 1 <= self.overlap < self.window):
            raise InputError(
                f"windows of {self.window} views that share {self.overlap}: expected at least 2, sharing 1 or more, "
                "but fewer than a window has"
            )
        if not 0 <= self.least_opacity < 1:
            raise InputError(f"least opacity is {self.least_opacity}: expected 0 or more, and less than 1")

    @classmethod
    def of(cls, kept: Any, given: Mapping[str, Any]) -> WorldSettings:
        """Settings of a request file's "unseen", overridden by those given; None is not given.

        Raises:
            InputError: an unknown setting, or a value that is no such thing.
        """
        kept = {} if kept is None else kept
        kinds = {field.name: type(field.default) for field in fields(cls)}
        if not isinstance(kept, Mapping):
            raise InputError(f"'unseen' is {kept!r:.40}: expected an object of settings")
        for name, value in kept.items():
            if name not in kinds:
                raise InputError(f"'unseen' holds the unknown setting {name!r}: expected some of {', '.join(kinds)}")
            if type(value) is not kinds[name] and not (kinds[name] is float and type(value) is int):
                raise InputError(f"the setting {name} is {value!r:.40}: expected {kinds[name].__name__}")
        return cls(**{**kept, **{name: value for name, value in given.items() if value is not None}})
