"""Albums: one person from all around at one moment, and nearly from the front at other moments, framed alike.

One `.npz` per person; `render_album` makes them of invented people, drawn from the seed alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from unseen.core.camera import Camera
from unseen.io.arrays import load_arrays, save_arrays
from unseen.priors.multiview.framing import HeadPlace, normal_images
from unseen.synthetic.actor import Actor, PosedActor
from unseen.synthetic.color import displayed
from unseen.synthetic.hairstyles import HAIR_COLORS, HAIR_STYLES, RGB
from unseen.synthetic.lighting import Lighting
from unseen.synthetic.motion import Motion
from unseen.synthetic.processes import files_of
from unseen.synthetic.subject import SyntheticSubject

HELD_OUT_FROM = 900_000
"""Seeds from here on are of people that no recipe trains on."""
VIEWS, REFERENCES = 8, 3
THINNED = 3.0
"""Hair has this many times fewer strands than in a film: pixels are larger than strands here."""


@dataclass(frozen=True)
class Album:
    """Pictures of one person over white.

    Attributes:
        images: of one moment from all around, [V, S, S, 3].
        normals: of the head model at that moment, OpenCV axes, (n + 1) / 2, [V, S, S, 3].
        references: of other moments, the face turned to the camera within 35 degrees, [R, S, S, 3].
        yaws_deg, pitches_deg: where each view looks from; yaw about the vertical, 0 before the face, [V].
    """

    images: UInt8[np.ndarray, "V S S 3"]
    normals: UInt8[np.ndarray, "V S S 3"]
    references: UInt8[np.ndarray, "R S S 3"]
    yaws_deg: Float[np.ndarray, "V"]
    pitches_deg: Float[np.ndarray, "V"]

    def save(self, path: Path) -> None:
        """Write atomically.

        Raises:
            ResourceError: the machine refuses.
        """
        save_arrays(path, vars(self))

    @classmethod
    def load(cls, path: Path) -> Album:
        """Read one.

        Raises:
            InputError: not an album.
        """
        return cls(**load_arrays(path, cls.__dataclass_fields__, "an album of heads, as `unseen train` makes them"))


def render_albums(
    folder: Path, seeds: Sequence[int], size: int, workers: int, progress: Callable[[int, int], None]
) -> list[Path]:
    """Make the albums of invented people that `folder` lacks, in several processes; returns all their paths.

    Raises:
        ResourceError: the machine refuses a write.
    """
    return files_of(folder, seeds, partial(_render_to, size=size), workers, progress)


def _render_to(job: tuple[Path, int], size: int) -> None:
    path, seed = job
    render_album(seed, size).save(path)


def render_album(seed: int, size: int, views: int = VIEWS, references: int = REFERENCES) -> Album:
    """The album of one invented person.

    Args:
        seed: of the person, the light and the moments.
        size: side of the pictures in pixels.
        views: pictures from all around.
        references: pictures from nearly the front.
    """
    rng = np.random.default_rng([seed, 0xA1B])
    actor = Actor.build(random_subject(seed, rng), texture_size=256, occlusion_directions=12)
    model, lighting = actor.model, random_light(seed, rng)
    params = Motion.sample(seed, 200, max_yaw_deg=25.0).params(model, actor.subject.shape)
    moments = rng.choice(200, 1 + references, replace=False)
    frames = [params[int(t)] for t in moments]
    posed, places = actor.pose(params[moments.tolist()]), [HeadPlace.of(model, f) for f in frames]
    # spread over the circle; a third of all people are seen from level height, as real cameras do
    yaws = (np.arange(views) + rng.uniform(0, 1, views)) * 360 / views - 180
    pitches = np.clip(rng.normal(4.0, 10.0, views), -20, 40)
    cameras = [places[0].camera(y, p, size, _distance(rng)) for y, p in zip(yaws, pitches, strict=True)]
    vertices = model.vertices(frames[0])[0].detach()
    normals = normal_images(model, vertices, cameras).numpy()
    images = [_photograph(posed[0], camera, lighting) for camera in cameras]
    facing = [place.facing_deg for place in places]
    shots = []
    for k in range(1, 1 + references):
        yaw, pitch = facing[k] + rng.uniform(-35, 35), rng.uniform(-8, 12)
        shots.append(_photograph(posed[k], places[k].camera(yaw, pitch, size, _distance(rng)), lighting))
    return Album(
        np.stack(images),
        (normals * 255 + 0.5).astype(np.uint8),
        np.stack(shots),
        (yaws - facing[0]).astype(np.float32),
        pitches.astype(np.float32),
    )


def random_subject(seed: int, rng: np.random.Generator) -> SyntheticSubject:
    """A person with any hair on any skin: odds are even where life's are not, and colours go beyond the usual."""
    style = HAIR_STYLES[list(HAIR_STYLES)[int(rng.choice(len(HAIR_STYLES), p=_ODDS))]]
    subject = SyntheticSubject.sample(seed, hair=style.name)
    melanin = float(rng.uniform(0, 1))
    a, b = (np.array(list(HAIR_COLORS.values())[i]) for i in rng.integers(len(HAIR_COLORS), size=2))
    color = (a + rng.uniform() * (b - a)) * rng.uniform(0.7, 1.4) * np.exp(rng.normal(0, 0.15, 3))
    root, tip = (_rgb(end, 0.004, 0.7) for end in color)
    hair = replace(subject.hair, strands=int(style.strands / THINNED), width_m=style.width_m * THINNED**0.7)
    garment = replace(subject.garment, colors=(_cloth(rng), _cloth(rng)))
    return replace(
        subject, hair=hair, hair_color=(root, tip), garment=garment, skin=replace(subject.skin, melanin=melanin)
    )


_ODDS = np.array([0.17, 0.17, 0.14, 0.16, 0.16, 0.1, 0.06, 0.04])
"""Of the haircuts, in their order."""


def _cloth(rng: np.random.Generator) -> RGB:
    return _rgb(rng.uniform(0.01, 0.9) * np.exp(rng.normal(0, 0.35, 3)), 0.006, 0.9)


def _rgb(color: Float[np.ndarray, "3"], least: float, most: float) -> RGB:
    r, g, b = np.clip(color, least, most).tolist()
    return r, g, b


def random_light(seed: int, rng: np.random.Generator) -> Lighting:
    """Any light, half of the time soft as in a studio."""
    return Lighting.studio() if rng.uniform() < 0.3 else Lighting.sample(seed)


def _distance(rng: np.random.Generator) -> float:
    return float(rng.uniform(0.8, 1.6))


def _photograph(actor: PosedActor, camera: Camera, lighting: Lighting) -> UInt8[np.ndarray, "S S 3"]:
    view = actor.film(camera, lighting, supersampling=2, shadow_resolution=256)
    # mattes of real videos are in display space: so is the white behind
    alpha = view.alpha[..., None]
    person = displayed(view.color / np.maximum(alpha, 1e-6))
    return ((person * alpha + 1 - alpha).clip(0, 1) * 255 + 0.5).astype(np.uint8)
