"""Few steps by distillation: worlds made of noise in a few steps are drawn toward what the many-step model expects.

Distribution matching across modes (FlashWorld, section 3.2; DMD2, arXiv 2405.14867): the student makes worlds, the
frozen teacher judges their renders as views, a third network learns what the student makes, and the student follows
the difference of the two. Without the paper's discriminator. The truth, which is known here, says more than a small
teacher does: every step on the student's own way is drawn toward it, and the scores count where prompts alone are told.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Generator, Tensor
from torch.nn.functional import mse_loss

from unseen.priors.training.stage import Stage, StagePlan, common
from unseen.priors.world.cameras import normalized, ray_map
from unseen.priors.world.pipeline import WorldPipeline
from unseen.priors.world.sampling import Conditions, Feedback, Prediction, predict, renoise
from unseen.priors.world.training.batches import FilmedWorlds, Pick, Truth
from unseen.priors.world.training.losses import OTHERS, VIEWS_WEIGHT, chain, encoded, judged, random_levels

CONSISTENCY_WEIGHT = 0.1
"""Of the difference between the Gaussians' renders and the views as the student's own latents have them: lambda of
L_CMC, against floaters."""
MATCHING_WEIGHT = 0.1
"""Of the difference of the scores. At 1 a small teacher's worlds of prompts become grids of bars."""
PROMPTED = 0.2
"""Share of the steps that are of prompts alone."""
STEPS_WEIGHTS = (0.25, 0.15, 0.15, 0.45)
"""Of the steps of one way."""
HIGHEST = 0.98
"""Noise level at which the scores are asked: at 1 nothing of what was made is left."""


class DistillationLoss:
    """What the student minimises; where prompts alone are told, the fake score first learns what the student makes now.

    Args:
        model: the student; its transformer as it is becomes the teacher.
        worlds: with their latents.
        plan: of the fake score.
        updates: steps of the fake score for each of the student's that it judges.
        seed: of the fake score's noise.
    """

    def __init__(self, model: WorldPipeline, worlds: FilmedWorlds, plan: StagePlan, updates: int, seed: int) -> None:
        self.model, self.worlds, self.updates = model, worlds, updates
        self.teacher = copy.deepcopy(model.transformer).eval().requires_grad_(False)
        self.fake = copy.deepcopy(model.transformer)
        self._made: tuple[Tensor, Conditions] | None = None
        device = worlds.device
        self.companion = Stage("fake", {"fake": self.fake}, self._fake_loss, plan, seed, device)

    def __call__(self, count: int, generator: Generator) -> Tensor:
        prompted = bool(torch.rand(1, generator=common(generator)) < PROMPTED)  # on all processes, which teach together
        others = len(self.worlds.shots[0].images) - self.model.config.views if prompted else OTHERS
        picks = self.worlds.picks(count, others, generator, shown=0.0 if prompted else 1.0)
        return torch.stack([self._of(pick, generator) for pick in picks]).mean()

    def _of(self, pick: Pick, generator: Generator) -> Tensor:
        model = self.model
        conditions, clean = self.worlds.conditions([pick], model.text)
        truth = self.worlds.truth(pick)
        loss = clean.new_zeros(())
        steps = chain(model, conditions, truth, generator)
        for weight, (found, raw, renders) in zip(STEPS_WEIGHTS, steps, strict=True):
            loss = loss + weight * (VIEWS_WEIGHT * mse_loss(found.clean, clean) + judged(model, raw, renders, truth))
        if pick.picture is None:
            loss = loss + MATCHING_WEIGHT * self._matched(found, renders, truth, conditions, generator)
        return loss

    def _matched(
        self, found: Prediction, renders: Tensor, truth: Truth, conditions: Conditions, generator: Generator
    ) -> Tensor:
        """The last step's renders against the scores, at the cameras the world was made for or elsewhere."""
        elsewhere = bool(torch.rand(1, generator=generator) < 0.5)
        made = torch.arange(len(truth.distances))
        chosen, told = self._elsewhere(truth, conditions) if elsewhere else (made, conditions)
        told = replace(told, text=told.text.detach())
        latents = encoded(self.model, renders[chosen])
        self._teach(latents.detach(), told)
        loss = self._matching(latents, told, generator)
        return loss if elsewhere else loss + CONSISTENCY_WEIGHT * mse_loss(latents, found.clean)

    def _teach(self, made: Tensor, conditions: Conditions) -> None:
        """Have the fake score learn what the student has made."""
        self._made = made, conditions
        for _ in range(self.updates):
            self.companion.step()

    def _elsewhere(self, truth: Truth, conditions: Conditions) -> tuple[Tensor, Conditions]:
        """Which cameras to render at, the first and some between those the world was made for, and what the scores are
        told of them, in the cameras' own frame."""
        made = len(truth.distances)
        chosen = torch.cat([torch.tensor([0]), torch.arange(made, len(truth.cameras))[: made - 1]])
        own = normalized(truth.cameras[chosen])[0][None]
        image = torch.zeros_like(conditions.image)
        rays = ray_map(own, *image.shape[-2:]).transpose(1, 2)
        return chosen, Conditions(own, rays, image, conditions.text)

    def _fake_loss(self, count: int, generator: Generator) -> Tensor:
        """Flow matching of what the student has made."""
        assert self._made is not None
        clean, conditions = self._made
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        level = random_levels(1, generator).to(clean.device)
        nothing = Feedback.none(clean, self.model.config.features)
        found = predict(self.fake, renoise(clean, noise, level), level, conditions, nothing)
        return mse_loss(found.velocity, noise - clean)

    def _matching(self, renders: Tensor, conditions: Conditions, generator: Generator) -> Tensor:
        """Half the squared distance to where the difference of the scores points, so that its gradient is that."""
        with torch.no_grad():
            nothing = Feedback.none(renders, self.model.config.features)
            level = float(random_levels(1, generator).clamp(max=HIGHEST))
            noisy = renoise(renders, torch.randn(renders.shape, generator=generator).to(renders), level)
            real = predict(self.teacher, noisy, level, conditions, nothing).clean
            fake = predict(self.fake, noisy, level, conditions, nothing).clean
            size = (renders - real).abs().mean().clamp_min(1e-3)
            target = renders - (fake - real) / size
        return 0.5 * mse_loss(renders, target)
