"""The refiner: what the tokens of the last scale leave out, sampled token by token by a small diffusion model.

MAR's diffusion loss (Li et al. 2024, arXiv 2406.11838) on iDDPM (Nichol and Dhariwal 2021, arXiv 2102.09672): cosine
schedule of 1000 steps, prediction of the noise, a learned variance between the two bounds; sampled in fewer steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import layer_norm

TRAINING_STEPS = 1000
SINUSOIDS = 256
EPSILON = 1e-6
LARGEST_BETA = 0.999
OFFSET = 0.008
"""Of the cosine schedule, so that its first steps are not too small."""
PERIOD = 10000.0
FIRST_TIME = 0.02
"""Deviation of the weights of an untrained time embedding."""
BIN = 1 / 255
"""Half the width of the bins that the likelihood of a clean residual is taken over."""

Draw = Callable[[tuple[int, ...]], Tensor]
"""Gives standard normal noise of a shape."""


class TimeEmbedding(nn.Module):
    """Steps as vectors: cosines and sines, then two layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(SINUSOIDS, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, timesteps: Int[Tensor, "N"]) -> Float[Tensor, "N W"]:
        """Of the 1000-step process."""
        out: Tensor = self.mlp(sinusoids(timesteps))
        return out


def sinusoids(timesteps: Int[Tensor, "N"]) -> Float[Tensor, "N 256"]:
    """Cosines, then sines, of falling frequencies."""
    half = SINUSOIDS // 2
    rates = PERIOD ** (-torch.arange(half, dtype=torch.float64, device=timesteps.device) / half)
    angles = timesteps.double()[:, None] * rates
    return torch.cat([angles.cos(), angles.sin()], 1).float()


class ResidualLayer(nn.Module):
    """Two layers, modulated by step and condition."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_ln = nn.LayerNorm(width, eps=EPSILON)
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 3 * width))

    def forward(self, x: Float[Tensor, "N W"], told: Float[Tensor, "N W"]) -> Float[Tensor, "N W"]:
        """`told`: step and condition, embedded."""
        shift, scale, gate = self.adaLN_modulation(told).chunk(3, -1)
        return x + gate * self.mlp(self.in_ln(x) * (1 + scale) + shift)


class FinalLayer(nn.Module):
    """To noise and variance, modulated by step and condition."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, out)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))

    def forward(self, x: Float[Tensor, "N W"], told: Float[Tensor, "N W"]) -> Float[Tensor, "N C"]:
        """`told`: step and condition, embedded."""
        shift, scale = self.adaLN_modulation(told).chunk(2, -1)
        out: Tensor = self.linear(layer_norm(x, x.shape[-1:], eps=EPSILON) * (1 + scale) + shift)
        return out


class Denoiser(nn.Module):
    """The network; names of weights are the published ones.

    Args:
        z: channels of residuals.
        condition: width of conditions.
        width: of its layers.
        depth: residual layers.
    """

    def __init__(self, z: int, condition: int, width: int, depth: int) -> None:
        super().__init__()
        self.time_embed = TimeEmbedding(width)
        self.cond_embed = nn.Linear(condition, width)
        self.input_proj = nn.Linear(z, width)
        self.res_blocks = nn.ModuleList(ResidualLayer(width) for _ in range(depth))
        self.final_layer = FinalLayer(width, 2 * z)

    def forward(
        self, x: Float[Tensor, "N z"], timesteps: Int[Tensor, "N"], condition: Float[Tensor, "N D"]
    ) -> tuple[Float[Tensor, "N z"], Float[Tensor, "N z"]]:
        """Noise, and where the variance lies between its bounds: -1 the lower, 1 the upper."""
        told = self.time_embed(timesteps) + self.cond_embed(condition)
        h = self.input_proj(x)
        for block in self.res_blocks:
            h = block(h, told)
        noise, spread = self.final_layer(h, told).chunk(2, -1)
        return noise, spread


@dataclass(frozen=True)
class Process:
    """A diffusion process and its posteriors, tables in float64 by step.

    Attributes:
        timesteps: of the 1000-step process, ascending.
        betas: added per step, as a share.
        alphas_cumprod: what is left of the signal's power.
    """

    timesteps: Int[Tensor, "S"]
    betas: Float[Tensor, "S"]
    alphas_cumprod: Float[Tensor, "S"]

    @classmethod
    def of(cls, steps: int) -> Process:
        """The process of 1000 steps, or one of fewer that passes through the same noise levels, evenly spread."""
        at = torch.arange(TRAINING_STEPS + 1, dtype=torch.float64) / TRAINING_STEPS
        power = torch.cos((at + OFFSET) / (1 + OFFSET) * math.pi / 2).square()
        betas = (1 - power[1:] / power[:-1]).clamp_max(LARGEST_BETA)
        every = (1 - betas).cumprod(0)
        spread = torch.arange(steps, dtype=torch.float64) * (TRAINING_STEPS - 1) / max(steps - 1, 1)
        timesteps = spread.round().long()
        left = every[timesteps]
        before = torch.cat([left.new_ones(1), left[:-1]])
        return cls(timesteps, 1 - left / before, left)

    @property
    def before(self) -> Float[Tensor, "S"]:
        """`alphas_cumprod` of the step before."""
        return torch.cat([self.alphas_cumprod.new_ones(1), self.alphas_cumprod[:-1]])

    @property
    def posterior_variance(self) -> Float[Tensor, "S"]:
        """Of the step before, given this one and what is clean."""
        return self.betas * (1 - self.before) / (1 - self.alphas_cumprod)

    @property
    def posterior_log_variance(self) -> Float[Tensor, "S"]:
        """Its logarithm; the first step has none, and takes that of the second."""
        variance = self.posterior_variance
        return torch.cat([variance[1:2], variance[1:]]).log()

    @property
    def clean_weights(self) -> tuple[Float[Tensor, "S"], Float[Tensor, "S"]]:
        """Of the noisy value and of the noise: clean = a noisy - b noise."""
        return (1 / self.alphas_cumprod).sqrt(), (1 / self.alphas_cumprod - 1).sqrt()

    @property
    def mean_weights(self) -> tuple[Float[Tensor, "S"], Float[Tensor, "S"]]:
        """Of the clean and of the noisy value in the mean of the step before."""
        rest = 1 - self.alphas_cumprod
        return self.betas * self.before.sqrt() / rest, (1 - self.before) * (1 - self.betas).sqrt() / rest


@dataclass(frozen=True)
class Step:
    """One step of sampling: where the value of the step before lies.

    Attributes:
        noise, spread: as the network predicts them.
        clean: estimate, in [-1, 1] when sampling.
        mean, log_variance: of the step before.
    """

    noise: Float[Tensor, "N z"]
    spread: Float[Tensor, "N z"]
    clean: Float[Tensor, "N z"]
    mean: Float[Tensor, "N z"]
    log_variance: Float[Tensor, "N z"]


class Refiner(nn.Module):
    """Samples residuals of tokens.

    Args:
        z: channels of residuals.
        condition: width of conditions.
        sizes: `width` and `depth` of the network, `steps` of sampling, `scale` of residuals.
    """

    def __init__(self, z: int, condition: int, sizes: dict[str, Any]) -> None:
        super().__init__()
        self.z, self.scale = z, float(sizes["scale"])
        self.net = Denoiser(z, condition, int(sizes["width"]), int(sizes["depth"]))
        self.training_process, self.sampling_process = Process.of(TRAINING_STEPS), Process.of(int(sizes["steps"]))

    def sample(self, condition: Float[Tensor, "*batch D"], draw: Draw | None = None) -> Float[Tensor, "*batch z"]:
        """Residuals of tokens.

        Args:
            condition: see `FixerTransformer.refiner_condition`.
            draw: of noise, once to start with and once for each step; the mean at every step when None.
        """
        *_, (_, residuals) = self.steps(condition.flatten(0, -2), draw)
        return self.scale * residuals.unflatten(0, condition.shape[:-1])

    def steps(self, condition: Float[Tensor, "N D"], draw: Draw | None) -> Iterator[tuple[Step, Float[Tensor, "N z"]]]:
        """Each step of sampling with the value it ends with, from pure noise to a residual over `scale`."""
        shape = (len(condition), self.z)
        x = condition.new_zeros(shape) if draw is None else draw(shape).to(condition)
        for at in reversed(range(len(self.sampling_process.timesteps))):
            where = torch.full((len(condition),), at, device=condition.device)
            step = self.step(x, condition, where, self.sampling_process, clip=True)
            x = step.mean
            noise = None if draw is None else draw(shape).to(x)
            if noise is not None and at > 0:
                x = x + (0.5 * step.log_variance).exp() * noise
            yield step, x

    def step(
        self, x: Float[Tensor, "N z"], condition: Float[Tensor, "N D"], at: Int[Tensor, "N"], process: Process,
        clip: bool,
    ) -> Step:  # fmt: skip
        """What the network makes of noisy values at steps `at` of a process; `clip` the clean estimate to [-1, 1]."""
        noise, spread = self.net(x, process.timesteps.to(at.device)[at], condition)
        return self._step(x, noise, spread, at, process, clip)

    def _step(self, x: Tensor, noise: Tensor, spread: Tensor, at: Tensor, process: Process, clip: bool) -> Step:
        of_noisy, of_noise = (_of(table, at) for table in process.clean_weights)
        clean = of_noisy * x - of_noise * noise
        clean = clean.clamp(-1, 1) if clip else clean
        of_clean, of_x = (_of(table, at) for table in process.mean_weights)
        low, high = _of(process.posterior_log_variance, at), _of(process.betas.log(), at)
        share = (spread + 1) / 2
        return Step(noise, spread, clean, of_clean * clean + of_x * x, share * high + (1 - share) * low)

    def losses(
        self, residuals: Float[Tensor, "N z"], condition: Float[Tensor, "N D"], timesteps: Int[Tensor, "N"],
        noise: Float[Tensor, "N z"],
    ) -> tuple[Float[Tensor, "N"], Float[Tensor, "N"]]:  # fmt: skip
        """Of tokens: squared error of the noise, and the variational bound in bits, which teaches the variance alone.

        Args:
            residuals: what the tokens leave out.
            condition: see `sample`.
            timesteps: of the 1000-step process.
            noise: standard normal.
        """
        process, clean = self.training_process, residuals / self.scale
        left = _of(process.alphas_cumprod, timesteps)
        x = left.sqrt() * clean + (1 - left).sqrt() * noise
        predicted, spread = self.net(x, timesteps, condition)
        found = self._step(x, predicted.detach(), spread, timesteps, process, clip=False)
        of_clean, of_x = (_of(table, timesteps) for table in process.mean_weights)
        truth, low = of_clean * clean + of_x * x, _of(process.posterior_log_variance, timesteps)
        bound = _divergence(truth, low, found.mean, found.log_variance)
        likely = _log_likelihood(clean, found.mean, 0.5 * found.log_variance)
        bits = torch.where((timesteps == 0)[:, None], -likely, bound) / math.log(2)
        return (noise - predicted).square().mean(1), bits.mean(1)

    @torch.no_grad()
    def initialise(self) -> None:
        """Random weights to train from: its layers change nothing at first, and it predicts no noise."""
        for module in self.net.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        parts: Any = self.net
        for linear in (parts.time_embed.mlp[0], parts.time_embed.mlp[2]):
            nn.init.normal_(linear.weight, std=FIRST_TIME)
        still = [block.adaLN_modulation[1] for block in parts.res_blocks]
        for linear in (*still, parts.final_layer.adaLN_modulation[1], parts.final_layer.linear):
            nn.init.zeros_(linear.weight)


def _of(table: Float[Tensor, "S"], at: Int[Tensor, "N"]) -> Float[Tensor, "N 1"]:
    """Entries of a float64 table, in float32."""
    return table.to(at.device)[at].float()[:, None]


def _divergence(mean: Tensor, log_variance: Tensor, mean2: Tensor, log_variance2: Tensor) -> Tensor:
    """Of a normal distribution from a second one, in nats."""
    gap = (mean - mean2).square() * (-log_variance2).exp()
    return 0.5 * (log_variance2 - log_variance - 1 + (log_variance - log_variance2).exp() + gap)


def _log_likelihood(x: Tensor, mean: Tensor, log_deviation: Tensor) -> Tensor:
    """Of values under a normal distribution, over bins; those at the ends of [-1, 1] are open."""
    centred, inverse = x - mean, (-log_deviation).exp()
    above = _cumulative(inverse * (centred + BIN)).clamp_min(1e-12)
    below = 1 - _cumulative(inverse * (centred - BIN))
    within = above - _cumulative(inverse * (centred - BIN))
    inner = within.clamp_min(1e-12).log()
    return torch.where(x < -0.999, above.log(), torch.where(x > 0.999, below.clamp_min(1e-12).log(), inner))


def _cumulative(x: Tensor) -> Tensor:
    """Of the standard normal distribution, as iDDPM approximates it."""
    return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
