"""One scene: its poor fits, their renders, and the photos that go with each."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.camera import Camera
from unseen.fit.covisibility import best_references, in_view
from unseen.fit.loop import run_loop
from unseen.fit.metrics import psnr
from unseen.fit.targets import over
from unseen.fit.trainer import Pictures, SceneTrainer, extent_of
from unseen.fit.world import Similarity
from unseen.io.atomic import make_folder
from unseen.io.images import read_image_float, write_image
from unseen.io.photoset import PhotoSet
from unseen.io.triplets import PoorFit, ScenePhoto, SceneRender, Split, TripletScene
from unseen.jobs.curate.plan import Shortage
from unseen.jobs.fit.setup import first_splats
from unseen.jobs.progress import Reporter
from unseen.render.scene import view_gaussians

POINTS = 4000
"""Points that references are chosen by."""


class SceneCurator:
    """Makes the triplets of one scene in its folder; what an earlier, interrupted run left there is used.

    Args:
        name: of the scene.
        split: what its triplets are for.
        photoset: posed photos, in a fit's world.
        pictures: the same photos decoded, at the size to fit.
        world: from the source's world to the fit's.
        references: per triplet, at most.
        folder: of the scene.
        seed: of the fits.
        device: where they run.
        reporter: told of progress.
    """

    def __init__(
        self, name: str, split: Split, photoset: PhotoSet, pictures: Pictures, world: Similarity, references: int,
        folder: Path, seed: int, device: torch.device, reporter: Reporter,
    ) -> None:  # fmt: skip
        self.name, self.split, self.photoset, self.pictures, self.world = name, split, photoset, pictures, world
        self.references, self.folder, self.seed, self.device, self.reporter = references, folder, seed, device, reporter
        cloud = self.photoset.points
        self.points = cloud[:: -(-len(cloud) // POINTS)] if len(cloud) else cloud

    def run(self, shortages: Sequence[Shortage]) -> TripletScene:
        """Fit, render, and write the manifest.

        Raises:
            InputError: too few photos for a fit.
            FormatError: a photo is damaged.
            ResourceError: the machine refuses a write.
        """
        parts = {shortage.name: shortage.split(len(self.photoset.photos)) for shortage in shortages}
        photos, contents = self._photos()
        fits, renders = [], []
        for shortage in shortages:
            kept, shown = parts[shortage.name]
            self._fit(shortage, kept, shown)
            fits.append(
                PoorFit(shortage.name, shortage.strategy, tuple(kept), shortage.fit.steps, shortage.fit.max_splats)
            )
            chosen = {i: self._references(i, kept, contents) for i in shown}
            for step in shortage.stops:
                for i in shown:
                    file = self._file(shortage, step, i)
                    score = self._psnr(file, photos[i].file)
                    renders.append(SceneRender(file, i, chosen[i], shortage.name, step, score))
        scene = TripletScene(self.name, self.split, photos, tuple(fits), tuple(renders))
        scene.save(self.folder)
        for shortage in shortages:
            with suppress(FileNotFoundError):
                self._checkpoint(shortage).unlink()
        return scene

    def _photos(self) -> tuple[tuple[ScenePhoto, ...], list[int]]:
        """Write all photos on black; returns them and a digest of each, the same for equal pictures."""
        make_folder(self.folder / "photos")
        found, contents, back = [], [], self.world.inverse()
        for i, photo in enumerate(self.photoset.photos):
            file, picture = f"photos/{i:04d}.png", self.pictures[i]
            image = over(picture.image, picture.alpha, torch.zeros(3))
            contents.append(hash(image.numpy().tobytes()))
            if not (self.folder / file).is_file():
                write_image(self.folder / file, image)
            found.append(ScenePhoto(photo.name, file, back.camera(picture.camera)))
        return tuple(found), contents

    def _fit(self, shortage: Shortage, kept: list[int], shown: list[int]) -> None:
        """Run a fit and write its renders, unless they are there."""
        files = [self.folder / self._file(shortage, step, i) for step in shortage.stops for i in shown]
        if all(file.is_file() for file in files):
            return
        for file in files:
            make_folder(file.parent)
        cameras = [self.photoset.photos[i].camera for i in kept]
        points = self.photoset.points
        seen = torch.zeros(len(points), dtype=torch.bool)
        for camera in cameras:
            seen |= in_view(camera, points)
        known = replace(self.photoset, points=points[seen], point_colors=self.photoset.point_colors[seen])
        trainer = SceneTrainer(
            self.pictures, kept, first_splats(shortage.fit, known, kept, self.seed), shortage.fit, extent_of(cameras),
            self.seed, self.device,
        )  # fmt: skip

        def watch(trainer: SceneTrainer, _: float) -> None:
            self.reporter.stage(f"{self.name}: {shortage.name}", trainer.iteration, shortage.fit.steps)
            if trainer.iteration in shortage.stops:
                self._render(trainer, shortage, shown)

        run_loop(trainer, self._checkpoint(shortage), shortage.fit.checkpoint_every, True, [watch])

    def _render(self, trainer: SceneTrainer, shortage: Shortage, shown: Sequence[int]) -> None:
        splats = trainer.splats.gaussians()
        for i in shown:
            image = view_gaussians(splats, self.pictures[i].camera, 0.0).image
            write_image(self.folder / self._file(shortage, trainer.iteration, i), image)

    def _references(self, target: int, kept: Sequence[int], contents: Sequence[int]) -> tuple[int, ...]:
        """Photos the fit has seen that show most of what photo `target` does, and are not the same picture."""
        others = [i for i in kept if i != target and contents[i] != contents[target]]
        cameras: list[Camera] = [self.photoset.photos[i].camera for i in (target, *others)]
        best = best_references(cameras[0], cameras[1:], self.points, self.references)
        return tuple(others[k] for k in best)

    def _file(self, shortage: Shortage, step: int, photo: int) -> str:
        return f"renders/{shortage.name}/{step:05d}/{photo:04d}.png"

    def _checkpoint(self, shortage: Shortage) -> Path:
        return self.folder / "renders" / shortage.name / "fit.safetensors"

    def _psnr(self, render: str, truth: str) -> float:
        """As files hold them."""
        images: list[Float[Tensor, "H W 3"]] = [read_image_float(self.folder / file) for file in (render, truth)]
        return round(float(psnr(*images)), 3)
