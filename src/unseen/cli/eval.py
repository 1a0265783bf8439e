"""`unseen eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from unseen.cli.console import guarded, reporting, show
from unseen.cli.fixers import FixerName, fixer_of
from unseen.cli.options import Alpha, Debug, Device, Focal, Json, Landmarks, MaxSide


@guarded
def run(
    out: Annotated[
        Path,
        typer.Argument(help="Folder of `unseen fit`, `unseen repair` or `unseen avatar`; or repair, with --split."),
    ],
    split: Annotated[
        str | None,
        typer.Option(help="Of `repair`: sparse, good, quick, or a JSON file: which photos to fit, which to judge by."),
    ] = None,
    results: Annotated[
        Path | None, typer.Option("-o", "--results", help="Of `repair`: folder for captures and runs.")
    ] = None,
    fixer: FixerName = "tiny",
    renders: Annotated[
        bool, typer.Option("--renders", help="Of a fit: leave photo and render side by side in OUT/eval.")
    ] = False,
    view: Annotated[
        Path | None,
        typer.Option(help="Of an avatar: video of the same take by another static camera, to be judged by."),
    ] = None,
    landmarks: Landmarks = None,
    alpha: Alpha = None,
    max_side: MaxSide = 512,
    focal: Focal = None,
    share_focal: Annotated[
        bool, typer.Option("--share-focal", help="The view's camera has the focal length of the avatar's own.")
    ] = False,
    offset: Annotated[
        float | None,
        typer.Option(help="Seconds after the avatar's video at which the view begins; found within 1 s if not given."),
    ] = None,
    mirrored: Annotated[bool, typer.Option("--mirrored", help="The view is mirrored, as selfie videos are.")] = False,
    device: Device = "auto",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Judge a fit by the photos it never saw, an avatar by another camera, or run the protocol of repairs.

    A fitted scene: PSNR and SSIM per held-out photo and mean. `unseen eval repair --split sparse -o OUT`: scenes with
    few photos kept, without fixer, with it in the fit, and with renders fixed afterwards; finished runs in OUT are not
    repeated. An avatar, with --view: the camera is found from the
    landmarks; leaves figures, comparison and overlay videos in OUT/eval.
    """
    from unseen.core.errors import InputError

    if split is not None:
        if str(out) != "repair" or results is None:
            raise InputError("--split belongs to `unseen eval repair --split sparse -o OUT`")
        _run_protocol(split, results, fixer, device, json)
        return
    if view is None and not (out / "avatar.safetensors").is_file():
        with reporting(quiet=json) as reporter:
            _judge_fit(out, renders, json, reporter)
        return
    if view is None:
        raise InputError(f"{out} holds an avatar: give --view VIDEO, the same take filmed by another camera")
    if renders:
        raise InputError("--renders belongs to a fit: an avatar's comparison video is always left in OUT/eval")
    from unseen.jobs.avatar.side_view import SideViewRequest, judge_side_view
    from unseen.jobs.inputs import VideoInput

    request = SideViewRequest(
        out, VideoInput(view, landmarks, alpha, max_side), focal_px=focal, share_focal=share_focal, offset_s=offset,
        mirrored=mirrored,
    )  # fmt: skip
    with reporting(quiet=json) as reporter:
        found = judge_side_view(request, reporter)
    show(found, json, describe(found))


def _run_protocol(split: str, out: Path, fixer: str, device: str, json: bool) -> None:
    from unseen.jobs.repair.protocol import read_split, rows, run_protocol

    with reporting(quiet=json) as reporter:
        found = run_protocol(read_split(split), out, fixer, lambda: fixer_of(fixer, device), device, reporter)
    show(found, json, rows(found))


def _judge_fit(out: Path, renders: bool, json: bool, reporter: Any) -> None:
    from unseen.jobs.fit import evaluate_run

    found = evaluate_run(out, renders, lambda k, n: reporter.stage("evaluation", k, n))
    rows = [f"{view['photo']:<32} {view['psnr']:6.2f} dB  SSIM {view['ssim']:.4f}" for view in found["views"]]
    show(found, json, [*rows, f"mean of {found['photos']:<24} {found['psnr']:6.2f} dB  SSIM {found['ssim']:.4f}"])


def describe(found: dict[str, Any]) -> list[str]:
    """An avatar's judgement in words."""
    camera = found["camera"]
    lines = [
        f"camera: {camera['degrees_from_the_avatars_camera']:.0f} degrees from the avatar's, focal length "
        f"{camera['K'][0][0]:.0f} px, begins {found['offset_s']:+.2f} s, landmark error "
        f"{found['landmark_error_percent_of_interocular']:.2f} % of the inter-ocular distance"
    ]
    for region in ("matte", "head"):
        scores = found[region]
        lines.append(
            f"{region} ({found['frames']} frames): {scores['psnr']:.2f} dB, colour matched "
            f"{scores['psnr_colour_matched']:.2f} dB, SSIM {scores['ssim']:.4f}, L1 {scores['l1']:.4f}"
        )
    return lines
