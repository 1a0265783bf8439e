"""The prior inside the fit: pseudo ground truth where the camera saw nothing (GAF, arXiv 2412.10209, section 4.2).

What a prior makes may only change what the evidence leaves open. So each pixel of a pseudo view weighs as little as the
frames saw of what the avatar shows there, and gradients of splats the frames saw do not follow it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unseen.core.camera import Camera
from unseen.fit.bank import PseudoView, ViewBank
from unseen.fit.losses import image_loss
from unseen.head.avatar import Avatar
from unseen.jobs.avatar.config import PriorConfig
from unseen.jobs.avatar.coverage import Coverage, weight_image
from unseen.jobs.avatar.sources import DiffusionViews, ImaginedViews, Shot, ViewSource


@dataclass(frozen=True)
class Rendered:
    """One differentiable picture: image [H, W, 3], screen positions [1, N, 2] that keep their gradient, which splats
    reach the image [N], and its camera."""

    image: Float[Tensor, "H W 3"]
    means2d: Float[Tensor, "1 N 2"]
    visible: Bool[Tensor, "N"]
    camera: Camera


class Fit(Protocol):
    """What supervision needs of the fit it takes part in."""

    iteration: int
    device: torch.device

    def avatar(self) -> Avatar:
        """The avatar as it is."""

    def render(self, vertices: Float[Tensor, "V 3"], camera: Camera, background: Float[Tensor, "3"]) -> Rendered:
        """The splats on posed vertices."""


class Supervision(Protocol):
    """Something that looks at the avatar from where no camera was."""

    seconds: float

    def active(self, iteration: int) -> bool:
        """Whether the step takes part."""

    def loss(self, fit: Fit) -> tuple[Tensor, list[Rendered]]:
        """What is wrong with the avatar, and the views it was seen in."""

    def state(self) -> dict[str, Tensor]:
        """Everything needed to continue bit-exact."""

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of `state`."""


class _Scheduled:
    """When the prior is heard, its random numbers, and the time it takes.

    Attributes:
        seconds: spent making pictures or scores, over all resumptions.
    """

    def __init__(self, config: PriorConfig, iterations: int, coverage: Coverage, seed: int) -> None:
        self.config, self.iterations, self.coverage = config, iterations, coverage
        self.generator = torch.Generator().manual_seed(seed)
        self.begin = config.begin(iterations)
        self.seconds = 0.0

    def active(self, iteration: int) -> bool:
        """Whether the step takes part: `share` of them, evenly, from the start on."""
        done = iteration - self.begin
        return done >= 0 and int((done + 1) * self.config.share) > int(done * self.config.share)

    def progress(self, iteration: int) -> float:
        """Share of the steps with the prior that are done."""
        return (iteration - self.begin) / max(1, self.iterations - self.begin)

    def state(self) -> dict[str, Tensor]:
        """Everything needed to continue bit-exact, and the time spent."""
        seconds = torch.tensor(self.seconds, dtype=torch.float64)
        return {"prior.generator": self.generator.get_state(), "prior.seconds": seconds}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of `state`."""
        self.generator.set_state(state["prior.generator"].cpu())
        self.seconds = float(state["prior.seconds"])


class PseudoSupervision(_Scheduled):
    """Fixed pictures of a bank, refreshed on a schedule.

    Args:
        source: makes them.
        config: settings.
        iterations: steps of the whole fit.
        coverage: what the frames saw.
        seed: of everything random.
    """

    def __init__(self, source: ViewSource, config: PriorConfig, iterations: int, coverage: Coverage, seed: int) -> None:
        super().__init__(config, iterations, coverage, seed)
        self.source, self.bank = source, ViewBank(config.capacity)
        self.made = self.due = 0

    def loss(self, fit: Fit) -> tuple[Tensor, list[Rendered]]:
        """Mean image loss on some views of the bank, over what the frames did not see; the bank is refreshed first
        when that is due."""
        self._refresh(fit)
        white, total, seen = torch.ones(3, device=fit.device), torch.zeros((), device=fit.device), []
        views = self.bank.draw(self.config.views, self.generator)
        for view in views:
            assert view.vertices is not None
            rendered = fit.render(view.vertices.to(fit.device), view.camera.to(fit.device), white)
            target, mask = (x.to(fit.device).float() / 255 for x in (view.image, view.weight))
            # a mask averages over what it leaves: its mean brings the few pixels of a small one back to their size
            total = total + mask.mean() * image_loss(rendered.image[None], target[None], mask=mask[None])
            seen.append(rendered)
        return self.config.weight * total / max(1, len(views)), seen

    def state(self) -> dict[str, Tensor]:
        """See `Supervision.state`."""
        return super().state() | self.bank.state() | {"prior.plan": torch.tensor([self.made, self.due])}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """See `Supervision.load`."""
        super().load(state)
        self.bank.load(state)
        self.made, self.due = state["prior.plan"].tolist()

    def _refresh(self, fit: Fit) -> None:
        if fit.iteration < self.due:
            return
        began = time.perf_counter()
        avatar, progress = fit.avatar(), self.progress(fit.iteration)
        for _ in range(1 if len(self.bank) else self.config.first_groups):
            reach = min(1.0, self.made / max(1, self.config.widened))
            shots = self.source.group(avatar, progress, reach, self.generator)
            self.made += 1
            self.bank.add(weighed(shot, avatar, self.coverage) for shot in shots)
        self.due = fit.iteration + self.config.every
        self.seconds += time.perf_counter() - began


class ScoreSupervision(_Scheduled):
    """Score distillation (Poole et al. 2022): each step noises fresh renders once and follows the predicted noise. The
    alternative GAF rejects, for the ablation.

    Args:
        views: chooses frames and cameras.
        prior: the network.
        config, iterations, coverage, seed: as for `PseudoSupervision`.
    """

    def __init__(
        self, views: ImaginedViews, prior: DiffusionViews, config: PriorConfig, iterations: int, coverage: Coverage,
        seed: int,
    ) -> None:  # fmt: skip
        super().__init__(config, iterations, coverage, seed)
        self.views, self.prior = views, prior

    def loss(self, fit: Fit) -> tuple[Tensor, list[Rendered]]:
        """Distillation loss of one group of renders; what the frames saw of them gets no gradient."""
        began = time.perf_counter()
        avatar, progress = fit.avatar(), self.progress(fit.iteration)
        scene = self.views.scene(avatar, 1.0, self.generator)
        side, white = self.prior.model.image_size, torch.ones(3, device=fit.device)
        seen, renders = [], []
        for camera in (c.resized(side, side) for c in scene.cameras):
            rendered = fit.render(scene.vertices.to(fit.device), camera.to(fit.device), white)
            free = weight_image(avatar, scene.vertices, camera, self.coverage).to(fit.device)[..., None]
            renders.append(rendered.image * free + rendered.image.detach() * (1 - free))
            seen.append(rendered)
        strength = self.views.strength(progress, self.generator)
        loss = self.prior.score(scene, torch.stack(renders), strength, self.generator)
        self.seconds += time.perf_counter() - began
        return self.config.weight * loss.to(fit.device), seen


def weighed(shot: Shot, avatar: Avatar, coverage: Coverage) -> PseudoView:
    """A picture with its weight, for the bank."""
    weight = weight_image(avatar, shot.vertices, shot.camera, coverage)
    image, weight = ((255 * x.detach().cpu()).round().clamp(0, 255).to(torch.uint8) for x in (shot.image, weight))
    return PseudoView(shot.camera, image, weight, shot.vertices.detach().cpu())
