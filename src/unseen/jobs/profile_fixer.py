"""`unseen profile fixer`: what the parts of the autoregressive fixer cost on this machine, in time and memory."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from unseen.core.devices import resolve_device
from unseen.core.errors import InputError
from unseen.jobs.measuring import calls_noted, device_name, now, size_of, weight_bytes
from unseen.jobs.profile import RANDOM
from unseen.jobs.progress import Reporter
from unseen.priors.costs import peak_memory
from unseen.priors.fixer.config import FixerConfig
from unseen.priors.fixer.pipeline import FixerPipeline
from unseen.priors.fixer.transformer import FixerTransformer
from unseen.priors.fixer.vqvae import VQVAE
from unseen.priors.precision import resolve_dtype
from unseen.priors.unfilled import fill_randomly, without_memory


@dataclass(frozen=True)
class FixerProfileSettings:
    """What is measured: one picture of the model's size. Weights are random: time and memory do not depend on what they
    hold.

    Attributes:
        model: whose sizes: "varsr-random" or "tiny-random".
        references: photos beside the render.
        bridge: the decoder looks at the render.
        blocks: of the transformer that are built and run, all when None: the others are reckoned to cost the same.
        dtype: fp32, bf16 or fp16; the VQ-VAE's weights stay in fp32.
        steps: pictures measured, after one that is not; with 1, that one is measured.
        device: auto, cpu, cuda or cuda:<n>.
    """

    model: str = "tiny-random"
    references: int = 1
    bridge: bool = True
    blocks: int | None = None
    dtype: str = "bf16"
    steps: int = 1
    device: str = "auto"


def run_fixer_profile(settings: FixerProfileSettings, reporter: Reporter) -> dict[str, Any]:
    """Measure one picture, part by part.

    Raises:
        InputError: settings that cannot be, no such model.
        MissingDependencyError: no such device.
    """
    reporter.stage("making random weights", 0, 2)
    bench = _Bench(settings)
    reporter.stage("measuring", 1, 2)
    parts, peak = bench.measure()
    device = bench.model.device
    return {
        **asdict(settings),
        "side": bench.config.image_size,
        "device": device_name(device),
        "parts": parts,
        "seconds": sum(parts.values()),
        "peak_bytes": None if peak is None else peak + bench.left_bytes,
        "weight_bytes": bench.weight_bytes + bench.left_bytes,
        "blocks_of": [bench.built, bench.whole],
    }


def fixer_lines_of(result: dict[str, Any]) -> list[str]:
    """The result as lines for people."""
    built, whole = result["blocks_of"]
    return [
        f"{result['model']} on {result['device']}, {result['dtype']}: a picture of {result['side']} x "
        f"{result['side']} with {result['references']} reference(s), random weights",
        *(f"{name:<12} {seconds:>9.3f} s" for name, seconds in result["parts"].items()),
        f"{'all':<12} {result['seconds']:>9.3f} s   peak {size_of(result['peak_bytes'])}   weights "
        f"{size_of(result['weight_bytes'])}" + (f"   ({built} of {whole} blocks measured)" if built < whole else ""),
    ]


class _Bench:
    """Builds a model and feeds it noise."""

    def __init__(self, settings: FixerProfileSettings) -> None:
        if not settings.model.endswith(RANDOM):
            raise InputError(f"no model {settings.model!r} to measure: expected varsr{RANDOM} or tiny{RANDOM}")
        for key, least in {"references": 0, "steps": 1, "blocks": 1}.items():
            given = getattr(settings, key)
            if given is not None and given < least:
                raise InputError(f"--{key} {given}: expected at least {least}")
        config = FixerConfig.named(settings.model.removesuffix(RANDOM))
        self.settings = settings
        self.whole = int(config.transformer["depth"])
        self.built = min(settings.blocks or self.whole, self.whole)
        self.config = FixerConfig.from_dict(
            config.as_dict()
            | {
                "transformer": config.transformer | {"depth": self.built},
                "vqvae": config.vqvae | {"bridge": settings.bridge},
            }
        )
        self.model = self._model()
        modules = self.model.modules().values()
        self.weight_bytes = sum(weight_bytes(module) for module in modules)
        self.left_bytes = (self.whole - self.built) * weight_bytes(self.model.transformer.blocks[0])

    def _model(self) -> FixerPipeline:
        with without_memory():
            vqvae, transformer = VQVAE(self.config), FixerTransformer(self.config)
        dtype = resolve_dtype(self.settings.dtype)
        for network in (vqvae, transformer):
            fill_randomly(network, dtype)
        return FixerPipeline(self.config, vqvae, transformer).to(resolve_device(self.settings.device))

    def measure(self) -> tuple[dict[str, float], int | None]:
        """Median seconds of each part, and the peak of memory."""
        side, views = self.config.image_size, 1 + self.settings.references
        pictures = torch.rand(1, views, 3, side, side, device=self.model.device) * 2 - 1
        times: dict[str, list[float]] = {}
        with torch.no_grad(), peak_memory(self.model.device) as peak:
            for _ in range(self.settings.steps + (self.settings.steps > 1)):
                for name, seconds in self._picture(pictures).items():
                    times.setdefault(name, []).append(seconds)
        kept = {name: found[1:] if self.settings.steps > 1 else found for name, found in times.items()}
        return {name: statistics.median(found) for name, found in kept.items()}, peak.bytes

    def _picture(self, pictures: Tensor) -> dict[str, float]:
        """Seconds of each part for one picture."""
        watch = _Watch(self.model.device)
        known = watch.run("references", lambda: self.model.known(pictures))
        blocks: list[float] = []
        with calls_noted([(block, blocks.append) for block in self.model.transformer.blocks], self.model.device):
            found = watch.run("tokens", lambda: self.model.predicted(pictures, known))
        watch.seconds["tokens"] += sum(blocks) * (self.whole - self.built) / self.built
        fhat = watch.run("refiner", lambda: self.model.refined(found.fhat[:, 0], found.condition[:, 0], torch.randn))
        watch.run("decoder", lambda: self.model.decoded(fhat, pictures[:, 0]))
        return watch.seconds


class _Watch:
    """Seconds by name."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}

    def run(self, name: str, call: Callable[[], Any]) -> Any:
        """Call, and note how long it takes."""
        began = now(self.device)
        found = call()
        self.seconds[name] = now(self.device) - began
        return found
