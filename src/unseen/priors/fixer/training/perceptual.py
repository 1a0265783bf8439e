"""How far pictures are apart as VGG-16 sees them (Zhang et al. 2018), and their textures (Gatys et al. 2016).

The weights are not part of this package: take `vgg16-397923af.pth`, as torchvision publishes it (features.*), or the
same tensors in any other file.
"""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from unseen.core.errors import FormatError
from unseen.priors.weights import open_checkpoint
from unseen.priors.weights.links import check
from unseen.priors.weights.tensors import renamed, shapes_of

WIDTHS = (64, 128, 256, 512, 512)
CONVOLUTIONS = (2, 2, 3, 3, 3)
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
GRAM_WEIGHTS = (1 / 2.6, 1 / 4.8, 1 / 3.7, 1 / 5.6, 10 / 1.5)
"""Of the five stages, as Difix and GS-VAR have them."""


class Perceptual(nn.Module):
    """VGG-16 up to the last activation of each stage.

    Args:
        widths: channels of the stages.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self.ends: list[int] = []
        before = 3
        for stage, (width, count) in enumerate(zip(widths, CONVOLUTIONS, strict=True)):
            layers += [nn.MaxPool2d(2)] if stage else []
            for _ in range(count):
                layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
                before = width
            self.ends.append(len(layers) - 1)
        self.features = nn.Sequential(*layers)
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None], persistent=False)

    @classmethod
    def open(cls, path: Path) -> Perceptual:
        """With the weights of a file.

        Raises:
            InputError: no such file, or tensors that are missing or of another shape.
            FormatError: damaged, or no VGG-16.
        """
        network = cls()
        tensors = renamed(open_checkpoint(path).tensors, lambda name: name if name.startswith("features.") else None)
        if not tensors.entries:
            raise FormatError(f"{path} is no VGG-16: expected tensors named features.0.weight and so on")
        check(shapes_of(tensors), {k: tuple(t.shape) for k, t in network.state_dict().items()}, f"VGG-16 of {path}")
        network.load_state_dict({name: tensors.read(name).float() for name in tensors.entries})
        return network.requires_grad_(False).eval()

    def forward(self, images: Float[Tensor, "N 3 H W"]) -> list[Tensor]:
        """Features of the stages, of pictures in [-1, 1]."""
        x, found = ((images / 2 + 0.5) - self.mean) / self.deviation, []
        for k, layer in enumerate(self.features):
            x = layer(x)
            if k in self.ends:
                found.append(x)
        return found

    def distance(self, a: Float[Tensor, "N 3 H W"], b: Float[Tensor, "N 3 H W"]) -> Float[Tensor, ""]:
        """Squared distance of the features' directions, pixel by pixel, summed over the stages."""
        pairs = zip(self(a), self(b), strict=True)
        parts = [
            (normalize(x, dim=1, eps=1e-10) - normalize(y, dim=1, eps=1e-10)).square().sum(1).mean() for x, y in pairs
        ]
        return torch.stack(parts).sum()

    def gram_distance(self, a: Float[Tensor, "N 3 H W"], b: Float[Tensor, "N 3 H W"]) -> Float[Tensor, ""]:
        """Absolute differences of the features' Gram matrices, weighted by stage."""
        pairs = zip(GRAM_WEIGHTS, self(a), self(b), strict=True)
        return torch.stack([weight * (_gram(x) - _gram(y)).abs().mean() for weight, x, y in pairs]).sum()


def _gram(features: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C C"]:
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / features[0].numel()
