"""World models by name, opened when they are needed and kept for the next request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from unseen.jobs.world.making import WorldModel
from unseen.priors.world.config import WorldConfig
from unseen.priors.world.pipeline import WorldPipeline, is_model


class Models:
    """Opens one model at a time.

    Args:
        device: where it computes.
        dtype: precision of its networks.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        self.device, self.dtype = device, dtype
        self._open: tuple[str, WorldModel] | None = None

    def config(self, name: str) -> Any:
        """A model's configuration; that of the published one is known before its weights are there, so that a mistake
        in a request does not wait for them.

        Raises:
            InputError: no such model.
        """
        if name == "tiny" or is_model(Path(name)):
            return self.opened(name).config
        return WorldConfig.named("flashworld")

    def opened(self, name: str) -> WorldModel:
        """The model, loaded unless it is the one loaded last.

        Raises:
            InputError: no such model.
            FormatError: damaged weights.
            ResourceError: too little memory.
        """
        if self._open is None or self._open[0] != name:
            self._open = None  # two do not fit in memory
            self._open = (name, self.load(name))
        return self._open[1]

    def load(self, name: str) -> WorldModel:
        """A model from its name, see `WorldPipeline.from_pretrained`."""
        return WorldPipeline.from_pretrained(name, self.device, self.dtype)
