"""The rounds inside the fit: choose cameras, render, fix, judge, add; and take back what made photos' views worse."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.gaussians import Gaussians
from unseen.fit.bank import PseudoView, ViewBank
from unseen.fit.metrics import psnr
from unseen.fit.targets import over
from unseen.fit.trainer import Pictures, SceneTrainer
from unseen.jobs.fit.evaluation import render_view
from unseen.jobs.progress import Reporter
from unseen.jobs.repair.cameras import open_cameras, path_cameras
from unseen.jobs.repair.config import RepairConfig
from unseen.jobs.repair.mending import Mended, Workshop
from unseen.priors.fixer.fixing import Fixer

JUDGES = 16
"""Photos, evenly chosen, by which a round is judged."""
MOST_LAG_DB = 0.5
"""By how much more a round may leave the photos behind the plain fit, which has nothing else to show."""
_BEFORE, _PLAN = "rounds.before.", "rounds.plan"


def held_in(trainer: SceneTrainer, pictures: Pictures, fitted: Sequence[int]) -> float:
    """Mean PSNR of some fitted photos, as a fit shows them now."""
    chosen = np.unique(np.linspace(0, len(fitted) - 1, min(JUDGES, len(fitted))).round().astype(int))
    splats, values = trainer.gaussians(), []
    for i in (fitted[k] for k in chosen):
        picture = pictures[i]
        mask = None if picture.mask is None else torch.from_numpy(picture.mask) / 255
        render = render_view(splats, picture, trainer.config.antialiased)
        values.append(float(psnr(render, over(picture.image, picture.alpha, torch.zeros(3)), mask)))
    return float(np.nanmean(values))


class Rounds:
    """Fixed views as `OtherViews` of a `SceneTrainer`.

    A round that ends with the fitted photos shown worse than when it began, or left behind by the plain fit of the same
    steps, is taken back: the trainer is put to where the round began, without its views, and goes on from there.

    Args:
        fixer: repairs renders.
        config: settings.
        pictures, fitted: decoded photos, and which of them may be looked at.
        plain: by steps done, `held_in` of the plain fit where a round begins or ends.
        path: cameras to go toward, in the world of the fit; None to go where the photos leave most open.
        reporter: told of progress.

    Attributes:
        reports: of each round, what was made of it.
    """

    def __init__(
        self, fixer: Fixer, config: RepairConfig, pictures: Pictures, fitted: Sequence[int],
        plain: Mapping[int, float], path: Sequence[Camera] | None, reporter: Reporter,
    ) -> None:  # fmt: skip
        self.plain = plain
        self.fixer, self.config, self.pictures, self.fitted = fixer, config, pictures, list(fitted)
        self.path, self.reporter = path, reporter
        self.bank = ViewBank(config.capacity)
        self.reports: list[dict[str, Any]] = []
        self._before: dict[str, Tensor] | None = None

    def views(self, trainer: SceneTrainer) -> Sequence[PseudoView]:
        """See `OtherViews.views`."""
        begins, made = self.config.begins(trainer.config.steps), len(self.reports)
        if trainer.iteration in begins[made : made + 1] and not self.settle(trainer):
            self._begin(trainer, (len(self.reports) + 1) / len(begins))
        if not len(self.bank) or not self._active(trainer.iteration - begins[0]):
            return []
        return self.bank.draw(1, _generator(trainer, 1))

    def settle(self, trainer: SceneTrainer) -> bool:
        """Judge the round that ends; whether it was taken back, and the trainer with it."""
        if self._before is None:
            return False
        before, self._before, report = self._before, None, self.reports[-1]
        report["held_in_after"] = held_in(trainer, self.pictures, self.fitted)
        report["held_in_plain"] = self.plain[trainer.iteration]
        lag_before = self.plain[report["step"]] - report["held_in_before"]
        lag = report["held_in_plain"] - report["held_in_after"]
        report["taken_back"] = report["held_in_after"] < report["held_in_before"] or lag > lag_before + MOST_LAG_DB
        if report["taken_back"]:
            self.bank.load(before)
            trainer.restore(before, report["step"])
            self.reporter.note(
                f"round {len(self.reports)} is taken back: photos went from {report['held_in_before']:.2f} to "
                f"{report['held_in_after']:.2f} dB, in the plain fit to {report['held_in_plain']:.2f} dB"
            )
        return bool(report["taken_back"])

    def state(self) -> dict[str, Tensor]:
        """See `OtherViews.state`."""
        before = {} if self._before is None else {_BEFORE + name: tensor for name, tensor in self._before.items()}
        plan = torch.frombuffer(bytearray(json.dumps(self.reports).encode()), dtype=torch.uint8)
        return self.bank.state() | before | {_PLAN: plan}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """See `OtherViews.load`; a state from before the first round has nothing of it."""
        self.bank.load(state)
        before = {name.removeprefix(_BEFORE): tensor for name, tensor in state.items() if name.startswith(_BEFORE)}
        self._before = before or None
        self.reports = json.loads(bytes(state[_PLAN].tolist())) if _PLAN in state else []

    def _active(self, done: int) -> bool:
        """Whether a step takes part: `share` of them, evenly."""
        return int((done + 1) * self.config.share) > int(done * self.config.share)

    def _begin(self, trainer: SceneTrainer, reach: float) -> None:
        """Make the views of a round."""
        began, aliased = time.perf_counter(), trainer.config.antialiased
        splats = trainer.splats.gaussians()
        shop = Workshop(self.fixer, splats, self.pictures, self.fitted, self.config.references, aliased)
        cameras = self._cameras(trainer, splats, shop, reach)
        name = f"fixing views, round {len(self.reports) + 1}"
        mended = shop.mend(cameras, seed=trainer.seed * 1_000_003 + trainer.iteration)
        self.reporter.stage(name, len(mended), max(1, len(cameras)))
        kept = [_target(one, self.config.weight) for one in mended if not one.verdict.reason]
        if kept:
            clones = {k: v.detach().clone() for k, v in trainer.state().items()}
            self._before = clones | self.bank.state()
        self.bank.add(kept)
        self.reports.append(
            {"step": trainer.iteration, "reach": reach, "seconds": time.perf_counter() - began, "kept": len(kept)}
            | _figures(mended)
            | ({"held_in_before": held_in(trainer, self.pictures, self.fitted)} if kept else {})
        )  # fmt: skip

    def _cameras(self, trainer: SceneTrainer, splats: Gaussians, shop: Workshop, reach: float) -> list[Camera]:
        """Where to look in a round."""
        if self.path is not None:
            return path_cameras(self.path, shop.witnesses, reach, self.config.views)
        return open_cameras(
            splats, shop.witnesses, reach, math.radians(self.config.angle_deg), self.config.views,
            _generator(trainer, 2), trainer.config.antialiased,
        )  # fmt: skip


def _target(one: Mended, weight: float) -> PseudoView:
    """A fixed view for the bank."""
    image, mask = ((255 * x).round().clamp(0, 255).to(torch.uint8) for x in (one.fixed, weight * one.verdict.weight))
    return PseudoView(one.camera, image, mask)


def _figures(mended: Sequence[Mended]) -> dict[str, Any]:
    """What a round's views came to."""
    rejected = Counter(one.verdict.reason for one in mended if one.verdict.reason)
    means = {
        name: float(np.mean([value(one.verdict) for one in mended])) if mended else None
        for name, value in (
            ("weight", lambda v: float(v.weight.mean())),
            ("error_before", lambda v: v.error_before),
            ("error_after", lambda v: v.error_after),
        )
    }
    return {"made": len(mended), "rejected": dict(rejected)} | means


def _generator(trainer: SceneTrainer, purpose: int) -> torch.Generator:
    """Random numbers that follow from the seed and the step alone."""
    return torch.Generator().manual_seed((trainer.seed * 1_000_003 + trainer.iteration) * 4 + purpose)
