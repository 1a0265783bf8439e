"""The recipe, top to bottom: cameras, a world in order, splats, judgement, exports."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import unseen
from unseen.core.camera import Camera
from unseen.core.devices import resolve_device, seed_everything
from unseen.core.gaussians import Gaussians
from unseen.fit.config import FitConfig
from unseen.fit.distributed import Ranks, joined_ranks
from unseen.fit.initial import far_points, random_points, splats_at_points
from unseen.fit.loop import run_loop
from unseen.fit.pruning import without_unseen
from unseen.fit.strategies import default, mcmc
from unseen.fit.trainer import SceneTrainer, extent_of
from unseen.fit.world import Similarity, normalise
from unseen.io.atomic import make_folder, write_json
from unseen.io.photos import PictureStore, split_photos
from unseen.io.photoset import PhotoSet
from unseen.jobs.fit.evaluation import judge
from unseen.jobs.fit.exports import check_formats, export_scene
from unseen.jobs.fit.logs import TensorBoardLog, Watch
from unseen.jobs.fit.sources import PhotoSource, load_source
from unseen.jobs.folder import check_folder
from unseen.jobs.progress import Reporter, Silent

FEWEST_POINTS = 100
"""With fewer, a fit starts from random ones."""
FAR = 5.0
"""Distance of the far splats in radii of the scene."""
INIT = {"default": (default.INIT_OPACITY, default.INIT_SIZE), "mcmc": (mcmc.INIT_OPACITY, mcmc.INIT_SIZE)}


@dataclass(frozen=True)
class FitRequest:
    """One run of the fit job.

    Attributes:
        source: photos.
        out: folder of the results.
        fit: settings.
        scale: of the photos, in (0, 1]; None: so that the larger side has at most `max_side` pixels.
        max_side: used when `scale` is None.
        holdout: every so-many-th photo is held out; 0: none.
        holdout_list: file that names the held-out photos instead.
        formats: suffixes of the exports besides scene.ply.
        memory: bytes for decoded photos; beyond that they wait on disk.
        tensorboard: write logs/ for TensorBoard where it is installed.
        device: "auto", "cpu", "cuda" or "cuda:<n>".
        seed: of everything random.
        resume: continue the run found in `out`.
    """

    source: PhotoSource
    out: Path
    fit: FitConfig = field(default_factory=FitConfig)
    scale: float | None = None
    max_side: int = 1600
    holdout: int = 8
    holdout_list: Path | None = None
    formats: tuple[str, ...] = ()
    memory: int = 2 << 30
    tensorboard: bool = True
    device: str = "auto"
    seed: int = 0
    resume: bool = False


def run_fit(request: FitRequest, reporter: Reporter, watchers: Sequence[Watch] = ()) -> dict[str, Any]:
    """Run the job; returns the summary that also stands in metrics.json.

    Leaves in `out`: scene.ply (and what `formats` asks for) in the source's world, metrics.json, config.json,
    split.json, world.json, sparse/ when cameras were solved, logs/ and checkpoints/. Started by torchrun, the
    processes share the work and the first one writes.

    Args:
        request: what to do.
        reporter: told of progress.
        watchers: called after every step with the trainer and the loss, e.g. a viewer.

    Raises:
        InputError: no usable photos, or `resume` meets another run.
        FormatError: a file is damaged.
        ResourceError: the machine refuses a write.
    """
    with joined_ranks() as ranks:
        began = time.perf_counter()
        reporter = reporter if ranks.first else Silent()
        seed_everything(request.seed)
        device = resolve_device(request.device)
        check_formats(request.formats)
        if ranks.first:
            check_folder(request.out, describe(request), request.resume)
            make_folder(request.out)
        photoset = _photos(request, ranks, reporter)
        scale = request.scale or _scale(photoset, request.max_side)
        fitted, held_out = split_photos(photoset.photos, every=request.holdout, listed=request.holdout_list)
        world = normalise(photoset)
        if ranks.first:
            _write_setup(request, photoset, scale, held_out, world)
        solved_s = time.perf_counter() - began
        moved = world.photos(photoset)
        cameras = [moved.photos[i].camera for i in fitted]
        with PictureStore(moved.photos, scale=scale, budget_bytes=request.memory) as pictures:
            trainer = SceneTrainer(
                pictures, fitted, _start(request, moved, fitted), request.fit, extent_of(cameras), request.seed,
                device, ranks,
            )  # fmt: skip
            fit_splats(request, trainer, reporter, watchers)
            fitted_s = time.perf_counter() - began - solved_s
            if not ranks.first:
                return {}
            splats = without_unseen(trainer.gaussians().finite(), cameras, request.fit.antialiased)
            export_scene(request.out, splats, world, request.formats)
            metrics = judge(
                splats, pictures, moved.photos, held_out, request.fit.antialiased,
                progress=lambda k, n: reporter.stage("evaluation", k, n),
            )  # fmt: skip
    seconds = {"cameras": solved_s, "fitting": fitted_s, "total": time.perf_counter() - began}
    summary = {"splats": len(splats), "fitted_photos": len(fitted), "held_out": metrics, "seconds": seconds}
    write_json(request.out / "metrics.json", summary)
    return summary


def fit_splats(request: FitRequest, trainer: SceneTrainer, reporter: Reporter, watchers: Sequence[Watch]) -> None:
    """Step to the end, keeping checkpoints."""
    steps = request.fit.steps
    checkpoint = make_folder(request.out / "checkpoints") / "fit.safetensors"
    watching: list[Watch] = [lambda t, loss: reporter.stage("fitting splats", t.iteration, steps), *watchers]
    log = TensorBoardLog.open(request.out / "logs", reporter) if request.tensorboard and trainer.ranks.first else None
    if log is not None:
        watching.append(log)
    try:
        run_loop(trainer, checkpoint, request.fit.checkpoint_every, request.resume, watching)
    finally:
        if log is not None:
            log.close()


def _photos(request: FitRequest, ranks: Ranks, reporter: Reporter) -> PhotoSet:
    """Posed photos; only the first process solves for cameras, the others then read what it found."""
    work = request.out / "cameras"
    if ranks.first:
        photoset = load_source(request.source, work, request.seed, reporter)
        ranks.wait()
        return photoset
    ranks.wait()
    return load_source(request.source, work, request.seed, reporter)


def _scale(photoset: PhotoSet, max_side: int) -> float:
    """The largest 1 / 2^k under which no photo is larger than `max_side`."""
    largest = max(max(photo.camera.width, photo.camera.height) for photo in photoset.photos)
    return 0.5 ** max(0, math.ceil(math.log2(largest / max_side)))


def _start(request: FitRequest, photoset: PhotoSet, fitted: Sequence[int]) -> Gaussians:
    """Splats at the photos' points, or at random ones, and far ones behind them."""
    config, generator = request.fit, torch.Generator().manual_seed(request.seed)
    points, colors = photoset.points, photoset.point_colors
    if config.init == "random" or len(points) < FEWEST_POINTS:
        points, colors = random_points(config.init_random, config.init_extent, generator)
    cameras = [photoset.photos[i].camera for i in fitted]
    far = far_points(cameras, config.far_splats, FAR * _radius(points, cameras), generator)
    room = max(config.max_splats - len(far), FEWEST_POINTS)
    if len(points) > room:
        chosen = torch.randperm(len(points), generator=generator)[:room].sort().values
        points, colors = points[chosen], colors[chosen]
    opacity, size = INIT[config.strategy]
    near = splats_at_points(points, colors, config.sh_degree, opacity, size)
    if len(far) < FEWEST_POINTS:
        return near
    grey = colors.mean(0).expand(len(far), 3)
    return Gaussians.cat([near, splats_at_points(far, grey, config.sh_degree, opacity, 0.5)])


def _radius(points: Tensor, cameras: Sequence[Camera]) -> float:
    """Distance from the middle of the cameras within which nearly everything lies."""
    centers = torch.stack([camera.center for camera in cameras])
    distances = (torch.cat([points, centers]) - centers.mean(0)).norm(dim=1)
    return float(distances.quantile(0.99)) if len(distances) < 10**6 else float(distances[::10].quantile(0.99))


def _write_setup(
    request: FitRequest, photoset: PhotoSet, scale: float, held_out: Sequence[int], world: Similarity
) -> None:
    """What a later command needs to know about the run."""
    out, source = request.out, request.source
    write_json(out / "config.json", describe(request))
    cameras = photoset.source.resolve()
    names = [photoset.photos[i].name for i in held_out]
    paths = {"images": source.images, "masks": source.masks}
    if cameras.is_relative_to(out.resolve()):  # solved here: the pictures lie elsewhere
        paths["images"] = _pictures_folder(photoset)
    write_json(
        out / "split.json",
        {"cameras": str(cameras), "scale": scale, "held_out": names}
        | {k: v and str(v.resolve()) for k, v in paths.items()},
    )
    world.save(out / "world.json")


def _pictures_folder(photoset: PhotoSet) -> Path:
    """The folder relative to which photos are named."""
    photo = photoset.photos[0]
    return photo.path.parents[len(Path(photo.name).parts) - 1]


def describe(request: FitRequest) -> dict[str, Any]:
    """What determines the result, as JSON, with the version that computes it."""
    plain = asdict(request)
    kept = {k: v for k, v in plain.items() if k not in ("out", "resume", "tensorboard", "formats", "memory")}
    text = json.dumps({"unseen": unseen.__version__} | kept, default=lambda path: str(Path(path).resolve()))
    return json.loads(text)
