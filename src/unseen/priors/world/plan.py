"""How a world model fits the memory at hand: precision, eight-bit weights, what waits where, how much at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

import torch

from unseen.core.errors import InputError, ResourceError
from unseen.core.sh import num_coefficients
from unseen.io.atomic import PathLike
from unseen.priors.eight_bit import Kind, multiplies_fp8, store_in_eight_bits
from unseen.priors.precision import DTYPES, resolve_dtype
from unseen.priors.unfilled import without_memory
from unseen.priors.world.config import WorldConfig
from unseen.priors.world.pipeline import WorldPipeline, is_published
from unseen.priors.world.published import OUTSIDE_BLOCKS, open_published

Text = Literal["device", "cpu", "passing"]
"""Where the text encoder computes: beside the others, on the CPU, or on the CPU and in memory only meanwhile."""
Weights = Literal["full"] | Kind

QUERIES = 1024
"""Queries attended at a time where torch has no fused attention."""
_FUSED_FROM = (8, 0)
_RESERVE = 0.1  # of the memory at hand, for what is not foreseen
_LIVE_LAYERS = 6  # outputs of convolutions of one resolution that are held at once
_LIVE_GAUSSIANS = 4  # sets of raw and final numbers of all Gaussians held at once
_RENDER_BYTES = 100  # of a Gaussian in a picture, while it is rendered
_LARGE = 10**9  # numbers in the blocks: such models are for bf16 on GPUs
_TIED = "model.shared.weight"  # the embedding of UMT5 under a second name
_MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True)
class Memory:
    """Bytes at hand.

    Attributes:
        device: where networks compute.
        host: of the machine itself; the same memory where that computes.
    """

    device: int
    host: int

    @classmethod
    def at_hand(cls, device: torch.device) -> Memory:
        """What is free now.

        Raises:
            ResourceError: the system does not tell.
        """
        host = _free_host_bytes()
        return cls(torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else host, host)


@dataclass(frozen=True)
class WorldPlan:
    """How a model runs.

    Attributes:
        device: where.
        dtype: fp32, bf16 or fp16.
        weights: of the transformer's blocks: as `dtype` says, or in eight bits.
        offload: networks that do not compute wait on the CPU.
        text: where the text encoder computes.
        queries: attended at a time, all when None.
        batch: views encoded, decoded and rendered at a time.
        needed: bytes it is reckoned to take at most.
        there: bytes at hand.
    """

    device: torch.device
    dtype: str
    weights: Weights
    offload: bool
    text: Text
    queries: int | None
    batch: int
    needed: Memory
    there: Memory

    def lines(self) -> list[str]:
        """For people."""
        native = ", multiplied as such" if self.weights == "fp8" and multiplies_fp8(self.device) else ""
        weights = "" if self.weights == "full" else f", the transformer's weights in {self.weights}{native}"
        waiting = "idle networks wait on the CPU" if self.offload else "all networks stay there"
        text = {"device": "", "cpu": "; text is encoded on the CPU", "passing": "; the text encoder is loaded and left"}
        queries = "" if self.queries is None else f", {self.queries} queries of attention"
        lines = [
            f"on {self.device} in {self.dtype}{weights}; {waiting}{text[self.text]}",
            f"{self.batch} views{queries} at a time",
            f"takes about {_gib(self.needed.device)} of the {_gib(self.there.device)} there",
        ]
        if self.device.type != "cpu":
            lines[-1] += f", {_gib(self.needed.host)} of {_gib(self.there.host)} of the machine's own memory"
        return lines

    @property
    def fits(self) -> bool:
        """Whether what is at hand is enough."""
        return self.needed.device <= self.there.device and self.needed.host <= self.there.host


def plan_world(
    config: WorldConfig, views: int, size: tuple[int, int], device: torch.device, *, there: Memory | None = None,
    dtype: str | None = None, weights: Weights | None = None, offload: bool | None = None, text: Text | None = None,
    queries: int | None = None, batch: int | None = None,
) -> WorldPlan:  # fmt: skip
    """The best way to run a model that fits: the nearest to full precision first, then the fastest.

    Args:
        config: of the model.
        views, size: what is made, height and width in pixels.
        device: where.
        there: memory at hand; asked of the machine when None.
        dtype, weights, offload, text, queries, batch: chosen when None.

    Raises:
        InputError: something asked for that cannot be.
        ResourceError: nothing fits, with what the least would take.
    """
    there = there or Memory.at_hand(device)
    _check(config, device, dtype, weights, offload, batch)
    plans = []
    for rung in _rungs(device, config, dtype, weights):
        if rung.offload != (rung.offload if offload is None else offload) or rung.text != (text or rung.text):
            continue
        for count in [batch] if batch else _batches(views):
            plan = WorldPlan(
                device, **vars(rung), queries=queries or _queries(device), batch=count, needed=there, there=there
            )
            plan = replace(plan, needed=_needed(config, plan, views, size))
            if plan.fits:
                return plan
            plans.append(plan)
    if not plans:
        raise InputError("no way to run the model is as asked: leave one of dtype, weights, offload or text to it")
    least = min(plans, key=lambda p: (p.needed.device, p.needed.host))
    raise ResourceError(
        f"{views} views of {size[1]} x {size[0]} take at least {_gib(least.needed.device)} on {device} and "
        f"{_gib(least.needed.host)} of the machine's memory; there are {_gib(there.device)} and {_gib(there.host)}: "
        "make fewer or smaller views, or free memory"
    )


def open_planned(name: PathLike, plan: WorldPlan) -> WorldPipeline:
    """Load a model as a plan says; arguments and errors as `WorldPipeline.from_pretrained`."""
    dtype = resolve_dtype(plan.dtype)
    eight = None if plan.weights == "full" else plan.weights
    if is_published(name):
        model = open_published(name, dtype, weights=eight, keep_text=plan.text != "passing")
    else:
        model = WorldPipeline.from_pretrained(name, dtype=dtype)
        if eight is not None:
            store_in_eight_bits(model.transformer.model, eight, keep=OUTSIDE_BLOCKS)
    model.text_stays = plan.text != "device"
    model.transformer.chunk_attention(plan.queries)
    model.codec.batch = model.decoder.batch = model.render_batch = plan.batch
    return model if plan.offload else model.to(plan.device)


@contextmanager
def running(model: WorldPipeline, plan: WorldPlan) -> Iterator[WorldPipeline]:
    """Within the block the model computes on the plan's device, with what waits on the CPU coming by itself."""
    if not plan.offload:
        yield model
        return
    with model.offloaded(plan.device):
        yield model


# ---- what is tried


def _rungs(device: torch.device, config: WorldConfig, dtype: str | None, weights: Weights | None) -> Iterator[_Rung]:
    """Ways to run, the best first."""
    large = _parameters(_key(config))["blocks"] > _LARGE
    dtypes = [dtype] if dtype else ["bf16"] if large and device.type == "cuda" else ["fp32", "bf16"]
    texts: list[Text] = ["device"] if config.text["kind"] == "words" else ["device", "cpu", "passing"]
    kinds: list[Weights] = [weights] if weights else ["full", "fp8"]
    for kind in kinds:
        for precision in dtypes:
            for text in texts:
                if device.type != "cpu" or text != "cpu":
                    yield _Rung(precision, kind, False, text)
            for text in texts if device.type != "cpu" else []:
                yield _Rung(precision, kind, True, text)


@dataclass(frozen=True)
class _Rung:
    dtype: str
    weights: Weights
    offload: bool
    text: Text


def _batches(views: int) -> Iterator[int]:
    """All views at a time, half of them, and so on to one."""
    count = views
    while count > 1:
        yield count
        count = -(-count // 2)
    yield 1


def _queries(device: torch.device) -> int | None:
    old = device.type == "cuda" and torch.cuda.get_device_capability(device) < _FUSED_FROM
    return QUERIES if old else None


def _check(
    config: WorldConfig, device: torch.device, dtype: str | None, weights: Weights | None, offload: bool | None,
    batch: int | None,
) -> None:  # fmt: skip
    if dtype is not None:
        resolve_dtype(dtype)
    if weights not in (None, "full", *get_args(Kind)):
        raise InputError(f"unknown storage of weights {weights!r}: expected full, {' or '.join(get_args(Kind))}")
    if offload and device.type == "cpu":
        raise InputError("offloading moves idle networks off a GPU to the CPU: take a GPU, or leave it out")
    if batch is not None and batch < 1:
        raise InputError(f"{batch} views at a time: expected at least 1")


# ---- what is reckoned


def _needed(config: WorldConfig, plan: WorldPlan, views: int, size: tuple[int, int]) -> Memory:
    """Most bytes held at once."""
    weights, work = _weight_bytes(config, plan), _work_bytes(config, plan, views, size)
    text = 0 if plan.text == "device" else weights.pop("text")
    total = sum(weights.values())
    if plan.offload:
        device = max(size + work.get(name, 0) for name, size in weights.items())
    else:
        device = total + max(work.values())
    device = int((device + work["held"]) * (1 + _RESERVE))
    if plan.device.type == "cpu":
        most = max(device, int((total + text) * (1 + _RESERVE)))
        return Memory(most, most)
    return Memory(device, int((total + text) * (1 + _RESERVE)))  # all weights pass through the machine's own memory


def _weight_bytes(config: WorldConfig, plan: WorldPlan) -> dict[str, int]:
    each = DTYPES[plan.dtype].itemsize
    counts = dict(_parameters(_key(config)))
    blocks = counts.pop("blocks")
    found = {name: count * each for name, count in counts.items()}
    if plan.weights != "full":
        found["transformer"] -= blocks * (each - 1)
    return found


def _work_bytes(config: WorldConfig, plan: WorldPlan, views: int, size: tuple[int, int]) -> dict[str, int]:
    """Held beside the weights: by each network at work, while rendering, and (`held`) all the time."""
    each, batch = DTYPES[plan.dtype].itemsize, min(plan.batch, views)
    pixels = size[0] * size[1]
    latents = pixels // config.downsampling**2
    patch = int(config.transformer["patch_size"][1])
    tokens = views * latents // patch**2
    width = config.transformer["num_attention_heads"] * config.transformer["attention_head_dim"]
    channels = 2 * config.latent_channels + config.features
    gaussians = views * config.points * pixels // 4
    numbers = 3 * num_coefficients(config.sh_degree) + 11
    half = batch * pixels // 4
    return {
        "transformer": tokens * (14 * width + 2 * config.transformer["ffn_dim"]) * each,
        "codec": _LIVE_LAYERS * half * config.vae["base_dim"] * config.vae["dim_mult"][0] * each,
        "decoder": _LIVE_LAYERS * half * config.decoder["decoder_base_dim"] * config.decoder["dim_mult"][1] * each,
        "render": gaussians * batch * _RENDER_BYTES,
        "held": 4 * (views * latents * 4 * channels + _LIVE_GAUSSIANS * gaussians * numbers + 8 * views * pixels),
    }


def _key(config: WorldConfig) -> str:
    return json.dumps(config.as_dict(), sort_keys=True)


@lru_cache
def _parameters(key: str) -> dict[str, int]:
    """Numbers in each network's weights, and in the transformer's blocks alone, of a configuration as JSON."""
    with without_memory():
        model = WorldPipeline.random(WorldConfig.from_dict(json.loads(key)))
    counts = {
        name: sum(p.numel() for n, p in module.named_parameters() if n != _TIED)
        for name, module in model.modules().items()
    }
    return counts | {"blocks": sum(p.numel() for p in model.transformer.model.blocks.parameters())}


def _free_host_bytes() -> int:
    """Memory that programs can still get, on this machine."""
    try:
        for line in _MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError) as error:
        raise ResourceError("this system does not tell how much memory is free: say it") from error


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
