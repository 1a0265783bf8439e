"""World models, put together: from a prompt, a picture and cameras to 3D Gaussians."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from unseen.core.camera import Camera
from unseen.core.errors import InputError, NonFiniteError, ShapeError
from unseen.core.gaussians import Gaussians
from unseen.io.atomic import PathLike
from unseen.priors.loading import INDEX
from unseen.priors.pipeline import KeptPipeline
from unseen.priors.world.cameras import Frame, WorldCameras, normalized, ray_map
from unseen.priors.world.config import WorldConfig
from unseen.priors.world.decoder import GaussianDecoder
from unseen.priors.world.sampling import (
    Conditions,
    Draw,
    Networks,
    OnStep,
    Views,
    composited,
    drawing,
    noise_levels,
    render_views,
    sample,
)
from unseen.priors.world.text import TextEncoder, random_text_encoder
from unseen.priors.world.transformer import WorldTransformer
from unseen.priors.world.vae import ImageCodec

KIND = "unseen-world"
TINY = Path(__file__).with_name("tiny")
COMPONENTS = ("text", "codec", "transformer", "decoder")


@dataclass(frozen=True)
class World:
    """What was made.

    Attributes:
        gaussians: in the caller's frame and scale.
        views: renders at the cameras asked for, [N, H, W, 3] in [0, 1].
        depths: along the cameras' axes, in the caller's units, [N, H, W].
        alphas: [N, H, W].
        seconds: taken by each network, and in all.
    """

    gaussians: Gaussians
    views: Float[Tensor, "N H W 3"]
    depths: Float[Tensor, "N H W"]
    alphas: Float[Tensor, "N H W"]
    seconds: dict[str, float]


class WorldPipeline(KeptPipeline):
    """FlashWorld's prior: 3D Gaussians of what a prompt or a picture tells, seen along a path of cameras.

    Args:
        config: what it is made of.
        text, codec, transformer, decoder: its networks.

    Attributes:
        device: where it computes; its inputs are brought there.
        render_batch: cameras rendered at a time, all when None.
        text_stays: the text encoder computes on the CPU wherever the others do.
    """

    kind = KIND
    config: WorldConfig

    def __init__(
        self, config: WorldConfig, text: TextEncoder, codec: ImageCodec, transformer: WorldTransformer,
        decoder: GaussianDecoder,
    ) -> None:  # fmt: skip
        self.config = config
        self.text, self.codec, self.transformer, self.decoder = text, codec, transformer, decoder
        self.render_batch: int | None = None
        self.text_stays = False

    @classmethod
    def random(cls, config: WorldConfig, pixels: bool = False) -> WorldPipeline:
        """With random weights: to train, and to measure speed.

        `pixels`: with the part of the autoencoder that makes pictures of latents, to train it.
        """
        return cls(
            config,
            random_text_encoder(config.text),
            ImageCodec(config.vae, pixels),
            WorldTransformer(config.transformer, config.features),
            GaussianDecoder(config.decoder, config.features, config.points, config.sh_degree),
        )

    @property
    def networks(self) -> Networks:
        """What the sampler works with."""
        return Networks(self.transformer, self.codec, self.decoder)

    def modules(self) -> dict[str, nn.Module]:
        """The networks by the names of their folders."""
        return {name: getattr(self, name) for name in COMPONENTS}

    def unused(self, part: str) -> tuple[str, ...]:
        """See `KeptPipeline.unused`: nothing makes pictures of latents but the Gaussians."""
        return _UNUSED.get(part, ())

    def travelling(self) -> dict[str, nn.Module]:
        """See `Pipeline.travelling`."""
        return {name: module for name, module in self.modules().items() if name != "text" or not self.text_stays}

    # ---- weights

    @classmethod
    def from_pretrained(
        cls, name: PathLike, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> WorldPipeline:
        """Load a model: "tiny", a folder that `save_pretrained` wrote, or FlashWorld as published: the id of its
        repository on the hub or a folder with its `model.ckpt`.

        Raises:
            InputError: no such model, or another kind of model.
            FormatError: a damaged file, or weights that do not fit, named.
        """
        if is_published(name):
            from unseen.priors.world.published import open_published

            return open_published(name, dtype).to(device)
        folder = _folder(name)
        model = cls.random(WorldConfig.of_folder(folder, KIND)).fill(folder)
        return model.to(device, None if dtype == torch.float32 else dtype)

    # ---- worlds

    @torch.no_grad()
    def generate(
        self, cameras: Sequence[Camera], *, prompt: str = "", image: Float[Tensor, "H W 3"] | None = None,
        image_index: int = 0, steps: int = 4, feedback: bool = True, generator: Generator,
        on_step: OnStep | None = None, known: Gaussians | None = None,
    ) -> World:  # fmt: skip
        """Make a world.

        Args:
            cameras: the path it is seen along, in any frame and scale; two or more of one size, whose sides are
                divisible by `config.multiple`.
            prompt: what is to be seen.
            image: what the camera `image_index` sees, of its size, in [0, 1].
            image_index: which camera sees the picture.
            steps: of denoising; the model is made for four.
            feedback: see `sample`.
            generator: of everything random; on any device.
            on_step: a watcher.
            known: Gaussians that are there already, in the caller's frame: where their renders cover the views between
                steps, they take the place of what is made.

        Raises:
            ShapeError: cameras or a picture of a size that does not fit.
            InputError: neither a prompt nor a picture, no such view, too few cameras.
            NonFiniteError: cameras that hold NaN or infinity.
        """
        self._check(cameras, prompt, image, image_index)
        width, height = cameras[0].width, cameras[0].height
        watch = _Stopwatch(self.modules(), self.device)
        with watch:
            path, frame = normalized(WorldCameras.of(cameras).values.to(self.device))
            draw = drawing(generator, self.device)
            conditions = self.conditions(path, (height, width), prompt, image, image_index, draw)
            there = None if known is None else self._rendered(frame.gaussians_to_network(known), path, width, height)

            def render(gaussians: Gaussians) -> Tensor:
                return composited(self._rendered(gaussians, path, width, height).images.clamp(0, 1), there)

            found = sample(
                self.networks, conditions, noise_levels(steps), draw, render, feedback=feedback, on_step=on_step
            )
            views = self._rendered(found, path, width, height)
        return World(
            _returned(frame, found), views.images.clamp(0, 1), views.depths * float(frame.scale), views.alphas,
            watch.seconds,
        )  # fmt: skip

    @torch.no_grad()
    def conditions(
        self, path: Float[Tensor, "N 11"], size: tuple[int, int], prompt: str, image: Tensor | None, image_index: int,
        draw: Draw,
    ) -> Conditions:  # fmt: skip
        """What a world is asked to be, as the networks take it.

        Args:
            path: cameras in the network's frame.
            size: height and width of the views.
            prompt, image, image_index: as in `generate`.
            draw: of the picture's latents.
        """
        height, width = (side // self.config.downsampling for side in size)
        latents = torch.zeros(1, self.config.latent_channels, len(path), height, width, device=self.device)
        if image is not None:
            noise = draw((1, self.config.latent_channels, height, width))
            latents[:, :, image_index] = self.codec.encode(image[None].to(self.device), noise)
        rays = ray_map(path, height, width).transpose(0, 1)[None]
        text = self.text.encode([prompt]).to(self.device)
        return Conditions(path[None], rays, latents, text)

    def _rendered(self, gaussians: Gaussians, path: Tensor, width: int, height: int) -> Views:
        return render_views(gaussians.to(self.device), path, width, height, self.render_batch)

    def _check(self, cameras: Sequence[Camera], prompt: str, image: Tensor | None, image_index: int) -> None:
        if len(cameras) < 2:
            raise InputError(f"a path of {len(cameras)} camera(s): expected at least 2")
        width, height, multiple = cameras[0].width, cameras[0].height, self.config.multiple
        if width % multiple or height % multiple:
            near = [max(multiple, round(side / multiple) * multiple) for side in (width, height)]
            raise ShapeError(
                f"views of {width} x {height} pixels: this model needs sides divisible by {multiple}, such as "
                f"{near[0]} x {near[1]}"
            )
        if not all(torch.isfinite(c.world_to_camera).all() and torch.isfinite(c.K).all() for c in cameras):
            raise NonFiniteError("a camera holds NaN or infinity: expected finite poses and intrinsics")
        if image is None and not prompt.strip():
            raise InputError("neither a prompt nor a picture says what the world is to be: give one of them")
        if image is not None:
            if tuple(image.shape) != (height, width, 3):
                raise ShapeError(f"the picture has shape {tuple(image.shape)}, expected {(height, width, 3)}")
            if not 0 <= image_index < len(cameras):
                raise InputError(f"the picture is of camera {image_index}, of {len(cameras)} counted from 0")


_UNUSED = {"codec": ("decoder.", "post_quant_conv.")}
"""Weights that worlds are not made with: they are needed in training alone."""


def _returned(frame: Frame, gaussians: Gaussians) -> Gaussians:
    return frame.to_caller(gaussians.to(frame.reference.device))


class _Stopwatch:
    """Seconds that networks take, and `all`, while entered."""

    def __init__(self, networks: dict[str, nn.Module], device: torch.device) -> None:
        self.networks, self.device = networks, device
        self.seconds: dict[str, float] = {}
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self._since: dict[str, float] = {}

    def __enter__(self) -> _Stopwatch:
        for name, network in self.networks.items():
            # the codec is used through encode(), which calls its encoder
            module = network.encoder if isinstance(network, ImageCodec) else network
            self._handles += [
                module.register_forward_pre_hook(partial(self._began, name), prepend=True),
                module.register_forward_hook(partial(self._ended, name)),
            ]
        self._began("all")
        return self

    def __exit__(self, *_: object) -> None:
        self._ended("all")
        for handle in self._handles:
            handle.remove()

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def _began(self, name: str, *_: object) -> None:
        self._since[name] = self._now()

    def _ended(self, name: str, *_: object) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + self._now() - self._since[name]


def is_published(name: PathLike) -> bool:
    """Whether a model's name is not that of one in this package's own layout."""
    return str(name) != "tiny" and not (Path(name) / INDEX).is_file()


def config_of(name: PathLike) -> WorldConfig:
    """What a model is made of, before it is loaded: by the names that `WorldPipeline.from_pretrained` takes.

    Raises:
        InputError: another kind of model.
        FormatError: damaged.
    """
    if is_published(name):
        return WorldConfig.named("flashworld")
    return WorldConfig.of_folder(_folder(name), KIND)


def _folder(name: PathLike) -> Path:
    """Where a model lies that is no published one."""
    return TINY if str(name) == "tiny" else Path(name)
