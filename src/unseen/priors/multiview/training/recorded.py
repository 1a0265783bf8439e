"""Albums of recorded people: captures with many cameras and a tracked head, as NeRSemble's are after VHAP.

Such a capture is a folder with transforms.json, pictures, mattes and head parameters (`unseen.io.captures`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8

from unseen.core.errors import InputError
from unseen.head.library import head_model
from unseen.head.model import HeadModel
from unseen.head.params import HeadParams
from unseen.head.sequence import arrays_to_params
from unseen.io.atomic import make_folder
from unseen.io.captures import Capture, CaptureFrame, read_capture
from unseen.priors.multiview.framing import HeadPlace, cropped, normal_images
from unseen.priors.multiview.training.albums import REFERENCES, VIEWS, Album

FACING_DEG = 35.0
"""References look at the face from within this yaw."""


def record_albums(
    captures: Path, folder: Path, size: int, moments: int, head: str | None, progress: Callable[[int, int], None]
) -> list[Path]:
    """Make the albums of the captures in a folder that `folder` lacks, `moments` of each; returns all their paths.

    Args:
        captures: a folder of captures, or one capture.
        folder: made if absent; albums are named after capture and time step.
        size: side of the pictures in pixels.
        moments: time steps of each capture, evenly spread over what it trains on.
        head: head model, None for the one each capture names.
        progress: told of albums that are there and how many there will be at most.

    Raises:
        InputError: no captures, or one without head parameters or with too few views.
        MissingDependencyError: a capture names FLAME and there is no FLAME file.
    """
    places = [captures] if _is_capture(captures) else sorted(p for p in captures.iterdir() if _is_capture(p))
    if not places:
        raise InputError(f"no captures in {captures}: expected folders with a transforms.json each")
    make_folder(folder)
    paths: list[Path] = []
    for place in places:
        capture = read_capture(place)
        steps = sorted({f.timestep for f in capture.split("train")}) or capture.timesteps
        chosen = [steps[k * len(steps) // moments] for k in range(min(moments, len(steps)))]
        subject: Subject | None = None
        for step in chosen:
            path = folder / f"{place.name}-{step:05d}.npz"
            if not path.is_file():
                subject = subject or Subject.of(capture, head)
                subject.album(step, steps, size).save(path)
            paths.append(path)
            progress(len(paths), len(places) * moments)
    return paths


@dataclass(frozen=True)
class Subject:
    """One recorded person.

    Attributes:
        capture: the recording.
        model: the head it was tracked with.
    """

    capture: Capture
    model: HeadModel

    @classmethod
    def of(cls, capture: Capture, head: str | None) -> Subject:
        """With the head model that is named, or else the capture's own."""
        return cls(capture, head_model(head or capture.head_model or "flame"))

    def album(self, step: int, steps: Sequence[int], size: int) -> Album:
        """All around at one time step, and nearly from the front at others.

        Args:
            step: the moment.
            steps: those references may be of.
            size: side of the pictures in pixels.

        Raises:
            InputError: no head parameters, too few views, or none of the face.
        """
        frames = self._frames(step)
        if len(frames) < VIEWS:
            found = f"{self.capture.folder} has {len(frames)} view(s) of time step {step}"
            raise InputError(f"{found}: expected at least {VIEWS}, from all around")
        params = self._params(frames[0])
        place = HeadPlace.of(self.model, params)
        yaws = np.array([place.yaw_to(f.camera) for f in frames], np.float32)
        chosen = _spread(yaws, VIEWS)
        crops = [place.crop(frames[i].camera, size) for i in chosen]
        normals = normal_images(self.model, self.model.vertices(params)[0], crops).numpy()
        heights = [float((c.center - place.center)[1] / (c.center - place.center).norm()) for c in crops]
        return Album(
            np.stack([_bytes(self._picture(frames[i], place, size)) for i in chosen]),
            (normals * 255 + 0.5).astype(np.uint8),
            np.stack(self._references(step, steps, size)),
            yaws[chosen],
            np.degrees(np.arcsin(np.array(heights, np.float32))).astype(np.float32),
        )

    def _references(self, step: int, steps: Sequence[int], size: int) -> list[UInt8[np.ndarray, "S S 3"]]:
        """The most frontal views of other moments, or of this one where there is no other; repeated where few face the
        camera: albums of one training have as many."""
        others = [s for s in steps if s != step] or [step]
        found = []
        for other in (others[k * len(others) // REFERENCES] for k in range(min(REFERENCES, len(others)))):
            frames = self._frames(other)
            place = HeadPlace.of(self.model, self._params(frames[0]))
            best = min(frames, key=lambda f: abs(place.yaw_to(f.camera)))
            if abs(place.yaw_to(best.camera)) <= FACING_DEG:
                found.append(_bytes(self._picture(best, place, size)))
        if not found:
            raise InputError(f"no camera of {self.capture.folder} is within {FACING_DEG:.0f} degrees of the face's yaw")
        return [found[k % len(found)] for k in range(REFERENCES)]

    def _frames(self, step: int) -> list[CaptureFrame]:
        return [f for f in self.capture.frames if f.timestep == step]

    def _params(self, frame: CaptureFrame) -> HeadParams:
        found = frame.params()
        if not found:
            raise InputError(f"{self.capture.folder} has no head parameters: track it first (VHAP, or `unseen track`)")
        return arrays_to_params(found, self.capture.folder).fitted_to(self.model)

    @staticmethod
    def _picture(frame: CaptureFrame, place: HeadPlace, size: int) -> Float[torch.Tensor, "S S 3"]:
        image, matte = frame.image().numpy(), frame.mask().numpy()
        return cropped(image, matte, frame.camera, place.crop(frame.camera, size))


def _is_capture(folder: Path) -> bool:
    return folder.is_dir() and any(folder.glob("transforms*.json"))


def _spread(yaws_deg: Float[np.ndarray, "N"], count: int) -> list[int]:
    """Indices of `count` of the directions in their order, evenly from the first to the last."""
    order = np.argsort(yaws_deg, kind="stable")
    return [int(order[k]) for k in np.linspace(0, len(order) - 1, count).round().astype(int)]


def _bytes(image: Float[torch.Tensor, "S S 3"]) -> UInt8[np.ndarray, "S S 3"]:
    return (image * 255).round().to(torch.uint8).numpy()
