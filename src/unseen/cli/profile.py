"""`unseen profile`."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from unseen.cli.console import guarded, reporting, show
from unseen.cli.options import Debug, Device, Json

app = typer.Typer(
    name="profile",
    help="Measure a prior's speed and memory on this machine.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


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


@app.command("multiview")
@guarded
def multiview(
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
    """Measure a step of the multi-view prior: time, peak memory, the dearest layers."""
    from unseen.jobs.profile import ProfileSettings, lines_of, run_profile

    settings = ProfileSettings(
        model=model, views=views, latent=latent, dtype=dtype.value, guidance=guidance, steps=steps, slicing=slicing,
        offload=offload, whole=whole, fused=fused, weights=weights.value, compiled=compiled, device=device,
    )  # fmt: skip
    with reporting(quiet=json) as reporter:
        result = run_profile(settings, reporter)
    show(result, json, lines_of(result))


@app.command("world")
@guarded
def world(
    model: Annotated[
        str,
        typer.Option(help="Whose sizes: flashworld-random, tiny-random, or a model's name. Weights are random anyway."),
    ] = "tiny-random",
    views: Annotated[int | None, typer.Option(min=1, help="Views made at once; else the model's.")] = None,
    height: Annotated[int | None, typer.Option(min=16, help="Of pictures; else the model's.")] = None,
    width: Annotated[int | None, typer.Option(min=16, help="Of pictures; else the model's.")] = None,
    dtype: Annotated[Precision, typer.Option(help="What the networks compute in.")] = Precision.BF16,
    weights: Annotated[Weights, typer.Option(help="Keep the weights of the transformer in eight bits.")] = Weights.FULL,
    layers: Annotated[
        int | None, typer.Option(min=1, help="Blocks of the transformer measured; the others cost the same.")
    ] = None,
    queries: Annotated[int | None, typer.Option(min=1, help="Queries attended at a time; else all.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Views decoded, rendered and encoded at a time.")] = 1,
    parts: Annotated[str, typer.Option(help="What is measured, of transformer, decoder, render, codec.")] = (
        "transformer,decoder,render,codec"
    ),
    steps: Annotated[int, typer.Option(min=1, help="Calls measured, after one that is not if 2 or more.")] = 1,
    device: Device = "auto",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure the parts of a world model at any size: time, peak memory."""
    from unseen.jobs.profile_world import WorldProfileSettings, run_world_profile, world_lines_of

    settings = WorldProfileSettings(
        model=model, views=views, height=height, width=width, dtype=dtype.value, weights=weights.value, layers=layers,
        queries=queries, batch=batch, parts=tuple(parts.replace(" ", "").split(",")), steps=steps, device=device,
    )  # fmt: skip
    with reporting(quiet=json) as reporter:
        result = run_world_profile(settings, reporter)
    show(result, json, world_lines_of(result))


@app.command("fixer")
@guarded
def fixer(
    model: Annotated[
        str, typer.Option(help="Whose sizes: varsr-random (VARSR, GS-VAR) or tiny-random. Weights are random.")
    ] = "tiny-random",
    references: Annotated[int, typer.Option(min=0, help="Photos beside the render.")] = 1,
    bridge: Annotated[bool, typer.Option("--bridge/--no-bridge", help="The decoder looks at the render.")] = True,
    blocks: Annotated[
        int | None, typer.Option(min=1, help="Blocks of the transformer measured; the others cost the same.")
    ] = None,
    dtype: Annotated[Precision, typer.Option(help="What the networks compute in.")] = Precision.BF16,
    steps: Annotated[int, typer.Option(min=1, help="Pictures measured, after one that is not if 2 or more.")] = 1,
    device: Device = "auto",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure the autoregressive fixer on one picture: time of its parts, peak memory."""
    from unseen.jobs.profile_fixer import FixerProfileSettings, fixer_lines_of, run_fixer_profile

    settings = FixerProfileSettings(
        model=model, references=references, bridge=bridge, blocks=blocks, dtype=dtype.value, steps=steps, device=device
    )
    with reporting(quiet=json) as reporter:
        result = run_fixer_profile(settings, reporter)
    show(result, json, fixer_lines_of(result))
