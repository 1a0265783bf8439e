"""`unseen weights`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from unseen.cli.console import guarded, reporting, show
from unseen.cli.options import Debug, Json

app = typer.Typer(
    name="weights",
    help="Convert, inspect, verify and compare the weights of networks. Nothing in a checkpoint is ever executed.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}

Source = Annotated[
    Path,
    typer.Argument(help="A .safetensors, .ckpt, .pt, .pth or .bin file, an index of shards, or a diffusers folder."),
]
Entry = Annotated[
    str | None, typer.Option(help="Part of a torch file that holds the weights, where it has several (e.g. model_ema).")
]


class Precision(str, Enum):
    """Types of numbers."""

    fp32 = "fp32"
    fp16 = "fp16"
    bf16 = "bf16"


class Layout(str, Enum):
    """Where the tensors' names and shapes are from."""

    diffusers = "diffusers"
    ldm = "ldm"
    imagedream = "imagedream"
    openclip = "openclip"
    oxigaf = "oxigaf"
    oxigaf_underscore = "oxigaf-underscore"
    oxigaf_slash = "oxigaf-slash"
    same = "same"


@app.command()
@guarded
def convert(
    source: Source,
    target: Annotated[
        Path,
        typer.Argument(help="A folder, which gets one folder per network (diffusers, oxigaf), or a .safetensors file."),
    ],
    to: Annotated[Layout, typer.Option(help="Layout to write; same keeps names and shapes.")] = Layout.diffusers,
    network: Annotated[
        list[str] | None,
        typer.Option(
            help="Convert this network only: unet, vae, image_encoder, resampler, upsampler. May be repeated."
        ),
    ] = None,
    dtype: Annotated[Precision | None, typer.Option(help="Precision to write; each tensor's own by default.")] = None,
    max_shard_size: Annotated[
        str, typer.Option(help="Split larger weights into files of this size, such as 500MB or 2GB.")
    ] = "5GB",
    mapping: Annotated[
        Path | None,
        typer.Option("--map", help='JSON of names: {"old": "new"} or [["regular expression", "replacement"]].'),
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="Leave out tensors whose whole name matches. May be repeated.")
    ] = None,
    entry: Entry = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Convert weights between layouts, containers and precisions, in the memory of their largest tensor.

    Strict: a tensor that is missing, unused or of another shape is an error that names it, and nothing is written.
    """
    from unseen.priors.weights.convert import ConvertRequest, run_convert

    precision, shard_bytes = dtype.value if dtype else None, parse_size(max_shard_size)
    request = ConvertRequest(
        source, target, to.value, tuple(network or ()), precision, shard_bytes, mapping, tuple(drop or ()), entry
    )
    with reporting(quiet=json) as reporter:
        result = run_convert(request, lambda done, total: reporter.stage("tensors", done, total))
    lines = [
        f"{name}: {n['tensors']} tensors, {_count(n['parameters'])} from {n['from']}"
        for name, n in result["networks"].items()
    ]
    lines += [f"left aside: {count} of the {reason}" for reason, count in result["aside"].items()]
    show(result, json, [*lines, f"{result['bytes'] / 1e6:.1f} MB in {', '.join(result['files'])}"])


@app.command()
@guarded
def inspect(
    source: Source,
    checksum: Annotated[bool, typer.Option(help="Compute the SHA-256 of every file.")] = True,
    write_inventory: Annotated[
        Path | None, typer.Option(help="Write type and shape of every tensor to this JSON file, for verify.")
    ] = None,
    entry: Entry = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Say what a checkpoint holds: networks, layouts, sizes, precision, checksum, and what hinders a conversion."""
    from unseen.io.atomic import write_json
    from unseen.priors.weights.inspection import run_inspect

    result = run_inspect(source, entry, checksum)
    if write_inventory:
        write_json(write_inventory, result["inventory"])
    show(result, json, _inspection_lines(result))


@app.command()
@guarded
def verify(
    source: Source,
    inventory: Annotated[
        str,
        typer.Option(
            help="sd21-unet, sd21-vae, clip-vit-h14, sd-x2-latent-upscaler, mvdream-unet, imagedream-unet, "
            "imagedream-resampler, or a JSON file {name: [type, shape]}."
        ),
    ],
    entry: Entry = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Check weights against an inventory; exits with 1 if anything is missing, extra or misshapen."""
    from unseen.priors.weights.inventory import run_verify

    result = run_verify(source, inventory, entry)
    lines = [f"{kind}: {name}" for kind in ("missing", "extra") for name in result[kind]]
    lines += [f"misshapen: {n} is {odd['found']}, expected {odd['expected']}" for n, odd in result["misshapen"].items()]
    verdict = "matches" if result["matches"] else "does not match"
    show(
        result,
        json,
        [*lines, f"{source} ({result['layout']}) {verdict} {inventory}: {result['tensors']} tensors expected"],
    )
    if not result["matches"]:
        raise SystemExit(1)


@app.command()
@guarded
def compare(
    a: Source,
    b: Source,
    outputs: Annotated[
        bool,
        typer.Option("--outputs", help="Also run the networks on the same noise and compare their layers' outputs."),
    ] = False,
    tolerance: Annotated[float, typer.Option(min=0, help="Largest absolute difference of weights to accept.")] = 0.0,
    every: Annotated[bool, typer.Option("--all", help="List layers without a difference, too.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    entry: Entry = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Compare two checkpoints layer by layer, of whatever layouts; exits with 1 if they differ."""
    from unseen.priors.weights.compare import run_compare

    result = run_compare(a, b, outputs, seed, entry)
    show(result, json, _comparison_lines(result, every))
    lone = result["only_in_a"] or result["only_in_b"] or result["misshapen"]
    if lone or result["largest"] is None or result["largest"] > tolerance:
        raise SystemExit(1)


def parse_size(text: str) -> int:
    """Bytes of a size such as 500MB, 2GiB or 1000000; raises InputError for other text."""
    import re

    from unseen.core.errors import InputError

    match = re.fullmatch(r"(\d+(?:\.\d+)?) *([A-Za-z]*)", text.strip())
    if not match or match[2].upper() not in _UNITS or float(match[1]) <= 0:
        raise InputError(f"{text!r} is no size: expected a number of bytes, or such as 500MB or 2GB")
    return max(1, int(float(match[1]) * _UNITS[match[2].upper()]))


def _count(parameters: int) -> str:
    return f"{parameters / 1e6:.1f} M parameters" if parameters >= 10**5 else f"{parameters} parameters"


def _inspection_lines(result: dict[str, Any]) -> list[str]:
    lines = []
    for file in result["files"]:
        lines.append(f"{file['file']}  {file['bytes'] / 1e6:.1f} MB")
        lines += [f"  sha256 {file['sha256']}"] if "sha256" in file else []
    kinds = ", ".join(f"{count} {dtype}" for dtype, count in result["dtypes"].items())
    lines.append(f"{result['tensors']} tensors ({kinds}), {_count(result['parameters'])}")
    for name, found in result["networks"].items():
        lines.append(f"{name}: {found['layout']} layout, {found['tensors']} tensors, {_count(found['parameters'])}")
        lines += [f"  {size}: {value}" for size, value in (found["sizes"] or {}).items()]
        lines += [f"  cannot be converted: {found['problem']}"] if found["problem"] else []
    lines += [f"left aside: {count} of the {reason}" for reason, count in result["aside"].items()]
    unknown = result["unknown"]
    return lines + ([f"unknown: {len(unknown)} tensors, {', '.join(unknown[:5])}"] if unknown else [])


def _comparison_lines(result: dict[str, Any], every: bool) -> list[str]:
    lines = []
    for title, rows, key in [
        ("weights", result["weights"], "name"),
        *((f"outputs of the {name}", rows, "layer") for name, rows in result.get("outputs", {}).items()),
    ]:
        shown = [row for row in rows if every or row["max_abs"] != 0]
        lines += [f"{row[key]:<72} max {_number(row['max_abs'])}  relative {_number(row['max_rel'])}" for row in shown]
        lines.append(f"{title}: {len(rows)} layers, {sum(row['max_abs'] != 0 for row in rows)} differ")
    for side in ("a", "b"):
        lines += [f"only in {side.upper()}: {name}" for name in result[f"only_in_{side}"]]
    return lines + [f"misshapen: {name} {odd['a']} and {odd['b']}" for name, odd in result["misshapen"].items()]


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.3e}"
