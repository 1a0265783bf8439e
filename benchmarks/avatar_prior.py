"""What a prior is worth to an avatar: held-out synthetic people, filmed from the front, judged from all sides.

    python benchmarks/avatar_prior.py --variants none mirror tiny tiny-sds tiny-small
    python benchmarks/avatar_prior.py --variants camera --camera-model FOLDER      # see camera_start.py
    python benchmarks/avatar_prior.py --variants none tiny tiny-sds --identities 4 --sheet docs/images/prior.jpg
    python benchmarks/avatar_prior.py --variants none tiny --fixer tiny            # judged once renders are repaired

Each person of `avatar_identities` is fitted to a frontal clip (48 frames, every 6th held out, yaw within 25 degrees,
256 pixels; true head parameters, or tracked ones with --track) and compared with true pictures: the held-out frames
(seen) and yaw 45, 90, 135 and 180 degrees to both sides (unseen). PSNR and SSIM are those of the union of both mattes;
"image" is PSNR of the whole picture on white. A row per person and variant is kept in OUT, and a run continues where it
stopped.

`oracle` gives the fit true pictures for pseudo ground truth: what a perfect prior would reach. `grey` gives it grey
ones: what the worst prior may do to seen views.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from avatar_identities import FIRST_SEED, SIZE, Identity
from unseen.core.camera import Camera
from unseen.fit.metrics import psnr, ssim
from unseen.fit.strategies.bound import DensifyConfig
from unseen.head.avatar import Avatar
from unseen.head.params import HeadParams
from unseen.head.tracking import Observations, Track, TrackConfig, track_head
from unseen.io.atomic import make_folder, write_json
from unseen.io.images import read_image_float, write_image
from unseen.jobs.avatar.config import AvatarConfig, PriorConfig
from unseen.jobs.avatar.coverage import Coverage
from unseen.jobs.avatar.evaluation import on_white
from unseen.jobs.avatar.holdout import split_frames
from unseen.jobs.avatar.initial import initial_splats
from unseen.jobs.avatar.prior import prior_supervision
from unseen.jobs.avatar.sources import ImaginedViews, Scene, Shot
from unseen.jobs.avatar.supervision import PseudoSupervision, Supervision
from unseen.jobs.avatar.training import AvatarTrainer
from unseen.jobs.avatar.viewpoints import filmed_yaws
from unseen.priors.fixer.loading import load_fixer
from unseen.render import rasterization

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "none": ("none", {}),
    "mirror": ("mirror", {}),
    "oracle": ("oracle", {}),
    "grey": ("grey", {}),
    "tiny-sds": ("tiny", {"method": "sds", "share": 0.1}),
    "tiny-small": ("tiny", {"upsample": False}),
    "tiny": ("tiny", {}),
    "camera": ("camera", {}),
}
"""Prior and settings by name; tiny-small goes without the latent upsampler, camera is steered by camera poses."""
SHEET_VIEWS = ((29, 0), (5, 45), (5, -90), (29, 135), (29, 180))
"""Frame and yaw of the pictures on the contact sheet; yaw 0 is the clip's camera."""
COLUMNS = ("psnr", "ssim", "image")


class OracleViews:
    """True pictures as a source of pseudo views, `size` at a time."""

    def __init__(self, identity: Identity, size: int) -> None:
        self.views, self.size, self.next = identity.oracle_views(), size, 0

    def group(self, avatar: Avatar, progress: float, reach: float, generator: torch.Generator) -> list[Shot]:
        """The next ones, around again when all were given."""
        chosen = [self.views[(self.next + i) % len(self.views)] for i in range(self.size)]
        self.next += self.size
        return [Shot(avatar.model.vertices(avatar.params[v.frame])[0], v.camera, v.white) for v in chosen]


class Grey:
    """A prior that knows nothing."""

    output_size = SIZE

    def imagine(self, scene: Scene, strength: float, generator: torch.Generator) -> Tensor:
        """Mid-grey pictures."""
        return torch.full((len(scene.cameras), SIZE, SIZE, 3), 0.5)


def main() -> None:
    """Fit what is missing, print the table."""
    arguments = parsed()
    rows, folder = [], make_folder(arguments.out)
    for seed in range(arguments.first, arguments.first + arguments.identities):
        for variant in arguments.variants:
            path = folder / f"{seed}-{variant}{suffix_of(arguments)}.json"
            if not path.is_file():
                write_json(path, measure(Identity(seed, arguments.films), variant, arguments, path.with_suffix(".png")))
            rows.append(json.loads(path.read_text()))
    print_table(rows, arguments.variants)
    if arguments.sheet:
        write_sheet(rows, arguments)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=["none", "mirror", "oracle"])
    parser.add_argument("--identities", type=int, default=8)
    parser.add_argument("--first", type=int, default=FIRST_SEED, help="seed of the first person")
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--model", default="tiny", help="what `tiny` stands for: a name or a folder")
    parser.add_argument("--camera-model", help="folder of the model of `camera`")
    parser.add_argument("--fixer", help="repairs renders, beside two fitted frames, before they are judged")
    parser.add_argument("--track", action="store_true", help="track the clip instead of taking the true parameters")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("out/avatar_prior"), help="folder of the rows")
    parser.add_argument("--films", type=Path, default=Path("out/avatar_films"), help="folder of the films")
    parser.add_argument("--sheet", type=Path, help="picture to write")
    arguments = parser.parse_args()
    if "camera" in arguments.variants and not arguments.camera_model:
        parser.error("variant camera needs --camera-model")
    return arguments


def suffix_of(arguments: argparse.Namespace) -> str:
    """What tells the rows of one way of measuring from another's."""
    return ("-tracked" if arguments.track else "") + ("-fixed" if arguments.fixer else "")


def measure(identity: Identity, variant: str, arguments: argparse.Namespace, picture: Path) -> dict[str, Any]:
    """Fit one person with one prior; its row, and a strip of pictures."""
    observations = identity.observations()
    track = identity.track()
    if arguments.track:
        track = track_head(identity.model, observations, TrackConfig(focal_px=float(track.camera.K[0, 0])))
    began = time.perf_counter()
    trainer, held_out = fit(identity, variant, observations, track, arguments)
    seconds = time.perf_counter() - began
    avatar = trainer.avatar()
    fixer = load_fixer(arguments.fixer or "none")
    photos = torch.stack([on_white(observations, t) for t in trainer.fitted[:: max(1, len(trainer.fitted) - 1)]])
    scores: dict[str, list[dict[str, float]]] = {}
    strip = {}
    for frame, yaw, camera, params, target, matte in judged(identity, avatar, observations, held_out, arguments.track):
        render, alpha = picture_of(avatar, params, camera)
        render = render if fixer is None else fixer.fix(render[None], [photos], seed=0).images[0]
        scores.setdefault("seen" if yaw == 0 else str(abs(yaw)), []).append(compare(render, alpha, target, matte))
        strip[frame, yaw] = torch.cat([target, render])
    write_image(picture, torch.cat([strip[view] for view in SHEET_VIEWS], 1))
    found = {name: {c: float(np.mean([s[c] for s in part])) for c in COLUMNS} for name, part in scores.items()}
    sides = [s for name, part in scores.items() if name != "seen" for s in part]
    found["unseen"] = {c: float(np.mean([s[c] for s in sides])) for c in COLUMNS}
    spent = {"fit": seconds, "prior": trainer.prior.seconds if trainer.prior else 0.0}
    settings = asdict(trainer.config.prior) | {"iterations": trainer.config.iterations}
    return {
        "seed": identity.seed, "variant": variant, "scores": found, "seconds": spent, "splats": len(avatar.local),
        "settings": settings,
    }  # fmt: skip


def fit(
    identity: Identity, variant: str, observations: Observations, track: Track, arguments: argparse.Namespace
) -> tuple[AvatarTrainer, np.ndarray]:
    """The avatar job's fit; the trainer when it is done, and the held-out frames."""
    name, changes = VARIANTS[variant]
    steps = arguments.iterations
    plan = DensifyConfig(every=150, start=300, stop=int(0.8 * steps))
    config = AvatarConfig(iterations=steps, densify=plan, prior=replace(PriorConfig(), **changes))
    fitted, held_out = split_frames("every:6", track)
    device = torch.device(arguments.device)
    coverage = Coverage.of(identity.model, track, observations, fitted)
    start = initial_splats(identity.model, track, observations, fitted)
    prior: Supervision | None
    if name in ("oracle", "grey"):
        views = ImaginedViews(Grey(), config.prior, fitted, filmed_yaws(identity.model, track, fitted))
        source = OracleViews(identity, config.prior.group) if name == "oracle" else views
        prior = PseudoSupervision(source, config.prior, steps, coverage, 0)
    else:
        name = {"tiny": arguments.model, "camera": arguments.camera_model}.get(name, name)
        prior = prior_supervision(name, identity.model, track, observations, fitted, coverage, config, 0, device)
    trainer = AvatarTrainer(identity.model, track, observations, fitted, start, config, 0, device, coverage, prior)
    while not trainer.done:
        trainer.step()
    return trainer, held_out


def judged(
    identity: Identity, avatar: Avatar, observations: Observations, held_out: np.ndarray, tracked: bool
) -> Iterator[tuple[int, int, Camera, HeadParams, Tensor, np.ndarray]]:
    """Frame, yaw, camera, pose, true picture on white and matte of everything that is judged.

    A tracked head need not be where the true one is: side cameras keep their place relative to the head.
    """
    for t in held_out:
        target, matte = on_white(observations, t), observations.alphas[t]
        yield int(t), 0, avatar.camera, avatar.params[int(t)], target, matte
    for view in identity.novel_views():
        camera = identity.seen_from(view, avatar) if tracked else view.camera
        yield view.frame, view.yaw, camera, avatar.params[view.frame], view.white, view.alpha


def picture_of(avatar: Avatar, frame: HeadParams, camera: Camera) -> tuple[Tensor, Tensor]:
    """The avatar on white [H, W, 3] and its coverage [H, W]."""
    with torch.no_grad():
        s = avatar.posed(frame)
        image, alpha, _ = rasterization(
            s.means, s.quats, s.scales, s.opacities, s.rgb, camera.world_to_camera[None], camera.K[None],
            camera.width, camera.height, backgrounds=torch.ones(1, 3),
        )  # fmt: skip
    return image[0].clamp(0, 1), alpha[0, ..., 0]


def compare(render: Tensor, alpha: Tensor, target: Tensor, matte: np.ndarray) -> dict[str, float]:
    """The numbers of one view."""
    union = ((alpha > 0.5) | torch.from_numpy(matte > 127)).float()[None]
    a, b = render[None], target[None]
    return {"psnr": float(psnr(a, b, union)), "ssim": float(ssim(a, b, union)), "image": float(psnr(a, b))}


def print_table(rows: Sequence[dict[str, Any]], variants: Sequence[str]) -> None:
    """Means over the people, a line per variant; what the prior cost, as a share of the fit."""
    parts = ("seen", "45", "90", "135", "180", "unseen")
    print(f"{'':12}" + "".join(f"{part:>8}" for part in parts) + "    SSIM seen unseen   image unseen   s   prior")
    for variant in variants:
        mine = [r for r in rows if r["variant"] == variant]
        mean = {p: {c: float(np.mean([r["scores"][p][c] for r in mine])) for c in COLUMNS} for p in parts}
        took, share = (float(np.mean([r["seconds"][k] for r in mine])) for k in ("fit", "prior"))
        print(
            f"{variant:12}" + "".join(f"{mean[p]['psnr']:8.2f}" for p in parts)
            + f"{mean['seen']['ssim']:13.4f} {mean['unseen']['ssim']:.4f} {mean['unseen']['image']:14.2f}"
            + f"{took:6.0f} {share / took:6.0%}"
        )  # fmt: skip
    print(f"{len({r['seed'] for r in rows})} people; dB inside the union of both mattes")


def write_sheet(rows: Sequence[dict[str, Any]], arguments: argparse.Namespace) -> None:
    """Contact sheet at half the size, two people a row: the true pictures, then each variant's."""
    suffix = suffix_of(arguments)
    people = []
    for seed in sorted({r["seed"] for r in rows}):
        strips = [read_image_float(arguments.out / f"{seed}-{v}{suffix}.png") for v in arguments.variants]
        person = torch.cat([strips[0][:SIZE], *[strip[SIZE:] for strip in strips]])
        people.append(avg_pool2d(person.permute(2, 0, 1), 2).permute(1, 2, 0))
    people += [torch.ones_like(people[0])] * (len(people) % 2)
    pairs = zip(people[::2], people[1::2], strict=True)
    write_image(arguments.sheet, torch.cat([torch.cat(pair, 1) for pair in pairs]), quality=85)


if __name__ == "__main__":
    main()
