"""Recorded outputs of reference implementations, and how near to them is near enough."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import Tensor

FOLDER = Path(os.environ.get("UNSEEN_PARITY_DIR", Path(__file__).resolve().parents[2] / "shared" / "parity"))


def folder(method: str) -> Path:
    """Where a method's recordings are; skips the test when they are absent."""
    if not (FOLDER / method / "manifest.json").is_file():
        pytest.skip(f"needs the recordings, not found at {FOLDER / method}: set UNSEEN_PARITY_DIR")
    return FOLDER / method


def cases(method: str) -> set[str]:
    """Names of a method's cases."""
    return set(_described(method))


def _described(method: str) -> dict[str, dict[str, Any]]:
    """The manifest's entry of each case: some manifests list them, some have them by name."""
    found = json.loads((folder(method) / "manifest.json").read_text())["cases"]
    return found if isinstance(found, dict) else {case["id"]: case for case in found}


@dataclass(frozen=True)
class Recording:
    """One case: what went in, what came out, tolerances.

    Attributes:
        about: the manifest's description of the case.
        tensors: by `group/name`.
        checked: names of outputs that `check` has seen.
    """

    about: dict[str, Any]
    tensors: dict[str, Tensor]
    checked: set[str]

    @classmethod
    def open(cls, method: str, case: str) -> Recording:
        about = _described(method)[case]
        return cls(about, load_file(folder(method) / about["file"]), set())

    @property
    def config(self) -> dict[str, Any]:
        return self.about["config"]

    def __getitem__(self, name: str) -> Tensor:
        """An input, or an output that serves as one."""
        return self.tensors[f"inputs/{name}"]

    def weights(self, prefix: str = "") -> dict[str, Tensor]:
        start = f"weights/{prefix}"
        return {name.removeprefix(start): t for name, t in self.tensors.items() if name.startswith(start)}

    def outputs(self) -> set[str]:
        """Names of what was recorded for acceptance."""
        return {name.removeprefix("outputs/") for name in self.tensors if name.startswith("outputs/")}

    def unchecked(self) -> set[str]:
        """Outputs that `check` has not seen."""
        return self.outputs() - self.checked

    def check(
        self, name: str, found: Tensor, group: str = "outputs", up_to_sign: tuple[int, int] | None = None
    ) -> None:
        """Compare with an output, column group by column group where it has those.

        `up_to_sign`: columns of quaternions, where q and -q are the same rotation.
        """
        wanted = self.tensors[f"{group}/{name}"]
        found = found.detach().to(wanted.dtype)
        assert found.shape == wanted.shape, f"{name}: {tuple(found.shape)}, expected {tuple(wanted.shape)}"
        found, wanted = (t[None] if t.ndim == 0 else t for t in (found, wanted))
        if up_to_sign is not None:
            columns = slice(*up_to_sign)
            sign = (found[..., columns] * wanted[..., columns]).sum(-1, keepdim=True).sign()
            found = found.clone()
            found[..., columns] *= sign
        about = self.about["tensors"][f"{group}/{name}"]
        tolerance = about.get("tolerance") or {"atol": _limit(about)}
        for part, bounds in tolerance.get("columns", {"all": None}).items():
            columns = slice(*bounds["range"]) if bounds else slice(None)
            worst = float((found[..., columns].double() - wanted[..., columns].double()).abs().max())
            limit = (bounds or tolerance)["atol"]
            assert worst <= limit, f"{name} ({part}): off by {worst:.3g}, tolerance {limit:.3g}"
        if group == "outputs":
            self.checked.add(name)


def _limit(about: dict[str, Any]) -> float:
    """How far an output may be off, in manifests that say so beside its shape; integers may not be."""
    return float(about["atol"] if "atol" in about else about.get("max_diff", 0))
