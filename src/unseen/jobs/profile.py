"""`unseen profile`: what a step of a prior costs on this machine, in time and memory, layer by layer."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from unseen.core.devices import resolve_device
from unseen.core.errors import InputError
from unseen.jobs.measuring import Noted, calls_noted, device_name, size_of, weight_bytes, weights_of
from unseen.jobs.progress import Reporter
from unseen.priors.costs import layer_costs, peak_memory
from unseen.priors.eight_bit import Kind, store_in_eight_bits
from unseen.priors.memory import compile_forward, offloaded, slice_vae
from unseen.priors.multiview.attention import slice_attention
from unseen.priors.multiview.config import LATENT_CHANNELS, MultiViewConfig
from unseen.priors.precision import apply_precision, resolve_dtype

RANDOM = "-random"
LAYERS_SHOWN = 15
_MIDDLE = 500.0


@dataclass(frozen=True)
class ProfileSettings:
    """What is measured.

    Attributes:
        model: "tiny", a folder, a hub id; or a configuration with random weights: "sd21-random", "tiny-random".
        views: made at once.
        latent: side of their latents; images have eight times that.
        dtype: fp32, bf16 or fp16.
        guidance: 1 needs one row of the network, more need two.
        steps: measured, after one that is not.
        slicing: attention a head at a time, the VAE an image at a time.
        offload: idle networks wait on the CPU; all networks run.
        whole: all networks run, from the reference to the pictures, not the U-Net alone.
        fused: attention by fused (flash) kernels where torch has them.
        weights: how those of linear and convolutional layers are kept.
        compiled: the U-Net is compiled by torch.
        device: auto, cpu, cuda or cuda:<n>.
    """

    model: str = "tiny"
    views: int = 4
    latent: int = 32
    dtype: str = "fp32"
    guidance: float = 2.0
    steps: int = 5
    slicing: bool = False
    offload: bool = False
    whole: bool = False
    fused: bool = True
    weights: Literal["full"] | Kind = "full"
    compiled: bool = False
    device: str = "auto"


def run_profile(settings: ProfileSettings, reporter: Reporter) -> dict[str, Any]:
    """Measure the multi-view prior: median time of a U-Net call, peak memory, the dearest layers.

    Raises:
        InputError: settings that cannot be, no such model.
        FormatError: a damaged model.
        MissingDependencyError: no such device, or no compiler to compile with.
    """
    _check(settings)
    device = resolve_device(settings.device)
    if settings.offload and device.type == "cpu":
        raise InputError("offloading moves idle networks off a GPU to the CPU: use --device cuda, or leave it out")
    subject = _subject(settings, device)
    networks = subject.networks
    with ExitStack() as stack:
        if not settings.fused:
            stack.enter_context(_unfused())
        moves = stack.enter_context(offloaded(networks, device)) if settings.offload else None
        reporter.note("one step that is not measured")
        subject.run(1)
        with peak_memory(device) as peak, _call_times(networks, device, reporter, settings.steps) as times:
            began = time.perf_counter()
            subject.run(settings.steps)
            whole = time.perf_counter() - began
        layers = [] if settings.compiled else _layers(subject)  # hooks break compiled networks into pieces
    return {
        **asdict(settings),
        "device": device_name(device),
        "random_weights": settings.model.endswith(RANDOM),
        "parameters": {name: sum(t.numel() for t in weights_of(n)) for name, n in networks.items()},
        "weight_bytes": {name: weight_bytes(n) for name, n in networks.items()},
        "step_s": statistics.median(times["unet"]),
        "steps_s": times["unet"],
        "total_s": whole,
        "other_networks_s": {name: sum(t) for name, t in times.items() if name != "unet"},
        "peak_bytes": peak.bytes,
        "moves": moves.moves if moves else 0,
        "layers": layers,
    }


def lines_of(result: dict[str, Any]) -> list[str]:
    """The result as lines for people."""
    rows = "one row" if result["guidance"] == 1 else f"guidance {result['guidance']:g} (two rows)"
    lines = [
        f"{result['model']} on {result['device']}, {result['dtype']}, weights {result['weights']}: "
        f"{result['views']} views and a reference, latents {result['latent']} x {result['latent']}, {rows}",
    ]
    if result["random_weights"]:
        lines.append("random weights: time and memory are those of trained ones, pictures would be noise")
    spread = f"{min(result['steps_s']):.3f} to {max(result['steps_s']):.3f}, {len(result['steps_s'])} steps"
    lines.append(f"step          {result['step_s']:.3f} s (median; {spread})")
    lines += [f"{name:<13} {seconds:.3f} s in all" for name, seconds in result["other_networks_s"].items()]
    if result["whole"] or result["offload"]:
        lines.append(f"pictures      {result['total_s']:.3f} s from reference to the last view")
    lines.append(f"peak memory   {size_of(result['peak_bytes'])}")
    for name, count in result["parameters"].items():
        lines.append(f"{name:<13} {count / 1e6:.1f} M numbers in {size_of(result['weight_bytes'][name])}")
    if result["layers"]:
        lines.append(f"{'layer':<66} {'kind':<20} {'calls':>5} {'seconds':>8} {'share':>6} {'output':>9}")
    for layer in result["layers"]:
        lines.append(
            f"{layer['name'][-66:]:<66} {layer['kind']:<20} {layer['calls']:>5} {layer['seconds']:>8.3f} "
            f"{layer['share']:>6.1%} {size_of(layer['output_bytes']):>9}"
        )
    return lines


def _check(settings: ProfileSettings) -> None:
    for name in ("views", "latent", "steps"):
        if getattr(settings, name) < 1:
            raise InputError(f"--{name} {getattr(settings, name)}: expected at least 1")
    if settings.guidance < 1:
        raise InputError(f"--guidance {settings.guidance}: expected at least 1, which is none")


# ---- what runs


@dataclass(frozen=True)
class _Subject:
    """Networks by name, the U-Net among them as `unet`, and what makes so many steps with them."""

    networks: dict[str, nn.Module]
    run: Callable[[int], Any]


def _subject(settings: ProfileSettings, device: torch.device) -> _Subject:
    if settings.whole or settings.offload:
        from unseen.priors.multiview.pipeline import MultiViewDiffusion

        prior = (
            MultiViewDiffusion.random(_random_config(settings.model))
            if settings.model.endswith(RANDOM)
            else MultiViewDiffusion.from_pretrained(settings.model)
        )
        _prepare(prior.modules(), settings, device)
        prior.device = device
        slice_vae(prior.vae, slicing=settings.slicing, tiling=False)
        return _Subject(prior.modules(), lambda steps: _pictures(prior, settings, steps))
    unet = _unet(settings.model)
    _prepare({"unet": unet}, settings, device)
    return _Subject({"unet": unet}, _steps_of(unet, settings, device))


def _random_config(model: str) -> MultiViewConfig:
    return MultiViewConfig.named(model.removesuffix(RANDOM))


def _unet(model: str) -> Any:
    if model.endswith(RANDOM):
        from unseen.priors.multiview.unet import MultiViewUNet

        return MultiViewUNet(_random_config(model))
    from unseen.priors.multiview.pipeline import MultiViewDiffusion

    return MultiViewDiffusion.from_pretrained(model).unet


def _prepare(networks: dict[str, nn.Module], settings: ProfileSettings, device: torch.device) -> None:
    for network in networks.values():
        network.requires_grad_(False).eval()
        if settings.weights != "full":
            store_in_eight_bits(network, settings.weights)
        apply_precision(network, resolve_dtype(settings.dtype))
        slice_attention(network, 1 if settings.slicing else None)
        if not settings.offload:
            network.to(device)
    if settings.compiled:
        compile_forward(networks["unet"])


def _steps_of(unet: Any, settings: ProfileSettings, device: torch.device) -> Callable[[int], None]:
    """The U-Net alone, fed noise: views, a reference, image tokens."""
    from unseen.priors.multiview.attention import KeyValueCache

    config, rows = unet.config, 1 if settings.guidance == 1 else 2
    dtype = next(unet.parameters()).dtype
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> Tensor:
        return torch.randn(rows, *shape, generator=generator).to(device, dtype)

    side = (LATENT_CHANNELS, settings.latent, settings.latent)
    latents, tokens = (
        noise(settings.views, *side),
        noise(config.resampler["num_queries"], config.unet["cross_attention_dim"]),
    )
    given = {
        "normals": noise(settings.views, *side) if config.uses_normals else None,
        "cameras": noise(settings.views, 4, 4) if config.uses_cameras else None,
        "references": noise(1, *side),
    }
    times = torch.full((rows,), _MIDDLE, device=device)

    @torch.no_grad()
    def run(steps: int) -> None:
        cache = KeyValueCache()
        for _ in range(steps):
            unet(latents, times, tokens, **given, cache=cache)

    return run


def _pictures(prior: Any, settings: ProfileSettings, steps: int) -> None:
    """From a reference picture to views, all of noise."""
    generator = torch.Generator().manual_seed(0)
    side = settings.latent * 2 ** (len(prior.config.vae["block_out_channels"]) - 1)
    images = torch.rand(settings.views + 1, side, side, 3, generator=generator)
    where: dict[str, Any] = {"normals": images[1:]}
    if prior.config.uses_cameras:
        where = {"normals": None, "cameras": torch.eye(4).expand(settings.views, 4, 4)}
    prior.sample(prior.reference(images[:1]), **where, steps=steps, guidance=settings.guidance, generator=generator)


# ---- how it is measured


def _layers(subject: _Subject) -> list[dict[str, Any]]:
    """The dearest layers of the U-Net in one step."""
    with layer_costs(subject.networks["unet"]) as costs:
        subject.run(1)
    total = sum(c.seconds for c in costs)
    return [asdict(c) | {"share": c.seconds / total} for c in costs[:LAYERS_SHOWN]]


@contextmanager
def _call_times(
    networks: dict[str, nn.Module], device: torch.device, reporter: Reporter, steps: int
) -> Iterator[dict[str, list[float]]]:
    """Seconds of each call of each network; an autoencoder's are those of its coder and decoder."""
    times: dict[str, list[float]] = {"unet": []}

    def noted(name: str) -> Noted:
        def note(seconds: float) -> None:
            times.setdefault(name, []).append(seconds)
            if name == "unet":
                reporter.stage("measuring steps", len(times[name]), steps)

        return note

    watched = []
    for name, network in networks.items():
        parts = {f"{name}.{p}": getattr(network, p) for p in ("encoder", "decoder") if name == "vae"}
        watched += [(module, noted(part)) for part, module in (parts or {name: network}).items()]
    with calls_noted(watched, device):
        yield times


@contextmanager
def _unfused() -> Iterator[None]:
    """Attention by matrix products and a softmax, all scores kept."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel([SDPBackend.MATH]):
        yield
