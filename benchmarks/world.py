"""What the small world model makes of one picture: held-out little worlds, judged at the cameras asked for and between.

    python benchmarks/world.py --json src/unseen/priors/world/tiny/evaluation.json --sheet docs/images/world.jpg

Each world is filmed along a path of 16 cameras; the model gets every second one and the picture of the fourth of these.
PSNR and SSIM are of its renders against the truth, at these eight cameras and at the seven halfway between. `picture`
is what showing the given picture everywhere would score, `mean` its mean colour.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import unseen
from unseen.core.camera import Camera
from unseen.core.devices import seed_everything
from unseen.fit.metrics import psnr, ssim
from unseen.io.atomic import write_json
from unseen.io.images import write_image
from unseen.priors.world import WorldPipeline
from unseen.render.scene import render_gaussians
from unseen.synthetic.worlds import HELD_OUT_FROM, film_world

PICTURE = 3
"""Which of the eight cameras' pictures is given."""
VARIANTS: dict[str, tuple[int, bool]] = {
    "1 step": (1, True),
    "2 steps": (2, True),
    "4 steps": (4, True),
    "8 steps": (8, True),
    "4, no feedback": (4, False),
}
BASELINES = ("picture", "mean")
PROMPTS = (
    "a bedroom with a teal bed, beige walls and a window",
    "a living room with a red sofa, a wooden floor and a lamp",
    "a snowy landscape at night with pine trees",
    "a beach at sunset with palm trees and a small house",
)
COLUMNS = ("given", "input", "between", "input ssim", "between ssim", "seconds")


@dataclass(frozen=True)
class Filmed:
    """A held-out world: cameras asked for, cameras between them, what each sees."""

    cameras: list[Camera]
    between: list[Camera]
    images: Tensor
    between_images: Tensor
    caption: str
    kind: str


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny", help="a name or a folder")
    parser.add_argument("--worlds", type=int, default=24)
    parser.add_argument("--first", type=int, default=HELD_OUT_FROM)
    parser.add_argument("--prompt", action="store_true", help="tell the caption besides the picture")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--json", type=Path, help="file for all rows")
    parser.add_argument("--sheet", type=Path, help="picture to write: truth and worlds, a pair of rows each")
    parser.add_argument("--told", type=Path, help="picture to write: worlds of prompts alone, a row each")
    parser.add_argument("--shown", type=int, default=6, help="worlds on the sheet")
    arguments = parser.parse_args()
    seed_everything(0)
    model = WorldPipeline.from_pretrained(arguments.model)
    rows: list[dict[str, Any]] = []
    sheet = []
    for seed in range(arguments.first, arguments.first + arguments.worlds):
        filmed = film(seed)
        for name in BASELINES:
            rows.append({"seed": seed, "variant": name, **baseline(filmed, name)})
        for name in arguments.variants:
            row, views = measure(model, filmed, name, seed, filmed.caption if arguments.prompt else "")
            rows.append({"seed": seed, "kind": filmed.kind, "variant": name, **row})
            if name == "4 steps" and len(sheet) < 2 * arguments.shown:
                sheet += [torch.cat(list(filmed.images), 1), torch.cat(list(views), 1)]
    names = [*BASELINES, *arguments.variants]
    means = {name: mean_of([r for r in rows if r["variant"] == name]) for name in names}
    print_table(means)
    print(f"{arguments.worlds} worlds; PSNR in dB")
    if arguments.json:
        made = {"unseen": unseen.__version__, "prompt": arguments.prompt, "mean": means, "worlds": rows}
        write_json(arguments.json, made)
    if arguments.sheet:
        write_image(arguments.sheet, torch.cat(sheet))
    if arguments.told:
        write_image(arguments.told, torch.cat([told(model, prompt, k) for k, prompt in enumerate(PROMPTS)]))


def told(model: WorldPipeline, prompt: str, seed: int) -> Tensor:
    """A world of a prompt, its views beside each other, along the cameras of a held-out one."""
    cameras = film_world(HELD_OUT_FROM + 100 + seed).cameras[::2]
    world = model.generate(cameras, prompt=prompt, generator=torch.Generator().manual_seed(seed))
    return torch.cat(list(world.views), 1)


def film(seed: int) -> Filmed:
    """A world no recipe trains on."""
    shots = film_world(seed)
    images = torch.from_numpy(shots.images).float() / 255
    cameras = shots.cameras
    return Filmed(cameras[::2], cameras[1:-1:2], images[::2], images[1:-1:2], shots.captions[0], shots.kind)


def measure(
    model: WorldPipeline, filmed: Filmed, variant: str, seed: int, prompt: str
) -> tuple[dict[str, float], Tensor]:
    """Scores of one world made from its picture, and its views."""
    steps, feedback = VARIANTS[variant]
    began = time.perf_counter()
    world = model.generate(
        filmed.cameras, prompt=prompt, image=filmed.images[PICTURE], image_index=PICTURE, steps=steps,
        feedback=feedback, generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip
    seconds = time.perf_counter() - began
    between = torch.stack([render_gaussians(world.gaussians, c) for c in filmed.between])
    return scores(world.views, between, filmed) | {"seconds": seconds}, world.views


def baseline(filmed: Filmed, name: str) -> dict[str, float]:
    """Scores of the given picture, or of its mean colour, shown everywhere."""
    picture = filmed.images[PICTURE]
    shown = picture if name == "picture" else picture.mean((0, 1)).expand_as(picture)
    return scores(shown.expand_as(filmed.images), shown.expand_as(filmed.between_images), filmed) | {"seconds": 0.0}


def scores(views: Tensor, between: Tensor, filmed: Filmed) -> dict[str, float]:
    """Means over cameras."""
    parts = {"input": (views, filmed.images), "between": (between, filmed.between_images)}
    found = {}
    for name, (made, true) in parts.items():
        found[name] = float(np.mean([float(psnr(a[None], b[None])) for a, b in zip(made, true, strict=True)]))
        found[f"{name} ssim"] = float(ssim(made.contiguous(), true.contiguous()).mean())
    found["given"] = float(psnr(views[PICTURE][None], filmed.images[PICTURE][None]))
    return found


def mean_of(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Over worlds."""
    return {name: float(np.mean([r[name] for r in rows])) for name in COLUMNS}


def print_table(means: dict[str, dict[str, float]]) -> None:
    """A line per variant."""
    print(f"{'':16}" + "".join(f"{c:>14}" for c in COLUMNS))
    for variant, mean in means.items():
        print(f"{variant:16}" + "".join(f"{mean[c]:14.3f}" for c in COLUMNS))


if __name__ == "__main__":
    main()
