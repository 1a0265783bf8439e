"""`unseen profile`."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from unseen.cli.console import guarded, reporting, show
from unseen.cli.options import Debug, Device, Json


class Prior(str, Enum):
    """Priors that can be measured."""

    MULTIVIEW = "multiview"


class Precision(str, Enum):
    """What the networks compute in."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


class Weights(str, Enum):
    """How weights are kept."""

    FULL = "full"
    INT8 = "int8"
    FP8 = "fp8"


@guarded
def run(
    prior: Annotated[Prior, typer.Argument(help="Which prior.")],
    model: Annotated[
        str,
        typer.Option(
            help="tiny, a model's folder or hub id; or random weights in a size: sd21-random, tiny-random. Speed and "
            "memory do not depend on what weights hold."
        ),
    ] = "tiny",
    views: Annotated[int, typer.Option(min=1, max=64, help="Views made at once.")] = 4,
    latent: Annotated[
        int, typer.Option(min=8, max=256, help="Side of their latents; pictures have eight times that.")
    ] = 32,
    dtype: Annotated[Precision, typer.Option(help="What the networks compute in.")] = Precision.FP32,
    guidance: Annotated[float, typer.Option(min=1, max=20, help="1 for none, at half the cost.")] = 2.0,
    steps: Annotated[int, typer.Option(min=1, help="Steps measured, after one that is not.")] = 5,
    slicing: Annotated[bool, typer.Option("--slicing", help="Attention a head, the VAE an image at a time.")] = False,
    offload: Annotated[
        bool, typer.Option("--offload", help="Idle networks wait on the CPU (needs a GPU); implies --whole.")
    ] = False,
    whole: Annotated[
        bool, typer.Option("--whole", help="All networks, from a reference to pictures; else the U-Net alone.")
    ] = False,
    fused: Annotated[
        bool, typer.Option("--fused/--no-fused", help="Fused (flash) attention kernels, where torch has them.")
    ] = True,
    weights: Annotated[
        Weights, typer.Option(help="Keep weights in eight bits, widened when used: less memory, slower.")
    ] = Weights.FULL,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the U-Net with torch first; no layers are shown then.")
    ] = False,
    device: Device = "auto",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure a step of a prior on this machine: time, peak memory, the dearest layers."""
    from unseen.jobs.profile import ProfileSettings, lines_of, run_profile

    settings = ProfileSettings(
        model=model, views=views, latent=latent, dtype=dtype.value, guidance=guidance, steps=steps, slicing=slicing,
        offload=offload, whole=whole, fused=fused, weights=weights.value, compiled=compiled, device=device,
    )  # fmt: skip
    with reporting(quiet=json) as reporter:
        result = run_profile(settings, reporter)
    show(result, json, lines_of(result))
