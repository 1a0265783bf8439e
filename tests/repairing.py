"""A small album to repair, and fixers that are known to help, to harm, or to do nothing."""

from collections.abc import Container
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from fitting_scenes import blobs, pictures_of, ring_of_cameras
from unseen.core.gaussians import Gaussians
from unseen.fit.config import FitConfig
from unseen.fit.world import Similarity
from unseen.io.colmap import write_colmap
from unseen.io.images import write_image
from unseen.jobs.fit import FitRequest
from unseen.jobs.fit.sources import PhotoSource
from unseen.jobs.repair.config import RepairConfig
from unseen.jobs.repair.job import RepairRequest
from unseen.jobs.repair.mending import Workshop
from unseen.priors.fixer.fixing import Fixed
from unseen.render.scene import render_gaussians

WIDTH, HEIGHT, PHOTOS = 80, 60, 24
FIT = FitConfig(
    steps=240, max_splats=900, sh_degree=1, sh_start=1, checkpoint_every=50, far_splats=0, final_rate=0.1,
)  # fmt: skip
LOOP = RepairConfig(rounds=2, views=6, capacity=12, weight=1.0, share=1.0)
WORLD = Similarity(3.0, torch.eye(3), torch.tensor([5.0, -2.0, 1.0]))


def write_album(folder: Path, astray: Container[int] = ()) -> Path:
    """24 photos of blobs from all around, as a COLMAP project somewhere else in the world and at another scale.

    The cameras of the photos `astray` are said to be elsewhere.
    """
    splats = blobs()
    cameras = [c.resized(HEIGHT, HEIGHT) for c in ring_of_cameras(PHOTOS, HEIGHT)]
    (folder / "images").mkdir(parents=True)
    names = [f"{i:02d}.png" for i in range(PHOTOS)]
    for name, picture in zip(names, pictures_of(splats, cameras).pictures, strict=True):
        write_image(folder / "images" / name, picture.image)
    spread = 0.05 * torch.randn(480, 3, generator=torch.Generator().manual_seed(4))
    points = WORLD.points(splats.means.repeat(8, 1) + spread)
    shift = torch.zeros(4, 4)
    shift[:3, 3] = 7.0
    placed = [WORLD.camera(c) for c in cameras]
    placed = [replace(c, world_to_camera=c.world_to_camera + shift) if i in astray else c for i, c in enumerate(placed)]
    write_colmap(folder, placed, names, points, splats.rgb.repeat(8, 1))
    return folder


def request(album: Path, out: Path, fixer: str = "test", *, keep: int = 4, loop: RepairConfig = LOOP, **changes):
    """A run that fits every `keep`-th photo."""
    options = {"holdout": 0, "formats": (), "tensorboard": False} | changes
    return RepairRequest(
        FitRequest(PhotoSource(album), out, FIT, **options), loop, fixer, keep=keep, judged=6, video=False
    )


@dataclass
class Oracle:
    """Knows the truth: renders move a share of the way to it, by the cameras that a `Workshop` under `watched` uses."""

    out: Path
    share: float = 1.0
    calls: list[tuple[int, list[int]]] = field(default_factory=list)
    cameras: list = field(default_factory=list)
    seen: list = field(default_factory=list)

    def truth(self) -> Gaussians:
        return Similarity.load(self.out / "world.json").gaussians(WORLD.gaussians(blobs()))

    def fix(self, renders, references, *, seed=0):
        self.calls.append((len(renders), [len(r) for r in references]))
        self.seen += self.cameras
        splats = self.truth()
        true = torch.stack([render_gaussians(splats, camera, 0.0) for camera in self.cameras])
        return Fixed(torch.lerp(renders, true, self.share), torch.ones(renders.shape[:3]))


@dataclass
class Garbage:
    """Returns noise and is sure of it."""

    seen: list = field(default_factory=list)
    cameras: list = field(default_factory=list)

    def fix(self, renders, references, *, seed=0):
        self.seen += self.cameras
        noise = torch.rand(renders.shape, generator=torch.Generator().manual_seed(seed))
        return Fixed(noise, torch.ones(renders.shape[:3]))


def watched(monkeypatch) -> None:
    """Tell fixers with `cameras` where the renders they are about to get are from."""
    plain = Workshop._batch

    def batch(self, cameras, seed):
        self.fixer.cameras = list(cameras)
        return plain(self, cameras, seed)

    monkeypatch.setattr(Workshop, "_batch", batch)
