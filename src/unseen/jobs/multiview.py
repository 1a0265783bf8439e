"""One picture of a head, or one frame of a video, becomes consistent views from all around."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import avg_pool2d

from unseen.core.camera import Camera
from unseen.core.devices import resolve_device, seed_everything
from unseen.core.errors import InputError
from unseen.head.library import head_model
from unseen.head.tracking import Observations, TrackConfig, load_landmarks, track_head
from unseen.io.atomic import make_folder, write_json
from unseen.io.images import read_channels, read_mask, write_image
from unseen.io.video import VideoWriter
from unseen.jobs.detection import detect_face
from unseen.jobs.inputs import VideoInput, load_observations
from unseen.jobs.progress import Reporter
from unseen.priors.multiview import HeadPlace, MultiViewDiffusion, cropped, normal_images
from unseen.priors.multiview.diagnostics import AttentionMaps, DenoisingStrip, nonfinite_guard, recording
from unseen.priors.multiview.warping import warp_views
from unseen.priors.precision import resolve_dtype

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
VIEWS_PER_SECOND = 4


@dataclass(frozen=True)
class MultiViewRequest:
    """One run.

    Attributes:
        source: a picture or a video, with its landmarks and matte; a picture's alpha channel is its matte.
        out: folder of the views.
        frame: of a video.
        model: "tiny", a folder or a repository (see `MultiViewDiffusion.from_pretrained`).
        head_model: whose normals steer the views.
        views: how many, evenly spread over the circle, the first from the front.
        pitch_deg: from how far above they look.
        steps, guidance: of the sampler.
        warp: keep what the picture shows of each view, warped by the tracked head.
        dtype: fp32, bf16 or fp16.
        attention: also write what the layers whose names match this regular expression attend to, in attention/.
        debug: name the layer a NaN or an infinity comes from.
        device: where to compute.
        seed: of the noise.
    """

    source: VideoInput
    out: Path
    frame: int = 0
    model: str = "tiny"
    head_model: str = "procedural"
    views: int = 8
    pitch_deg: float = 0.0
    steps: int = 25
    guidance: float = 2.0
    warp: bool = True
    dtype: str = "fp32"
    attention: str | None = None
    debug: bool = False
    device: str = "auto"
    seed: int = 0


def run_multiview(request: MultiViewRequest, reporter: Reporter) -> dict[str, Any]:
    """Make the views; returns the summary that also stands in views.json.

    Leaves in `out`: view_00.png and so on, strip.png (the reference, then the views), denoising.png (the views at some
    steps), views.mp4 (once round the head), reference.png and views.json.

    Raises:
        InputError: no head in the picture, or landmarks and matte that are not its own.
        MissingDependencyError: landmarks or matte are missing, and so is MediaPipe.
        ResourceError: the machine refuses a write.
    """
    began = time.perf_counter()
    device = resolve_device(request.device)
    seed_everything(request.seed)
    seen = load_picture(request.source, request.frame)
    prior = MultiViewDiffusion.from_pretrained(request.model, device, resolve_dtype(request.dtype))
    model = head_model(request.head_model)
    still = TrackConfig(photometric_steps=0)
    track = track_head(model, seen, still, request.seed, reporter.stage)
    frame = track.params[0]
    place = HeadPlace.of(model, frame)
    crop = place.crop(track.camera, prior.output_size)
    picture, inside = _framed(seen, track.camera, crop)
    yaws = [360.0 * k / request.views for k in range(request.views)]
    cameras = [place.camera(place.facing_deg + yaw, request.pitch_deg, prior.image_size) for yaw in yaws]
    vertices = model.vertices(frame)[0].detach()
    normals = normal_images(model, vertices, cameras)
    fine = [camera.resized(prior.output_size, prior.output_size) for camera in cameras]
    views = _imagined(prior, picture, normals, request, reporter)
    if request.warp:
        views = warp_views(picture, inside, crop, vertices, model.faces, fine).over(views)
    _write(request.out, picture, views)
    summary = {
        "views": request.views,
        "yaws_deg": yaws,
        "size": views.shape[1],
        "turned_deg": place.yaw_to(track.camera),
        "seconds": time.perf_counter() - began,
    }
    write_json(request.out / "views.json", summary)
    return summary


def _framed(seen: Observations, camera: Camera, crop: Camera) -> tuple[Float[Tensor, "O O 3"], Bool[Tensor, "O O"]]:
    """The picture on white as the crop frames it, and which of its pixels were filmed."""
    picture = cropped(seen.images[0], seen.alphas[0], camera, crop)
    filmed = cropped(np.zeros_like(seen.images[0]), np.full_like(seen.alphas[0], 255), camera, crop)
    return picture, filmed[..., 0] < 0.01


def _imagined(
    prior: MultiViewDiffusion, picture: Float[Tensor, "O O 3"], normals: Float[Tensor, "V S S 3"],
    request: MultiViewRequest, reporter: Reporter,
) -> Float[Tensor, "V O O 3"]:  # fmt: skip
    """The views; leaves denoising.png and, where asked for, attention/."""
    strip, maps = DenoisingStrip(prior.decode), AttentionMaps(request.attention or "")
    halved = avg_pool2d(picture.permute(2, 0, 1)[None], 2).permute(0, 2, 3, 1)

    def on_step(k: int, n: int, clean: Tensor) -> None:
        reporter.stage("denoising", k + 1, n)
        strip(k, n, clean)

    with ExitStack() as stack:
        if request.debug:
            stack.enter_context(nonfinite_guard(prior.modules()))
        if request.attention is not None:
            stack.enter_context(recording(prior.unet, maps))
        views = prior.sample(
            prior.reference(halved), normals, steps=request.steps, guidance=request.guidance,
            generator=torch.Generator().manual_seed(request.seed), on_step=on_step,
            on_view=lambda k, image: reporter.stage("decoding", k + 1, request.views),
        )  # fmt: skip
    strip.save(make_folder(request.out) / "denoising.png")
    if request.attention is not None and not maps.save(request.out / "attention"):
        raise InputError(f"no attention layer matches {request.attention!r}: try attn1, attn2 or mid_block")
    return views


def load_picture(source: VideoInput, frame: int) -> Observations:
    """One frame of a video, or a picture, with landmarks and matte; twice, since a tracker takes two frames.

    Raises:
        InputError: not there, no face, or a frame the video does not have.
        MissingDependencyError: landmarks or matte are missing, and so is MediaPipe.
    """
    if source.video.suffix.lower() not in PICTURES:
        seen = load_observations(source)
        if not 0 <= frame < len(seen.images):
            raise InputError(f"frame {frame}: {source.video} has frames 0 to {len(seen.images) - 1}")
        if not seen.found[frame]:
            raise InputError(f"no face was found in frame {frame} of {source.video}: choose another")
        return _twice(seen.images[frame], seen.alphas[frame], seen.landmarks_px[frame])
    picture = read_channels(source.video)
    image, height, width = picture[..., :3], *picture.shape[:2]
    alpha = picture[..., 3] if picture.shape[2] == 4 and picture[..., 3].min() < 255 else None
    if source.alpha is not None:
        alpha = (read_mask(source.alpha).numpy() * 255 + 0.5).astype(np.uint8)
    beside = source.video.with_suffix(".landmarks.npz")
    landmarks = source.landmarks or (beside if beside.is_file() else None)
    marks = None if landmarks is None else load_landmarks(landmarks, 1, height, width)[0]
    if marks is None or alpha is None:
        found = detect_face(np.stack([image, image]), fps=25.0, want_alpha=alpha is None, source=source.video)
        marks = found.landmarks_px[0] if marks is None else marks
        alpha = found.alphas[0] if alpha is None else alpha
    return _twice(image, alpha, marks)


def _twice(image: np.ndarray, alpha: np.ndarray, landmarks: np.ndarray) -> Observations:
    images, alphas, marks = (np.stack([a, a]) for a in (image, alpha, landmarks))
    return Observations(images, alphas, marks, fps=25.0)


def _write(out: Path, picture: Float[Tensor, "O O 3"], views: Float[Tensor, "V O O 3"]) -> None:
    write_image(out / "reference.png", picture)
    for k, view in enumerate(views):
        write_image(out / f"view_{k:02d}.png", view)
    write_image(out / "strip.png", torch.cat([picture.to(views), *views], 1))
    with VideoWriter(out / "views.mp4", fps=VIEWS_PER_SECOND) as video:
        for view in views:
            video.write(view)
