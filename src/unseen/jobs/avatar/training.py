"""The training loop: one frame per step, splats and motion together, checkpoints that continue bit-exact."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.errors import InputError
from unseen.core.gaussians import Gaussians
from unseen.core.sh import sh0_to_rgb
from unseen.fit.losses import image_loss
from unseen.fit.splats import SplatOptimizer
from unseen.fit.strategies.bound import densify
from unseen.fit.targets import over
from unseen.head.avatar import Avatar
from unseen.head.binding import BoundSplats, face_frames
from unseen.head.model import HeadModel
from unseen.head.tracking import Observations, Track
from unseen.io.tensors import load_tensors, save_tensors
from unseen.jobs.avatar.config import AvatarConfig
from unseen.jobs.avatar.coverage import Coverage
from unseen.jobs.avatar.motion import MotionTuner
from unseen.jobs.avatar.supervision import Rendered, Supervision
from unseen.jobs.preview import small
from unseen.render import rasterization

CHECKPOINT_KIND, CHECKPOINT_VERSION = "unseen-avatar-checkpoint", 2


class AvatarTrainer:
    """Fits splats bound to a tracked head to the video's frames.

    Args:
        model: the head model of the track.
        track: poses, expressions and camera.
        observations: images and mattes.
        fitted: the frames that may be looked at, int [T'].
        start: splats in local space, one per triangle.
        config: settings.
        seed: of frame order, backgrounds and split samples.
        device: where to compute; random numbers and the motion's corrections stay on the CPU.
        coverage: what the fitted frames saw, when it is known already.
        prior: shows what they did not; None leaves it as it began.
    """

    def __init__(
        self, model: HeadModel, track: Track, observations: Observations, fitted: np.ndarray, start: Gaussians,
        config: AvatarConfig, seed: int, device: torch.device, coverage: Coverage | None = None,
        prior: Supervision | None = None,
    ) -> None:  # fmt: skip
        self.model, self.track, self.observations, self.config = model.to(device), track, observations, config
        self.camera = track.camera.to(device)
        self.fitted, self.seed, self.device = fitted, seed, device
        self.splats = SplatOptimizer(
            start.to(device), self._rates(), {"binding": torch.arange(model.num_faces, device=device)}
        )
        self.motion = MotionTuner(track.params, config.motion, fitted)
        self.generator = torch.Generator().manual_seed(seed)
        self.order = torch.zeros(0, dtype=torch.long)
        self.iteration = 0
        rest = model.vertices(track.params[0].map(torch.zeros_like)).detach()[0]
        above = rest[model.regions["face"]] if "face" in model.regions else rest
        self.extent = float((above - above.mean(0)).norm(dim=-1).max())
        self.face_size = face_frames(rest, model.faces).size.to(device)
        self.coverage, self.prior = coverage or Coverage.of(model, track, observations, fitted), prior
        self.trust = {name: t.to(device) for name, t in self.coverage.trust().items()}
        self.open = {name: t.to(device) for name, t in self.coverage.left_open().items()}
        self._rebind()

    @property
    def done(self) -> bool:
        """Whether all iterations have run."""
        return self.iteration >= self.config.iterations

    def step(self) -> float:
        """One iteration; returns the loss."""
        t = self._next_frame()
        background = torch.rand(3, generator=self.generator).to(self.device)
        delta = self.motion.delta[t].clone().requires_grad_(self.iteration >= self.config.motion_start)
        vertices = self.model.vertices(self.motion.frame(t, delta).to(self.device))[0]
        seen = self.render(vertices, self.camera, background)
        loss = image_loss(seen.image[None], self._target(t, background)[None], self.config.ssim_weight)
        loss = loss + self._regularisers(seen.visible)
        loss.backward()
        factors = self._per_splat(self.trust)
        heeded = self.prior is not None and self.prior.active(self.iteration)
        if heeded:  # what no frame saw at first may move into a frame's view: there the frame decides
            factors = {name: torch.ones_like(share) for name, share in factors.items()}
        self._note(seen, factors["means"] if heeded else None)
        if delta.grad is not None:
            self.motion.step(t, delta.grad, 0.1 ** (self.iteration / self.config.iterations))
        if self.prior is not None and heeded:
            loss = loss.detach() + self._heed(self.prior, factors)
        self._update(factors)
        return loss.item()

    def render(self, vertices: Float[Tensor, "V 3"], camera: Camera, background: Float[Tensor, "3"]) -> Rendered:
        """The splats on posed vertices, differentiably."""
        local = self.splats.tensors
        means, quats, scales = self.bound.pose(local["means"], local["quats"], local["log_scales"], vertices)
        render, _, info = rasterization(
            means, quats, scales, local["logit_opacities"].sigmoid(), sh0_to_rgb(local["sh"][:, 0]).clamp_min(0),
            camera.world_to_camera[None], camera.K[None], camera.width, camera.height, backgrounds=background[None],
        )  # fmt: skip
        info["means2d"].retain_grad()
        return Rendered(render[0], info["means2d"], (info["radii"][0] > 0).all(-1), camera)

    def picture(self) -> Float[Tensor, "H W 3"]:
        """The first fitted frame as it is shown now, on white, small."""
        t = int(self.fitted[0])
        vertices = self.model.vertices(self.motion.frame(t, self.motion.delta[t]).to(self.device))[0]
        shown = self.render(vertices, small(self.camera), torch.ones(3, device=self.device))
        return shown.image.detach().cpu().clamp(0, 1)

    def _heed(self, prior: Supervision, factors: dict[str, Tensor]) -> Tensor:
        """Add what the prior finds wrong to the gradients. Those of the frame count as far as frames may change a splat
        (`factors`, set to their sum here), the prior's as far as the frames leave it open."""
        tensors = self.splats.tensors
        seen = {name: tensors[name].grad for name in factors}
        for name in factors:
            tensors[name].grad = None
        loss, views = prior.loss(self)
        shares = self._per_splat(self.open)
        visible = torch.stack([view.visible for view in views]).any(0)
        loss = loss + self._regularisers(visible * shares["sh"])
        loss.backward()
        for view in views:
            self._note(view, shares["sh"])
        for name, free in shares.items():
            rows = (-1, *[1] * (tensors[name].ndim - 1))
            guess, evidence = tensors[name].grad, seen[name]
            tensors[name].grad = factors[name].view(rows) * evidence + free.view(rows) * guess
            factors[name] = (factors[name] + free).clamp_max(1)
        factors["means"] = factors["means"] * (1 + (self.config.prior.speed - 1) * shares["sh"])
        return loss.detach()

    def _per_splat(self, per_face: dict[str, Tensor]) -> dict[str, Tensor]:
        binding = self.splats.attached["binding"]
        return {name: share[binding] for name, share in per_face.items()}

    def _note(self, view: Rendered, share: Float[Tensor, "N"] | None = None) -> None:
        """Remember a view's screen-space gradients for densification; with `share`, only as far as the view may change
        a splat: means over views that must not change it would keep what only a prior sees from being refined."""
        assert view.means2d.grad is not None
        grad, counts = view.means2d.grad[0], view.visible
        if share is not None:
            grad = share[:, None] * grad
            counts = counts & (grad != 0).any(-1)
        self.splats.accumulate(grad, counts, view.camera.width, view.camera.height)

    def _regularisers(self, visible: Tensor) -> Tensor:
        """GaussianAvatars' penalties on splats far from, or larger than, their triangle (mean over visible ones, which
        may carry a weight)."""
        config, local = self.config, self.splats.tensors
        count = visible.sum().clamp_min(1)
        far = (local["means"].square().sum(-1) + 1e-12).sqrt().sub(config.position_free).clamp_min(0)
        large = (local["log_scales"].exp() - config.scale_free).clamp_min(0).square().sum(-1).add(1e-12).sqrt()
        return ((config.position_weight * far + config.scale_weight * large) * visible).sum() / count

    def _update(self, factors: dict[str, Tensor]) -> None:
        progress = self.iteration / self.config.iterations
        fall = {"means": 0.01**progress, "sh": 0.3**progress, "log_scales": 0.3**progress}
        self.splats.step(fall, factors)
        self.iteration += 1
        plan, last = self.config.densify, self.config.iterations - 1
        if self.iteration % plan.every == 0 and plan.start <= self.iteration <= min(plan.stop, last):
            densify(self.splats, self.face_size, self.extent, plan, self.generator)
            self._rebind()

    def avatar(self) -> Avatar:
        """The avatar as fitted so far, with the corrected motion of all frames."""
        track, local = self.track, self.splats.gaussians().to("cpu")
        return Avatar(
            self.model.to("cpu"),
            local,
            self.splats.attached["binding"].cpu(),
            self.motion.tuned(),
            track.camera,
            track.fps,
        )

    def save(self, path: Path) -> None:
        """Write a checkpoint atomically.

        Raises:
            ResourceError: the machine refuses the write.
        """
        tensors = self.splats.state() | self.motion.state()
        tensors |= {"generator": self.generator.get_state(), "order": self.order}
        if self.prior is not None:
            tensors |= self.prior.state()
        info = {"iteration": self.iteration, "seed": self.seed, "fitted": self.fitted.tolist()}
        save_tensors(path, CHECKPOINT_KIND, CHECKPOINT_VERSION, tensors, info)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint of the same run.

        Raises:
            InputError: the checkpoint belongs to another run (seed or frames).
        """
        state, info = load_tensors(path, CHECKPOINT_KIND, CHECKPOINT_VERSION)
        if info["seed"] != self.seed or info["fitted"] != self.fitted.tolist():
            raise InputError(f"{path} belongs to a run with another seed or other frames: remove it to start anew")
        self.splats = SplatOptimizer.restore({k: t.to(self.device) for k, t in state.items()}, self._rates())
        self.motion.load(state)
        self.generator.set_state(state["generator"])
        if self.prior is not None:
            self.prior.load(state)
        self.order, self.iteration = state["order"], info["iteration"]
        self._rebind()

    def _next_frame(self) -> int:
        if not len(self.order):
            shuffled = torch.randperm(len(self.fitted), generator=self.generator)
            self.order = torch.from_numpy(self.fitted).long()[shuffled]
        t, self.order = int(self.order[0]), self.order[1:]
        return t

    def _target(self, t: int, background: Float[Tensor, "3"]) -> Float[Tensor, "H W 3"]:
        return over(self.observations.images[t], self.observations.alphas[t], background).to(self.device)

    def _rates(self) -> dict[str, float]:
        c = self.config
        rates = {"means": c.means_rate, "quats": c.quats_rate, "log_scales": c.scales_rate}
        return rates | {"logit_opacities": c.opacities_rate, "sh": c.sh0_rate}

    def _rebind(self) -> None:
        self.bound = BoundSplats(self.splats.attached["binding"], self.model.faces, self.model.num_vertices)
