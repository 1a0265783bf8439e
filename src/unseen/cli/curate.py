"""`unseen curate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unseen.cli.console import guarded, reporting, show
from unseen.cli.options import Debug, Device, Json

if TYPE_CHECKING:
    from unseen.jobs.curate.plan import Plan


@guarded
def run(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the scenes' folders.")],
    captures: Annotated[
        list[Path] | None,
        typer.Argument(help="Captures (COLMAP or transforms.json), or folders that hold some."),
    ] = None,
    invent: Annotated[int, typer.Option(min=0, help="Invent so many scenes besides.")] = 0,
    first: Annotated[int, typer.Option(min=0, help="Seed of the first of them; others make other scenes.")] = 0,
    held_out: Annotated[
        int, typer.Option(min=0, help="Keep the last so many captures from training, and invent so many more scenes.")
    ] = 0,
    plan: Annotated[
        str | None,
        typer.Option(
            help="full: long fits of whole photos; small: many short fits of small photos, drawn by scene. "
            "full by default, small without captures."
        ),
    ] = None,
    strategy: Annotated[
        list[str] | None,
        typer.Option(help="Of the full plan, several times: sparse, underfitting (both by default), outside, coarse."),
    ] = None,
    every: Annotated[
        str | None, typer.Option(help="sparse: fit every so-many-th photo; with commas, in turn. 10.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="underfitting: early steps to render at, with commas. 1000.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Full plan: steps of each fit. 7000.")] = None,
    splats: Annotated[int | None, typer.Option(min=200, help="Full plan: splats of each fit at most. 150000.")] = None,
    views: Annotated[
        int | None, typer.Option(min=0, help="Renders at a time, evenly spread; 0: all. small: 10.")
    ] = None,
    references: Annotated[int | None, typer.Option(min=0, help="Photos beside each render, at most. 3.")] = None,
    max_side: Annotated[
        int | None, typer.Option(min=32, help="Halve photos until no side is longer. full 960, small 192.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the captures' pictures, such as images_4.")] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes of one thread each that share the scenes; 1: all threads on one.")
    ] = 1,
    device: Device = "auto",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make triplets to train a fixer with: renders of poor fits, what they should look like, other photos beside them.

    Leaves in OUT a folder per scene: renders/, photos/, triplets.json. Run it again to go on, or to add scenes; a scene
    that fails leaves error.json and does not stop the others.
    """
    from unseen.jobs.curate import CurateRequest, run_curate

    given = {"strategies": tuple(strategy) if strategy else None, "every": numbers(every), "at": numbers(at),
             "steps": steps, "splats": splats}  # fmt: skip
    chosen = plan_of(plan or ("full" if captures else "small"), given, {
        "views": views, "references": references, "max_side": max_side,
    })  # fmt: skip
    request = CurateRequest(tuple(captures or ()), out, chosen, invent, first, held_out, images, workers, device)
    with reporting(quiet=json) as reporter:
        found = run_curate(request, reporter)
    lines = [
        f"{name}: {entry['count']} triplets, renders {entry['psnr_db']} dB" for name, entry in found["triplets"].items()
    ]
    failed = [f"{name} failed: {reason}" for name, reason in found["failed"].items()]
    show(found, json, [f"{found['scenes']} scenes in {out}", *lines, *failed])
    raise SystemExit(1 if failed else 0)


def plan_of(name: str, full: dict, common: dict) -> Plan:
    """The plan of a name with what was given.

    Raises:
        InputError: no such plan, or an option that it does not have.
    """
    from dataclasses import replace

    from unseen.core.errors import InputError
    from unseen.jobs.curate import FullPlan, SmallPlan

    full, common = ({k: v for k, v in given.items() if v is not None} for given in (full, common))
    if name == "small":
        if full:
            raise InputError(f"the small plan draws its own {', '.join(full)}: leave them out, or --plan full")
        return SmallPlan(**common)
    if name != "full":
        raise InputError(f"no plan {name!r}: expected full or small")
    plan = FullPlan()
    fit = replace(plan.fit, steps=full.pop("steps", plan.fit.steps), max_splats=full.pop("splats", plan.fit.max_splats))
    return replace(plan, fit=fit, **full, **common)


def numbers(text: str | None) -> tuple[int, ...] | None:
    """Whole numbers with commas between.

    Raises:
        InputError: something else.
    """
    from unseen.core.errors import InputError

    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and int(part) > 0 for part in parts):
        raise InputError(f"{text!r}: expected whole numbers above 0 with commas between, such as 10,40")
    return tuple(int(part) for part in parts)
