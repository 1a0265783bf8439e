"""Curves and pictures of a long run, for TensorBoard where it is installed."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from unseen.io.atomic import PathLike


class Curves:
    """A log that TensorBoard shows; nothing where tensorboard is not installed.

    Args:
        folder: of its files.

    Attributes:
        kept: whether anything is written.
    """

    def __init__(self, folder: PathLike) -> None:
        self._writer = _writer(str(folder))

    @property
    def kept(self) -> bool:
        """Whether TensorBoard is there."""
        return self._writer is not None

    def scalar(self, name: str, value: float, step: int) -> None:
        """Note a number."""
        if self._writer is not None:
            self._writer.add_scalar(name, value, step)

    def image(self, name: str, image: Float[Tensor, "H W 3"], step: int) -> None:
        """Note a picture, in [0, 1]."""
        if self._writer is not None:
            self._writer.add_image(name, image.detach().cpu().numpy(), step, dataformats="HWC")

    def close(self) -> None:
        """Write what is not written yet."""
        if self._writer is not None:
            self._writer.close()


def _writer(folder: str) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(folder)
