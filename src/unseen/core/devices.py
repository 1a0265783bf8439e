"""Choice of the device and of the seeds."""

import random

import numpy as np
import torch

from unseen.core.errors import InputError, MissingDependencyError


def resolve_device(name: str = "auto") -> torch.device:
    """Turn `auto`, `cpu`, `cuda` or `cuda:<n>` into a device; `auto` takes CUDA when torch sees one.

    Raises:
        InputError: the name is none of these.
        MissingDependencyError: CUDA was asked for and torch sees no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise InputError(f"unknown device {name!r}: expected auto, cpu, cuda or cuda:<n>")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise MissingDependencyError(
            f"device {name!r} asked for, but torch {torch.__version__} sees {torch.cuda.device_count()} CUDA devices: "
            "use --device cpu, or install a CUDA build of torch"
        )
    return device


def seed_everything(seed: int) -> torch.Generator:
    """Seed Python, NumPy and torch, and have torch add up in a fixed order where it can (gradients of indexing would
    come in the order threads finish); return a CPU generator with the same seed for explicit use."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - third-party code may draw from the legacy stream
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)
