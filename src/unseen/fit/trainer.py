"""Fits splats to posed photos (Kerbl et al. 2023): render, compare, step, add and remove."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.errors import InputError
from unseen.core.gaussians import Gaussians
from unseen.fit.appearance import Appearance
from unseen.fit.bank import PseudoView
from unseen.fit.config import FitConfig
from unseen.fit.distributed import Ranks
from unseen.fit.losses import image_loss
from unseen.fit.splats import SplatOptimizer
from unseen.fit.strategies.default import DefaultStrategy
from unseen.fit.strategies.mcmc import McmcStrategy
from unseen.fit.targets import halved, over
from unseen.io.photoset import Picture
from unseen.io.tensors import load_tensors, save_tensors
from unseen.render import rasterization

CHECKPOINT_KIND, CHECKPOINT_VERSION = "unseen-fit-checkpoint", 1


class Pictures(Protocol):
    """Decoded photos by index, as a `PictureStore` has them."""

    def __getitem__(self, index: int) -> Picture:
        """The picture of photo `index`."""

    def ordered(self, indices: Iterator[int]) -> Iterator[int]:
        """The same indices, announced ahead."""


class Strategy(Protocol):
    """How splats are added and removed."""

    def needs_statistics(self, step: int) -> bool:
        """Whether screen-space gradients matter at a step."""

    def after_step(self, splats: SplatOptimizer, step: int, rate: float, generator: torch.Generator) -> None:
        """Act on the splats once `step` steps are done; `rate` is that of positions."""


class OtherViews(Protocol):
    """Views besides the photos that take part in the fit."""

    def views(self, trainer: SceneTrainer) -> Sequence[PseudoView]:
        """Those of the step the trainer is about to take; it may put the trainer back to an earlier state first."""

    def state(self) -> dict[str, Tensor]:
        """Everything needed to continue bit-exact."""

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of `state`."""


class SceneTrainer:
    """Splats on their way to the photos.

    Every photo is seen once before any is seen again, in an order drawn anew each time. All random numbers follow from
    the seed and the step, so that a run may be interrupted anywhere, and any number of processes sees the same photos
    in a step as one with as large a batch.

    Args:
        pictures: decoded photos, whose cameras are in the fit's world.
        fitted: indices of those that may be looked at.
        start: splats to start from.
        config: settings.
        extent: radius of the cameras in the fit's world.
        seed: of everything random.
        device: where to compute.
        ranks: the processes that share the work.
        strategy: how splats are added and removed, instead of the settings' way.
        others: views besides the photos. Photos come in the same order with and without them, and only photos say
            where splats are added.
    """

    def __init__(
        self, pictures: Pictures, fitted: Sequence[int], start: Gaussians, config: FitConfig, extent: float, seed: int,
        device: torch.device, ranks: Ranks | None = None, strategy: Strategy | None = None,
        others: OtherViews | None = None,
    ) -> None:  # fmt: skip
        self.pictures, self.fitted, self.config, self.extent = pictures, list(fitted), config, extent
        self.seed, self.device, self.ranks = seed, device, ranks or Ranks()
        own = DefaultStrategy if config.strategy == "default" else McmcStrategy
        self.strategy: Strategy = strategy or own(config, extent)
        self.splats = SplatOptimizer(start.to(device), self._rates())
        self.appearance = None
        if config.compensation != "none":
            self.appearance = Appearance(config.compensation, max(self.fitted) + 1, device)
        self.generator = torch.Generator().manual_seed(seed)
        self.iteration = 0
        self.others = others
        self._upcoming: Iterator[int] | None = None

    @property
    def done(self) -> bool:
        """Whether all steps have run."""
        return self.iteration >= self.config.steps

    @property
    def sh_degree(self) -> int:
        """Highest band in use."""
        return min(self.config.sh_degree, self.config.sh_start + self.iteration // self.config.sh_every)

    def gaussians(self) -> Gaussians:
        """The splats as fitted so far, on the CPU."""
        return self.splats.gaussians().to("cpu")

    def step(self) -> float:
        """One step; returns the loss of this process's photos."""
        others = [] if self.others is None else self.others.views(self)
        if self._upcoming is None:
            self._upcoming = self.pictures.ordered(self._order(self._position(0)))
        views = self.config.batch * self.ranks.count
        collects = self.strategy.needs_statistics(self.iteration)
        before = self.splats.gradient_sum.clone(), self.splats.gradient_count.clone()
        seen = torch.zeros(len(self.splats), dtype=torch.bool, device=self.device)
        total = 0.0
        for k in range(self.config.batch):
            photo = next(self._upcoming)
            loss, means2d, visible, size = self._view(photo, self._position(k))
            (loss / views).backward()
            total += loss.item() / self.config.batch
            seen |= visible
            if collects:
                gradient: Tensor = getattr(means2d, "absgrad" if self.config.absgrad else "grad")
                self.splats.accumulate(gradient[0] * views, visible, *size)
        for view in others:
            loss, visible = self._other(view)
            (loss / self.ranks.count).backward()
            seen |= visible
        if self.ranks.count > 1:
            self._share(before, seen)
        self._update(seen)
        return total

    def _position(self, k: int) -> int:
        """Place of this process's k-th photo of the step in the order of all photos ever seen."""
        return (self.iteration * self.ranks.count + self.ranks.rank) * self.config.batch + k

    def _order(self, position: int) -> Iterator[int]:
        """Photos of this process from a position on, without end."""
        n, batch = len(self.fitted), self.config.batch
        epoch, order = -1, torch.zeros(0)
        for own in count():
            at = position + own // batch * batch * self.ranks.count + own % batch
            if at // n != epoch:
                epoch = at // n
                order = torch.randperm(n, generator=torch.Generator().manual_seed(self.seed * 1_000_003 + epoch))
            yield self.fitted[int(order[at % n])]

    def _view(self, photo: int, position: int) -> tuple[Tensor, Tensor, Tensor, tuple[int, int]]:
        """Loss of one photo, the splats' places in it, which were seen, and its width and height."""
        picture, config = self.pictures[photo], self.config
        if self.iteration < config.coarse * config.steps:
            picture = halved(picture)
        background = self._background(position)
        deep = config.depth_weight > 0 and picture.depth is not None
        render, info = self._render(picture.camera, background, deep)
        info["means2d"].retain_grad()
        loss = self._difference(photo, render[..., :3], picture, background)
        if deep:
            loss = loss + config.depth_weight * self._depth_difference(render[0, ..., 3], picture)
        if config.opacity_penalty and self.iteration < config.refine_stop:
            loss = loss + config.opacity_penalty * self.splats.tensors["logit_opacities"].sigmoid().mean()
        if config.scale_penalty and self.iteration < config.refine_stop:
            loss = loss + config.scale_penalty * self.splats.tensors["log_scales"].exp().mean()
        visible = (info["radii"][0] > 0).all(-1)
        return loss, info["means2d"], visible, (picture.camera.width, picture.camera.height)

    def _render(self, camera: Camera, background: Float[Tensor, "3"], deep: bool) -> tuple[Tensor, dict[str, Any]]:
        """The splats as they are, with gradients, [1, H, W, 3 (or 4: with depth)], and what the rasteriser tells."""
        t, camera, config = self.splats.tensors, camera.to(self.device), self.config
        render, _, info = rasterization(
            t["means"], t["quats"], t["log_scales"].exp(), t["logit_opacities"].sigmoid(), t["sh"],
            camera.world_to_camera[None], camera.K[None], camera.width, camera.height, sh_degree=self.sh_degree,
            backgrounds=background[None], render_mode="RGB+ED" if deep else "RGB", absgrad=config.absgrad,
            rasterize_mode="antialiased" if config.antialiased else "classic",
        )  # fmt: skip
        return render, info

    def _other(self, view: PseudoView) -> tuple[Tensor, Tensor]:
        """Loss of one of the other views, on black, and which splats it shows."""
        render, info = self._render(view.camera, torch.zeros(3, device=self.device), False)
        target, weight = (x.to(self.device).float() / 255 for x in (view.image, view.weight))
        # a mask averages over what it leaves: its mean brings the few pixels of a small one back to their size
        loss = weight.mean() * image_loss(render, target[None], self.config.ssim_weight, weight[None])
        return loss, (info["radii"][0] > 0).all(-1)

    def _background(self, position: int) -> Float[Tensor, "3"]:
        if not self.config.random_background:
            return torch.zeros(3, device=self.device)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + 500_009 + position)
        return torch.rand(3, generator=generator).to(self.device)

    def _difference(
        self, photo: int, render: Float[Tensor, "1 H W 3"], picture: Picture, background: Float[Tensor, "3"]
    ) -> Tensor:
        target = over(picture.image, picture.alpha, background).to(self.device)[None]
        mask = None if picture.mask is None else (torch.from_numpy(picture.mask).to(self.device) / 255)[None]
        if self.appearance is None:
            return image_loss(render, target, self.config.ssim_weight, mask)
        shown = self.appearance.apply(photo, render[0])[None]
        return image_loss(shown, target, self.config.ssim_weight, mask) + self.appearance.penalty(photo)

    def _depth_difference(self, depth: Float[Tensor, "H W"], picture: Picture) -> Tensor:
        """Mean absolute difference of 1 / depth where both know it."""
        known = torch.from_numpy(np.ascontiguousarray(picture.depth)).to(self.device)
        both = (known > 0) & (depth.detach() > 0)
        difference = torch.where(both, 1 / depth.clamp_min(1e-6) - 1 / known.clamp_min(1e-6), 0.0)
        return difference.abs().sum() / both.sum().clamp_min(1)

    def _share(self, before: tuple[Tensor, Tensor], seen: Tensor) -> None:
        """Add up gradients and statistics of all processes."""
        splats = self.splats
        gradients = [splats.tensors[name].grad for name in splats.rates]
        if self.appearance is not None:
            gradients.append(self.appearance.maps.grad)
        self.ranks.add_up(g for g in gradients if g is not None)
        own = splats.gradient_sum - before[0], splats.gradient_count - before[1]
        anywhere = seen.float()
        self.ranks.add_up((*own, anywhere))
        splats.gradient_sum, splats.gradient_count = before[0] + own[0], before[1] + own[1]
        seen.copy_(anywhere > 0)

    def _update(self, seen: Tensor) -> None:
        done = self.iteration / self.config.steps
        fall = 0.01**done
        rows = dict.fromkeys(self.splats.rates, seen.float()) if self.config.selective else None
        self.splats.step(dict.fromkeys(self.splats.rates, self.config.final_rate**done) | {"means": fall}, rows)
        if self.appearance is not None:
            self.appearance.step(fall**0.5)
        self.iteration += 1
        rate = self.splats.rates["means"] * fall
        if not self.done:
            self.strategy.after_step(self.splats, self.iteration, rate, self.generator)

    def save(self, path: Path) -> None:
        """Write a checkpoint atomically; only the first of several processes does.

        Raises:
            ResourceError: the machine refuses the write.
        """
        if self.ranks.first:
            tensors = self.state() | ({} if self.others is None else self.others.state())
            info = {"iteration": self.iteration, **self._identity()}
            save_tensors(path, CHECKPOINT_KIND, CHECKPOINT_VERSION, tensors, info)
        self.ranks.wait()

    def state(self) -> dict[str, Tensor]:
        """What the next step starts from, besides its number and the other views."""
        tensors = self.splats.state() | {"generator": self.generator.get_state()}
        return tensors if self.appearance is None else tensors | self.appearance.state()

    def restore(self, state: Mapping[str, Tensor], iteration: int) -> None:
        """Go on from a `state` after so many steps."""
        tensors = {name: tensor.to(self.device, copy=True) for name, tensor in state.items() if name != "generator"}
        self.generator.set_state(state["generator"].cpu())
        self.splats = SplatOptimizer.restore(tensors, self._rates())
        if self.appearance is not None:
            self.appearance.load(tensors)
        self.iteration = iteration
        self._upcoming = None

    def load(self, path: Path) -> None:
        """Continue from a checkpoint of the same run.

        Raises:
            InputError: the checkpoint belongs to another run (seed, photos or settings).
        """
        state, info = load_tensors(path, CHECKPOINT_KIND, CHECKPOINT_VERSION)
        if {k: info.get(k) for k in self._identity()} != self._identity():
            raise InputError(f"{path} belongs to a run with another seed, photos or settings: remove it to start anew")
        self.restore(state, info["iteration"])
        if self.others is not None:
            self.others.load(state)

    def _identity(self) -> dict[str, Any]:
        """What a checkpoint must share with the run that goes on from it; how often it is kept does not matter."""
        settings = asdict(replace(self.config, checkpoint_every=0))
        return {"seed": self.seed, "fitted": self.fitted, "settings": settings}

    def _rates(self) -> dict[str, float]:
        c = self.config
        rates = {"means": c.means_rate * self.extent, "quats": c.quats_rate, "log_scales": c.scales_rate}
        return rates | {"logit_opacities": c.opacities_rate, "sh": c.sh_rate}


def extent_of(cameras: Sequence[Camera]) -> float:
    """Radius of the cameras around their centre, and a tenth more."""
    centers = torch.stack([camera.center for camera in cameras])
    return 1.1 * max(float((centers - centers.mean(0)).norm(dim=1).max()), 1e-3)
