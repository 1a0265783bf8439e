"""`unseen world`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from unseen.cli.console import guarded, reporting, show
from unseen.cli.options import Debug, Device, Json


@guarded
def run(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the results.")],
    prompt: Annotated[str, typer.Option(help="What is to be seen.")] = "",
    image: Annotated[Path | None, typer.Option(help="A picture of it.")] = None,
    image_index: Annotated[int | None, typer.Option(help="The view that the picture shows, from 0.")] = None,
    path: Annotated[
        str, typer.Option(help="Camera path: orbit, dolly, pan, walk or spiral, about what is a unit ahead.")
    ] = "orbit",
    reach: Annotated[float, typer.Option(help="How far the path goes: 2 is twice as far.")] = 1.0,
    fov: Annotated[float, typer.Option(min=1, max=170, help="Vertical field of view of the path in degrees.")] = 50.0,
    cameras: Annotated[
        Path | None,
        typer.Option(
            help="JSON file of cameras instead of a path: FlashWorld's, ours, camera_path.json or transforms.json."
        ),
    ] = None,
    views: Annotated[int | None, typer.Option(min=2, help="How many views; the model's own number by default.")] = None,
    size: Annotated[
        str | None, typer.Option(help="Height x width of the views in pixels, such as 480x704; the model's by default.")
    ] = None,
    input: Annotated[
        Path | None, typer.Option("--input", help="A FlashWorld request file (JSON), or a folder of them.")
    ] = None,
    image_root: Annotated[
        list[Path] | None, typer.Option(help="Folder in which request files may name pictures, besides their own.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="tiny (comes with unseen), a folder, or a repository such as imlixinyang/FlashWorld."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of everything random: the same again gives the same world. 0 by default.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, max=1000, help="Denoising steps; 4 by default.")] = None,
    feedback: Annotated[
        bool | None, typer.Option("--feedback/--no-feedback", help="Show each step the Gaussians of the one before.")
    ] = None,
    preview: Annotated[bool | None, typer.Option("--preview/--full", help="Views of half the size.")] = None,
    window: Annotated[
        int | None, typer.Option(min=0, help="Make a long path so many views at a time; 0: all at once.")
    ] = None,
    overlap: Annotated[int | None, typer.Option(min=1, help="Views that neighbouring windows share; 4.")] = None,
    least_opacity: Annotated[
        float | None, typer.Option(min=0, max=1, help="Leave out fainter splats; 0.00025 by default.")
    ] = None,
    budget: Annotated[int | None, typer.Option(min=0, help="Merge splats until so many are left; 0: do not.")] = None,
    refine: Annotated[
        int | None, typer.Option(min=0, help="Steps of a fit to the views made, after --budget or --window.")
    ] = None,
    ply: Annotated[bool, typer.Option("--ply", help="Of scene.ply, .spz, video and page write scene.ply.")] = False,
    spz: Annotated[bool, typer.Option("--spz", help="Write scene.spz.")] = False,
    video: Annotated[bool, typer.Option("--video", help="Write video.mp4.")] = False,
    html: Annotated[bool, typer.Option("--html", help="Write viewer.html. None of the four: all of them.")] = False,
    fps: Annotated[float, typer.Option(help="Frames per second of the video.")] = 15.0,
    seconds: Annotated[
        float | None, typer.Option(help="Length of the video; by default a second from view to view.")
    ] = None,
    dtype: Annotated[str | None, typer.Option(help="Precision: fp32, bf16 or fp16; by the memory there is.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="Of the transformer: full, fp8 or int8; by the memory there is.")
    ] = None,
    offload: Annotated[
        bool | None, typer.Option("--offload/--no-offload", help="Idle networks wait on the CPU; by the memory.")
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="Text encoder on the device, on the cpu, or passing (loaded and left).")
    ] = None,
    queries: Annotated[int | None, typer.Option(min=1, help="Tokens that attend at a time.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Views encoded, decoded and rendered at a time.")] = None,
    device: Device = "auto",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a 3D world of a prompt, a picture, or both.

    Leaves in OUT: scene.ply, scene.spz, viewer.html, video.mp4, views/, depth/, cameras.json, request.json (give it to
    --input for the same world) and world.json. A folder of request files gets a folder each; run again, finished ones
    are passed over.
    """
    from unseen.core.devices import resolve_device
    from unseen.core.errors import InputError
    from unseen.jobs.world.batch import job_of, request_files, run_batch
    from unseen.jobs.world.compose import Asked, parse_size
    from unseen.jobs.world.job import WorldJob, describe, run_world
    from unseen.jobs.world.models import Models, Overrides
    from unseen.jobs.world.outputs import Exports
    from unseen.jobs.world.settings import WorldSettings

    if input is not None and (prompt or image is not None or cameras is not None):
        raise InputError(
            "--input brings its own prompt, picture and cameras: leave out --prompt, --image and --cameras"
        )
    given: dict[str, Any] = {
        "model": model, "seed": seed, "steps": steps, "feedback": feedback, "preview": preview, "window": window,
        "overlap": overlap, "least_opacity": least_opacity, "budget": budget, "refine": refine,
    }  # fmt: skip
    every = not (ply or spz or video or html)
    exports = Exports(ply or every, spz or every, video or every, html or every, fps, seconds)
    overrides = Overrides(dtype, weights, offload, text, queries, batch)  # type: ignore[arg-type] # checked by the plan
    models = Models(resolve_device(device), overrides)
    if input is not None and input.is_dir():
        files = request_files(input)
        with reporting(quiet=json) as reporter:
            found = run_batch(
                files, out, lambda file, folder: job_of(file, folder, given, exports, image_root or [], models), models,
                reporter,
            )  # fmt: skip
        done = f"{len(found['worlds'])} of {len(files)} worlds in {out}"
        show(found, json, [done, *(f"{name} failed: {reason}" for name, reason in found["failed"].items())])
        raise SystemExit(1 if found["failed"] else 0)
    with reporting(quiet=json) as reporter:
        if input is not None:
            job = job_of(input, out, given, exports, image_root or [], models)
        else:
            settings = WorldSettings.of(None, given)
            asked = Asked(prompt, image, image_index, path, cameras, views, parse_size(size), fov, reach)
            job = WorldJob(asked.request(models.config(settings.model)), out, settings, exports)
        summary = run_world(job, models, reporter)
    show(summary, json, [*describe(summary), f"open {out / ('viewer.html' if exports.html else 'views')}"])
