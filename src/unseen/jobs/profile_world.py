"""`unseen profile world`: what the parts of a world model cost on this machine, in time and memory, at any size."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from unseen.core.devices import resolve_device
from unseen.core.errors import InputError
from unseen.jobs.measuring import calls_noted, device_name, now, size_of, weight_bytes
from unseen.jobs.profile import RANDOM
from unseen.jobs.progress import Reporter
from unseen.priors.costs import peak_memory
from unseen.priors.eight_bit import store_in_eight_bits
from unseen.priors.precision import resolve_dtype
from unseen.priors.unfilled import fill_randomly, without_memory
from unseen.priors.world.config import WorldConfig
from unseen.priors.world.decoder import GaussianDecoder
from unseen.priors.world.pipeline import config_of
from unseen.priors.world.plan import Weights
from unseen.priors.world.published import OUTSIDE_BLOCKS
from unseen.priors.world.sampling import render_views
from unseen.priors.world.transformer import RAY_CHANNELS, WorldTransformer
from unseen.priors.world.vae import ImageCodec

PARTS = ("transformer", "decoder", "render", "codec")
STEPS = 4
_MIDDLE = 500.0
_PATH_LENGTH = 0.3  # of the cameras, in the network's units


@dataclass(frozen=True)
class WorldProfileSettings:
    """What is measured. Weights are random: time and memory do not depend on what they hold.

    Attributes:
        model: whose sizes: "flashworld-random", "tiny-random", or a model's name.
        views: made at once; those of the configuration when None.
        height, width: of pictures; those of the configuration when None.
        dtype: fp32, bf16 or fp16.
        weights: of the transformer's blocks.
        layers: blocks of the transformer that are built and measured, all when None; the others are reckoned to cost
            the same.
        queries: attended at a time, all when None.
        batch: views that decoder and encoder are measured on; the others are reckoned to cost the same.
        parts: measured.
        steps: calls measured, after one that is not; with 1, that one is measured.
        device: auto, cpu, cuda or cuda:<n>.
    """

    model: str = "tiny-random"
    views: int | None = None
    height: int | None = None
    width: int | None = None
    dtype: str = "bf16"
    weights: Weights = "full"
    layers: int | None = None
    queries: int | None = None
    batch: int = 1
    parts: tuple[str, ...] = PARTS
    steps: int = 1
    device: str = "auto"


def run_world_profile(settings: WorldProfileSettings, reporter: Reporter) -> dict[str, Any]:
    """Measure the parts one after the other, each alone in memory.

    Raises:
        InputError: settings that cannot be, no such model.
        MissingDependencyError: no such device.
    """
    bench = _Bench.of(settings)
    parts = {}
    with torch.no_grad():
        for k, name in enumerate(settings.parts):
            reporter.stage(f"measuring {name}", k, len(settings.parts))
            parts[name] = getattr(bench, f"measure_{name}")()
    device = bench.device
    return {
        **asdict(settings),
        "views": bench.views,
        "height": bench.height,
        "width": bench.width,
        "device": device_name(device),
        "parts": parts,
        "steps_s": _steps_s(parts) if set(parts) == set(PARTS) else None,
    }


def world_lines_of(result: dict[str, Any]) -> list[str]:
    """The result as lines for people."""
    lines = [
        f"{result['model']} on {result['device']}, {result['dtype']}, weights {result['weights']}: {result['views']} "
        f"views of {result['width']} x {result['height']}, random weights",
    ]
    for name, part in result["parts"].items():
        lines.append(
            f"{name:<12} {part['seconds']:>9.3f} s   peak {size_of(part['peak_bytes'])}"
            + (f"   weights {size_of(part['weight_bytes'])}" if part["weight_bytes"] else "")
            + (f"   ({part['note']})" if part["note"] else "")
        )
    if result["steps_s"] is not None:
        lines.append(f"{STEPS} steps      {result['steps_s']:>9.3f} s   without the text encoder")
    return lines


def _steps_s(parts: dict[str, dict[str, Any]]) -> float:
    """Of a world: all steps denoise and decode, all but the last render and encode; the result is rendered too."""
    seconds = {name: part["seconds"] for name, part in parts.items()}
    return float(
        STEPS * (seconds["transformer"] + seconds["decoder"] + seconds["render"]) + (STEPS - 1) * seconds["codec"]
    )


@dataclass
class _Bench:
    """Builds parts and feeds them noise."""

    settings: WorldProfileSettings
    config: WorldConfig
    device: torch.device
    dtype: torch.dtype
    views: int
    height: int
    width: int

    @classmethod
    def of(cls, settings: WorldProfileSettings) -> _Bench:
        name = settings.model
        config = WorldConfig.named(name.removesuffix(RANDOM)) if name.endswith(RANDOM) else config_of(name)
        height, width = settings.height or config.image_size[0], settings.width or config.image_size[1]
        if height % config.multiple or width % config.multiple:
            raise InputError(f"pictures of {width} x {height}: expected sides divisible by {config.multiple}")
        for key in ("views", "layers", "queries", "batch", "steps"):
            if getattr(settings, key) is not None and getattr(settings, key) < 1:
                raise InputError(f"--{key} {getattr(settings, key)}: expected at least 1")
        unknown = [part for part in settings.parts if part not in PARTS]
        if unknown or not settings.parts:
            raise InputError(f"no part {', '.join(unknown) or 'named'}: expected some of {', '.join(PARTS)}")
        device, dtype = resolve_device(settings.device), resolve_dtype(settings.dtype)
        return cls(settings, config, device, dtype, settings.views or config.views, height, width)

    def measure_transformer(self) -> dict[str, Any]:
        """One call, all views; blocks that were not built cost what those built did."""
        whole = int(self.config.transformer["num_layers"])
        built = min(self.settings.layers or whole, whole)
        with without_memory():
            network = WorldTransformer(self.config.transformer | {"num_layers": built}, self.config.features)
        fill_randomly(network, self.dtype)
        if self.settings.weights != "full":
            store_in_eight_bits(network.model, self.settings.weights, keep=OUTSIDE_BLOCKS)
        network.chunk_attention(self.settings.queries)
        network.to(self.device)
        z, f = self.config.latent_channels, self.config.features
        given = [self._latents(c) for c in (z, RAY_CHANNELS, z, f, z)]
        text = torch.randn(1, self.config.text["length"], self.config.transformer["text_dim"], device=self.device)
        times = torch.full((1,), _MIDDLE, device=self.device)
        blocks: list[float] = []
        with calls_noted([(block, blocks.append) for block in network.model.blocks], self.device):
            part = self._measured(lambda: network(*given, times, text), network)
        left = whole - built
        if left:
            each = sum(weight_bytes(block) for block in network.model.blocks) // built
            part["seconds"] += left * statistics.median(blocks)
            part["weight_bytes"] += left * each
            part["peak_bytes"] = part["peak_bytes"] and part["peak_bytes"] + left * each
            part["note"] = f"{built} of {whole} blocks measured, {statistics.median(blocks):.3f} s each"
        return part

    def measure_decoder(self) -> dict[str, Any]:
        """Of all views, reckoned from a batch."""
        with without_memory():
            network = self._decoder()
        fill_randomly(network, self.dtype)
        network.to(self.device)
        batch, h, w = self._batch()
        channels = (self.config.latent_channels, self.config.features)
        given = [torch.randn(batch, c, h, w, device=self.device) for c in channels]
        return self._of_all_views(self._measured(lambda: network(*given), network))

    def measure_codec(self) -> dict[str, Any]:
        """Encoding of all views, reckoned from a batch."""
        with without_memory():
            network = ImageCodec(self.config.vae)
        fill_randomly(network, self.dtype)
        network.to(self.device)
        images = torch.rand(self._batch()[0], self.height, self.width, 3, device=self.device)
        return self._of_all_views(self._measured(lambda: network.encode(images), network))

    def measure_render(self) -> dict[str, Any]:
        """Gaussians of all views as an untrained decoder places them, rendered at all cameras, a batch at a time."""
        with without_memory():
            head = self._decoder()
        numbers = sum(head.gs_head.sizes.values())
        grid = (self.height // 2, self.width // 2)
        raw = torch.randn(self.views, self.config.points, numbers, *grid, device=self.device)
        cameras = self._cameras()
        gaussians = head.gaussians(0.3 * raw, cameras)
        del raw
        batch = self._batch()[0]
        return self._measured(lambda: render_views(gaussians, cameras, self.width, self.height, batch), None)

    def _decoder(self) -> GaussianDecoder:
        config = self.config
        return GaussianDecoder(config.decoder, config.features, config.points, config.sh_degree)

    def _batch(self) -> tuple[int, int, int]:
        """Views measured at once, and their latents' height and width."""
        down = self.config.downsampling
        return min(self.settings.batch, self.views), self.height // down, self.width // down

    def _latents(self, channels: int) -> Tensor:
        _, h, w = self._batch()
        return torch.randn(1, channels, self.views, h, w, device=self.device)

    def _cameras(self) -> Tensor:
        """Side by side, looking ahead."""
        values = torch.zeros(self.views, 11, device=self.device)
        values[:, 0] = 1
        values[:, 4] = torch.linspace(0, _PATH_LENGTH, self.views)
        values[:, 7:] = values.new_tensor([1.0, self.width / self.height, 0.5, 0.5])
        return values

    def _of_all_views(self, part: dict[str, Any]) -> dict[str, Any]:
        batch = self._batch()[0]
        part["seconds"] *= self.views / batch
        if batch < self.views:
            part["note"] = f"{batch} of {self.views} views measured"
        return part

    def _measured(self, call: Callable[[], Any], network: nn.Module | None) -> dict[str, Any]:
        """Median seconds of a call, peak memory, and what the weights take."""
        if self.settings.steps > 1:
            call()
        seconds = []
        with peak_memory(self.device) as peak:
            for _ in range(self.settings.steps):
                began = now(self.device)
                call()
                seconds.append(now(self.device) - began)
        return {
            "seconds": statistics.median(seconds),
            "peak_bytes": peak.bytes,
            "weight_bytes": 0 if network is None else weight_bytes(network),
            "note": "",
        }
