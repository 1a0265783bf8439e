"""What the head prior makes of one picture: held-out invented people, all views from noise.

    python benchmarks/multiview.py --json src/unseen/priors/multiview/tiny/evaluation.json --sheet held_out.png

Eight views of a person from all around, at the model's own size, against the truth on white: PSNR of the picture and of
the person's pixels; of what the autoencoder alone makes of the truth, which bounds it; and of the given picture, shown
everywhere.

    python benchmarks/multiview.py --one-picture

One frame of each of the people of `avatar_identities`, true head parameters, against true pictures of that frame from
aside and behind, 256 px: what the prior makes of it, and with what the picture shows in its place (`unseen multiview`).
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

import unseen
from avatar_identities import FIRST_SEED, JUDGED, YAWS, Identity, around
from unseen.core.devices import seed_everything
from unseen.fit.metrics import psnr
from unseen.io.atomic import write_json
from unseen.io.images import write_image
from unseen.priors.multiview import HeadPlace, MultiViewDiffusion, cropped, normal_images
from unseen.priors.multiview.training.albums import HELD_OUT_FROM, Album, render_albums
from unseen.priors.multiview.warping import warp_views

STEPS, GUIDANCE = 20, 2.0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny", help="a name or a folder")
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--albums", type=Path, default=Path("out/held_out_albums"), help="folder they are kept in")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--sheet", type=Path, help="picture to write: reference and truth, views below")
    parser.add_argument("--one-picture", action="store_true", help="the second table instead")
    parser.add_argument("--films", type=Path, default=Path("out/avatar_films"), help="folder of its films")
    arguments = parser.parse_args()
    seed_everything(0)
    model = MultiViewDiffusion.from_pretrained(arguments.model)
    if arguments.one_picture:
        one_picture(model, arguments)
        return
    seeds = range(HELD_OUT_FROM, HELD_OUT_FROM + arguments.people)
    paths = render_albums(arguments.albums, seeds, 2 * model.image_size, 2, lambda done, count: None)
    rows, sheet = [], []
    for seed, path in zip(seeds, paths, strict=True):
        row, pictures = judged(model, Album.load(path), seed)
        rows.append(row)
        sheet.append(pictures)
    mean = {part: {k: float(np.mean([r[part][k] for r in rows])) for k in rows[0][part]} for part in PARTS}
    for part in PARTS:
        print(f"{part:12}" + "".join(f"  {name} {value:6.2f} dB" for name, value in mean[part].items()))
    print(f"{len(rows)} people, {STEPS} steps, guidance {GUIDANCE}")
    if arguments.json:
        made = {"unseen": unseen.__version__, "steps": STEPS, "guidance": GUIDANCE, "mean": mean, "people": rows}
        write_json(arguments.json, made)
    if arguments.sheet:
        write_image(arguments.sheet, torch.cat(sheet))


PARTS = ("views", "autoencoder", "picture")


@torch.no_grad()
def judged(model: MultiViewDiffusion, album: Album, seed: int) -> tuple[dict[str, Any], Tensor]:
    """Scores of one person, and the pictures to look at."""
    size = model.image_size
    truth, normals, references = (shrunk(x, size) for x in (album.images, album.normals, album.references))
    made = model.sample(
        model.reference(references[:1]), normals, steps=STEPS, guidance=GUIDANCE, upsample=False,
        generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip
    found = {
        "views": made,
        "autoencoder": model.decode(model.encode(truth)),
        "picture": references[:1].expand_as(truth),
    }
    inside = (truth < 0.98).any(-1).float()
    row: dict[str, Any] = {"seed": seed}
    for part, images in found.items():
        row[part] = {
            "image": float(psnr(images, truth).mean()),
            "person": float(psnr(images, truth, inside).mean()),
        }
    blank = torch.ones(size, size, 3)
    return row, torch.cat([torch.cat([references[0], *truth], 1), torch.cat([blank, *made], 1)])


@torch.no_grad()
def one_picture(model: MultiViewDiffusion, arguments: argparse.Namespace) -> None:
    """Print the second table."""
    rows, sheet = [], []
    for seed in range(FIRST_SEED, FIRST_SEED + arguments.people):
        row, pictures = made_of_one(model, Identity(seed, arguments.films))
        rows.append(row)
        sheet.append(pictures)
    angles = sorted({abs(yaw) for yaw in YAWS})
    print(f"{'person, PSNR':<22}" + "".join(f"{angle:>8}\N{DEGREE SIGN}" for angle in angles) + "     mean")
    for name in rows[0]:
        found = [[float(np.mean([r[name][yaw] for yaw in YAWS if abs(yaw) == a])) for r in rows] for a in angles]
        overall = float(np.mean([list(r[name].values()) for r in rows]))
        print(f"{name:<22}" + "".join(f"{np.mean(column):9.2f}" for column in found) + f"{overall:9.2f}")
    if arguments.sheet:
        write_image(arguments.sheet, torch.cat(sheet))


def made_of_one(model: MultiViewDiffusion, person: Identity) -> tuple[dict[str, dict[int, float]], Tensor]:
    """PSNR of one person's views by yaw, made and with the picture; pictures: the one and the truth, then both."""
    seen, frame = person.observations(), JUDGED[0]
    place, size = HeadPlace.of(person.model, person.params[frame]), model.output_size
    crop = place.crop(person.camera, size)
    picture = cropped(seen.images[frame], seen.alphas[frame], person.camera, crop)
    vertices = person.model.vertices(person.params[frame])[0].detach()
    cameras = [around(person.model, person.params[frame], yaw, 0.0, size) for yaw in YAWS]
    small = [camera.resized(model.image_size, model.image_size) for camera in cameras]
    everywhere = torch.ones(size, size, dtype=torch.bool)
    known = warp_views(picture, everywhere, crop, vertices, person.model.faces, cameras)
    reference = model.reference(avg_pool2d(picture.permute(2, 0, 1)[None], 2).permute(0, 2, 3, 1))
    normals = normal_images(person.model, vertices, small)
    true = {view.yaw: view.white for view in person.novel_views() if view.frame == frame}
    truth = torch.stack([true[yaw] for yaw in YAWS])
    inside = (truth < 0.98).any(-1).float()
    row, pictures = {}, [torch.cat([picture, *truth], 1)]
    made = model.sample(
        reference, normals, steps=STEPS, guidance=GUIDANCE, generator=torch.Generator().manual_seed(person.seed)
    )
    for name, views in (("views", made), ("and what it shows", known.over(made))):
        row[name] = dict(zip(YAWS, psnr(views, truth, inside).tolist(), strict=True))
        pictures.append(torch.cat([torch.ones_like(picture), *views], 1))
    return row, torch.cat(pictures)


def shrunk(images: np.ndarray, size: int) -> Tensor:
    """Pictures [N, S, S, 3] in [0, 1], averaged to another size."""
    pixels = torch.from_numpy(images).float().permute(0, 3, 1, 2) / 255
    return torch.nn.functional.adaptive_avg_pool2d(pixels, size).permute(0, 2, 3, 1)


if __name__ == "__main__":
    main()
