"""The start of the ablation's camera-steered model: the small model without its normals.

    python benchmarks/camera_start.py out/camera_start
    unseen train multiview --config tiny-cameras --start out/camera_start --stages unet --unet-steps 600 -o out/cameras

Every weight is the small model's, but for the first convolution, which loses its part for the normals, and the
embedding of the pose, which is new and starts at zero.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from unseen.priors.multiview import MultiViewConfig, MultiViewDiffusion
from unseen.priors.multiview.config import LATENT_CHANNELS


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    known = MultiViewDiffusion.from_pretrained("tiny")
    model = MultiViewDiffusion.random(replace(MultiViewConfig.named("tiny-cameras"), vae=known.config.vae))
    for name in ("vae", "image_encoder", "resampler"):
        getattr(model, name).load_state_dict(getattr(known, name).state_dict())
    weights = known.unet.state_dict()
    first = next(name for name in weights if name.endswith("conv_in.weight"))
    weights[first] = torch.cat([weights[first][:, :LATENT_CHANNELS], weights[first][:, 2 * LATENT_CHANNELS :]], 1)
    new = model.unet.load_state_dict(weights, strict=False)
    if new.unexpected_keys or any("class_embedding" not in name for name in new.missing_keys):
        raise SystemExit(f"not the small model's names: {new}")
    last = model.unet.model.class_embedding.linear_2
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    model.upsampler = known.upsampler
    model.save_pretrained(arguments.out)


if __name__ == "__main__":
    main()
