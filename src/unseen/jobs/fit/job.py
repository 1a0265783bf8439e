"""The recipe, top to bottom: cameras, a world in order, splats, judgement, exports."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import unseen
from unseen.core.devices import resolve_device, seed_everything
from unseen.fit.config import FitConfig
from unseen.fit.distributed import Ranks, joined_ranks
from unseen.fit.loop import run_loop
from unseen.fit.pruning import without_unseen
from unseen.fit.trainer import SceneTrainer, extent_of
from unseen.fit.world import normalise
from unseen.io.atomic import make_folder, write_json
from unseen.io.photos import PictureStore, split_photos
from unseen.io.photoset import PhotoSet
from unseen.jobs.fit.evaluation import judge
from unseen.jobs.fit.exports import check_formats, export_scene
from unseen.jobs.fit.logs import TensorBoardLog, Watch
from unseen.jobs.fit.setup import first_splats, photo_scale, write_setup
from unseen.jobs.fit.sources import PhotoSource, load_source
from unseen.jobs.folder import check_folder
from unseen.jobs.preview import Preview, scene_picture
from unseen.jobs.progress import Reporter, Silent


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
        scale = request.scale or photo_scale(photoset, request.max_side)
        fitted, held_out = split_photos(photoset.photos, every=request.holdout, listed=request.holdout_list)
        world = normalise(photoset)
        if ranks.first:
            write_setup(request.out, describe(request), request.source, photoset, scale, held_out, world)
        solved_s = time.perf_counter() - began
        moved = world.photos(photoset)
        cameras = [moved.photos[i].camera for i in fitted]
        with PictureStore(moved.photos, scale=scale, budget_bytes=request.memory) as pictures:
            trainer = SceneTrainer(
                pictures, fitted, first_splats(request.fit, moved, fitted, request.seed), request.fit,
                extent_of(cameras), request.seed, device, ranks,
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
    if trainer.ranks.first:
        watching.append(Preview(request.out, scene_picture))
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


def describe(request: FitRequest) -> dict[str, Any]:
    """What determines the result, as JSON, with the version that computes it."""
    plain = asdict(request)
    kept = {k: v for k, v in plain.items() if k not in ("out", "resume", "tensorboard", "formats", "memory")}
    text = json.dumps({"unseen": unseen.__version__} | kept, default=lambda path: str(Path(path).resolve()))
    return json.loads(text)
