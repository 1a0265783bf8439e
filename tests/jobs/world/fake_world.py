"""A stand-in for the networks: films a striped room exactly, as Gaussians on the pixels' rays."""

import time
from dataclasses import dataclass
from types import SimpleNamespace

import torch

from unseen.core.gaussians import Gaussians
from unseen.render.scene import view_gaussians

HALF = torch.tensor([3.0, 1.5, 4.0])
"""Half the sides of the room round the origin, in the caller's units."""


@dataclass
class FakePipeline:
    """Every other pixel's ray becomes a Gaussian on the wall it meets.

    `jitter`: share by which depths differ from call to call, as a model's would; `pause_s`: how long a call takes;
    `fail_on`: prompts that contain it fail.
    """

    jitter: float = 0.0
    pause_s: float = 0.0
    fail_on: str = "\n"
    calls: int = 0
    config = SimpleNamespace(multiple=16, image_size=(32, 48), views=4)

    def generate(self, cameras, *, prompt="", image=None, image_index=0, steps=4, feedback=True, generator,
                 on_step=None, known=None):  # fmt: skip
        assert image is not None or prompt
        assert image is None or image.shape == (cameras[0].height, cameras[0].width, 3)
        if self.fail_on in prompt:
            raise RuntimeError("the network fell over")
        self.calls += 1
        time.sleep(self.pause_s)
        for k in range(steps):
            if on_step is not None:
                on_step(k, steps, None)
        stretch = 1 + self.jitter * float(torch.randn(1, generator=generator))
        gaussians = Gaussians.cat([film(camera, stretch, generator) for camera in cameras])
        views = [view_gaussians(gaussians, camera) for camera in cameras]
        return SimpleNamespace(
            gaussians=gaussians, views=torch.stack([v.image for v in views]),
            depths=torch.stack([v.depth for v in views]), alphas=torch.stack([v.alpha for v in views]),
            seconds={"all": 0.1},
        )  # fmt: skip


def film(camera, stretch=1.0, generator=None):
    """The Gaussians of one view."""
    rows, columns = (torch.arange(1.0, n, 2) for n in (camera.height, camera.width))
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    pixels = torch.stack([x, y, torch.ones_like(x)], -1).reshape(-1, 3)
    rotation = camera.world_to_camera[:3, :3]
    rays = torch.nn.functional.normalize(pixels @ torch.linalg.inv(camera.K).T, dim=1) @ rotation
    origin = camera.center
    depth = ((HALF * rays.sign() - origin) / rays).abs().amin(1)
    points = origin + stretch * depth[:, None] * rays
    stripes = (points * torch.tensor([2.0, 3.0, 2.0])).sin()
    size = (stretch * depth / float(camera.K[0, 0]))[:, None].expand(-1, 3)
    quats = torch.tensor([1.0, 0, 0, 0]).expand(len(points), 4)
    noise = 0 if generator is None else 0.01 * torch.rand(len(points), 3, generator=generator)
    rgb = (0.5 + 0.35 * stripes + noise).clamp(0.01, 0.99)
    return Gaussians.from_rgb(points, size, quats, torch.full((len(points),), 0.9), rgb)
