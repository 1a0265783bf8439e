"""Films of synthetic subjects with exact ground truth, rendered and written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.errors import InputError
from unseen.head.params import HeadParams
from unseen.io.atomic import PathLike, atomic_write, make_folder
from unseen.io.captures import write_capture
from unseen.io.video import VideoWriter
from unseen.render.mesh import MeshBuffers, visible_points
from unseen.synthetic.actor import Actor, PosedActor
from unseen.synthetic.color import displayed
from unseen.synthetic.lighting import Lighting
from unseen.synthetic.motion import Motion
from unseen.synthetic.noise import fractal_noise
from unseen.synthetic.subject import SyntheticSubject
from unseen.synthetic.view import View

LANDMARK_TOLERANCE_M = 0.004


@dataclass(frozen=True)
class SyntheticClip:
    """T frames seen by one still camera.

    Attributes:
        images: sRGB over the background, [T, H, W, 3] uint8.
        alphas: coverage by the person, hair and clothes included, [T, H, W] uint8.
        normals: in the camera's OpenCV frame, (n + 1) / 2 * 255, zero off the person, [T, H, W, 3] uint8; hair points
            away from the middle of the head.
        params: of the head model `variant`.
        landmarks_px: MediaPipe's 478 points: x and y in pixels, z the depth behind their mean at the same scale,
            [T, 478, 3].
        visibility: whether the point can be seen (hair and clothes hide it too), [T, 478].
        camera: the camera.
        fps: frames per second.
        variant: head model the parameters belong to.
    """

    images: UInt8[Tensor, "T H W 3"]
    alphas: UInt8[Tensor, "T H W"]
    normals: UInt8[Tensor, "T H W 3"]
    params: HeadParams
    landmarks_px: Float[Tensor, "T 478 3"]
    visibility: Bool[Tensor, "T 478"]
    camera: Camera
    fps: float
    variant: str

    def __len__(self) -> int:
        return len(self.images)


def render_video(
    subject: SyntheticSubject | Actor,
    motion: Motion,
    camera: Camera,
    lighting: Lighting | None = None,
    *,
    supersampling: int = 2,
    noise: float = 0.0,
    backdrop: Float[np.ndarray, "H W 3"] | None = None,
    progress: Callable[[int], None] | None = None,
) -> SyntheticClip:
    """Film a subject with one still camera.

    Args:
        subject: who; pass an `Actor` to build it once for several films.
        motion: what they do.
        camera: image size and view.
        lighting: `Lighting.studio()` when None.
        supersampling: samples per pixel along each axis.
        noise: standard deviation of sensor noise in sRGB units, 0..1.
        backdrop: linear RGB behind the subject, the lighting's background colour when None.
        progress: called with the number of frames done.
    """
    return render_multiview(
        subject,
        motion,
        [camera],
        lighting,
        supersampling=supersampling,
        noise=noise,
        backdrop=backdrop,
        progress=progress,
    )[0]


def render_multiview(
    subject: SyntheticSubject | Actor,
    motion: Motion,
    cameras: Sequence[Camera],
    lighting: Lighting | None = None,
    *,
    supersampling: int = 2,
    noise: float = 0.0,
    backdrop: Float[np.ndarray, "H W 3"] | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[SyntheticClip]:
    """Film a subject with several still cameras at once; arguments as `render_video`, one clip per camera.

    Raises:
        InputError: no camera, or a motion without frames.
    """
    if not cameras or not len(motion):
        raise InputError(f"{len(cameras)} cameras and {len(motion)} frames: expected at least one of each")
    actor = subject if isinstance(subject, Actor) else Actor.build(subject)
    light = Lighting.studio() if lighting is None else lighting
    params = motion.params(actor.model, actor.subject.shape)
    shots: list[list[tuple[Tensor, ...]]] = [[] for _ in cameras]
    for t, frame in enumerate(actor.pose(params)):
        for index, (camera, taken) in enumerate(zip(cameras, shots, strict=True)):
            rng = np.random.default_rng([actor.subject.seed, 0xF11, t, index])
            view = frame.film(camera, light, supersampling)
            image = _developed(view, light.background if backdrop is None else backdrop, noise, rng)
            taken.append((image, *_ground_truth(frame, view, camera)))
        if progress is not None:
            progress(t + 1)
    stacks = [[torch.stack(part) for part in zip(*taken, strict=True)] for taken in shots]
    return [
        SyntheticClip(s[0], s[1], s[2], params, s[3], s[4], camera, motion.fps, actor.model.variant)
        for s, camera in zip(stacks, cameras, strict=True)
    ]


def ring_cameras(
    count: int,
    size: int,
    *,
    radius_m: float = 1.0,
    span_deg: float = 360.0,
    height_m: float = 0.02,
    target: tuple[float, float, float] = (0.0, -0.03, 0.0),
    fill: float = 0.42,
) -> list[Camera]:
    """Cameras on an arc around the head, the middle one in front.

    Args:
        count: how many.
        size: width and height of their images in pixels.
        radius_m: distance from the axis of the head.
        span_deg: angle of the whole arc; 360 spreads them all around.
        height_m: above the target.
        target: point they look at.
        fill: metres of the scene that the image is high.
    """
    gaps = count if span_deg >= 360.0 else max(count - 1, 1)
    angles = np.radians(span_deg) * (np.arange(count) - (count - 1) / 2) / gaps
    eyes = [(radius_m * np.sin(a), target[1] + height_m, radius_m * np.cos(a)) for a in angles]
    return [Camera.look_at(eye, target, size, size, focal_px=size * radius_m / fill) for eye in eyes]


def room(seed: int, height: int, width: int) -> Float[np.ndarray, "H W 3"]:
    """An out-of-focus background: a wall with soft blotches of light and colour, linear RGB."""
    rng = np.random.default_rng([seed, 0x4004])
    y, x = np.mgrid[:height, :width] / height
    place = np.stack([x, y, np.zeros_like(x)], -1)
    base, tint = rng.uniform(0.1, 0.6), 1 + 0.2 * rng.normal(size=(2, 3))
    light = fractal_noise(place, 1.7, 2, 0.5, int(rng.integers(2**30)))[..., None]
    color = fractal_noise(place, 2.6, 2, 0.4, int(rng.integers(2**30)))[..., None]
    share = np.clip(0.5 + color, 0, 1)
    return np.clip(base * (1 + 0.8 * light) * (tint[0] * share + tint[1] * (1 - share)), 0.01, 0.95)


def write_clip(folder: PathLike, clip: SyntheticClip, *, crf: int = 18, capture: bool = False) -> None:
    """Write a clip: video.mp4, video.alpha.mp4 (grey), video.landmarks.npz and truth.npz.

    truth.npz holds the head parameters by name, `visibility`, `world_to_camera`, `K`, `fps` and `variant`.

    Args:
        folder: made if absent.
        clip: what to write.
        crf: quality of the video, see `VideoWriter`.
        capture: also write the capture layout of VHAP into `folder`/capture.

    Raises:
        ResourceError: the machine refuses.
    """
    out = make_folder(folder)
    for name, frames, quality in (("video.mp4", clip.images, crf), ("video.alpha.mp4", clip.alphas, crf + 2)):
        with VideoWriter(out / name, clip.fps, quality) as video:
            for frame in frames:
                video.write(frame)
    size = np.array([clip.camera.height, clip.camera.width])
    marks = np.round(clip.landmarks_px.numpy() * 128) / 128  # short mantissas compress
    _write_npz(out / "video.landmarks.npz", {"landmarks_px": marks.astype(np.float32), "image_size": size})
    truth = {
        "visibility": clip.visibility.numpy(),
        "world_to_camera": clip.camera.world_to_camera.numpy(),
        "K": clip.camera.K.numpy(),
        "fps": np.array(clip.fps),
        "variant": np.array(clip.variant),
    }
    _write_npz(out / "truth.npz", {**_param_arrays(clip.params), **truth})
    if capture:
        write_capture(
            out / "capture",
            [clip.camera],
            clip.images,
            clip.alphas,
            _param_arrays(clip.params),
            head_model=clip.variant,
            fps=clip.fps,
            white=False,
            centre=False,
        )


def _write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with atomic_write(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def _param_arrays(params: HeadParams) -> dict[str, np.ndarray]:
    values = {f.name: getattr(params, f.name) for f in fields(params)}
    return {name: value.numpy() for name, value in values.items() if value is not None}


def _developed(view: View, background: np.ndarray, noise: float, rng: np.random.Generator) -> UInt8[Tensor, "H W 3"]:
    linear = view.color + (1 - view.alpha[..., None]) * background
    srgb = displayed(linear)
    if noise > 0:
        srgb = srgb + rng.normal(scale=noise, size=srgb.shape)
    return torch.from_numpy((np.clip(srgb, 0, 1) * 255 + 0.5).astype(np.uint8))


def _ground_truth(frame: PosedActor, view: View, camera: Camera) -> tuple[Tensor, ...]:
    """Matte, normals, landmarks and their visibility."""
    model = frame.actor.model
    marks = model.landmarks["mediapipe478"].points(torch.from_numpy(frame.vertices).to(model.dtype), model.faces)
    pixels, depth = camera.project(marks)
    z = (depth - depth.mean()) * camera.K[0, 0] / depth.mean()
    fine = camera.resized(view.ids.shape[1], view.ids.shape[0])
    ids, bary, depths = (torch.from_numpy(b) for b in (view.ids, view.bary, view.depth))
    buffers = MeshBuffers(ids, bary, depths, model.faces)
    seen = visible_points(marks, buffers, fine, LANDMARK_TOLERANCE_M)
    alpha = torch.from_numpy((view.alpha * 255 + 0.5).astype(np.uint8))
    normals = torch.from_numpy((view.normals * 127.5 + 127.5 * (view.alpha > 0)[..., None]).astype(np.uint8))
    return alpha, normals, torch.cat([pixels, z[:, None]], -1), seen
