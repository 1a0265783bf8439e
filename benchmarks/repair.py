"""Repair of renders and of reconstructions: four tables.

    python benchmarks/repair.py --fixer tiny --out out/repair --sheet docs/images/repair.jpg
    python benchmarks/repair.py --fixer tiny --out out/repair --tables 1 3 4

1. Image space, on held-out scenes: a plain fit of few photos, and of many (`clean`), seen from cameras of photos it
   never saw. PSNR, SSIM and gradient-domain error of the render, of what the fixer makes of it without and with photos,
   and of what the gate leaves of that; further fixers for comparison with --variant NAME=FIXER.
2. Reconstruction: `unseen eval repair --split sparse` and `--split good`.
3. Flicker along a path through the sparse scene, against the truth: each frame on its own, and with the one before.
   Seams: whether what it changes in a large picture jumps at some column or row.
4. Cost: seconds per image at 512 x 512 with one photo, and per reconstruction (of table 2).
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.devices import resolve_device, seed_everything
from unseen.core.paths import spline
from unseen.fit.metrics import flicker, gradient_error, psnr, ssim
from unseen.fit.targets import over
from unseen.fit.world import Similarity
from unseen.io.atomic import write_json
from unseen.io.images import write_image
from unseen.io.photos import PictureStore, load_photos
from unseen.io.ply import load_ply
from unseen.jobs.compare import contact_sheet
from unseen.jobs.fixing import fix_film, fix_one
from unseen.jobs.progress import Silent
from unseen.jobs.repair.mending import Workshop
from unseen.jobs.repair.protocol import Capture, Split, read_split, rows, run_once, run_protocol, runs_of
from unseen.priors.fixer.fixing import Fixer
from unseen.priors.fixer.loading import load_fixer
from unseen.render.scene import render_gaussians
from unseen.synthetic.scenes.catalogue import plan_of
from unseen.synthetic.scenes.film import shoot

SPARSE, CLEAN = ("keep", 35), ("holdout", 8)
"""Ways of the splits that table 1 judges by: 9 photos of 300, and all but every 8th."""
REFERENCES = 3
FILM_FRAMES = 24
SEAM_SIDE = 960
"""Longer side of the pictures in which seams are looked for."""
SEAM_REACH = 12
"""Columns to each side of one that it is compared with."""
COST_RUNS = 3


@dataclass(frozen=True)
class Views:
    """Renders of a plain fit from cameras of photos it never saw, with the truth and the photos beside them."""

    kind: str
    capture: Capture
    world: Similarity
    shop: Workshop
    cameras: list[Camera]
    truths: list[Tensor]


def main() -> None:
    """Print the tables; leave them in OUT/tables.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fixer", default="tiny")
    parser.add_argument("--variant", action="append", default=[], metavar="NAME=FIXER", help="more rows for table 1")
    parser.add_argument("--out", type=Path, required=True, help="folder of captures, runs and results")
    parser.add_argument("--tables", type=int, nargs="+", default=[1, 2, 3, 4])
    parser.add_argument("--sparse", default="sparse", help="split of few photos")
    parser.add_argument("--good", default="good", help="split of many")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--sheet", type=Path, help="picture of table 1: a middling view of each capture")
    args = parser.parse_args()
    seed_everything(0)
    fixer = load_fixer(args.fixer, resolve_device(args.device))
    if fixer is None:
        parser.error("--fixer none repairs nothing")
    found: dict[str, Any] = {"fixer": args.fixer}
    sparse, good = read_split(args.sparse), read_split(args.good)
    if 1 in args.tables or 3 in args.tables:
        views = [*plain_views(sparse, SPARSE, fixer, args), *plain_views(good, CLEAN, fixer, args)]
    if 1 in args.tables:
        found["images"] = image_table(views, fixer, args)
    if 2 in args.tables:
        found["reconstruction"] = {}
        for name, split in (("sparse", sparse), ("good", good)):
            result = run_protocol(split, args.out, args.fixer, lambda: fixer, args.device, Silent())
            print(f"\nreconstruction, {name}", *rows(result), sep="\n", flush=True)
            found["reconstruction"][name] = result["rows"]
    if 3 in args.tables:
        found["film"] = film_table([v for v in views if v.kind == "sparse"], fixer)
        found["seams"] = seams(views, fixer)
    if 4 in args.tables:
        found["cost"] = costs(fixer, found.get("reconstruction"))
    write_json(args.out / "tables.json", found)


def plain_views(split: Split, way: tuple[str, int], fixer: Fixer, args: argparse.Namespace) -> list[Views]:
    """The plain fit of each capture's run from the cameras it is judged by.

    Of a split without this way's number the first number of the way is taken.
    """
    chosen = {r.capture.name: r for r in reversed(runs_of(split)) if r.way == way[0]}
    chosen |= {r.capture.name: r for r in runs_of(split) if (r.way, r.number) == way}
    found = []
    for run in chosen.values():
        run_once(run, args.out, args.fixer, lambda: fixer, args.device, Silent())
        out = run.folder(args.out, args.fixer)
        world, setup = Similarity.load(out / "world.json"), json.loads((out / "split.json").read_text())
        photoset = world.photos(load_photos(setup["cameras"]))
        names = [photo.name for photo in photoset.photos]
        judged = [names.index(name) for name in setup["held_out"]]
        kept = run.way == "keep"
        fitted = [i for i in range(len(names)) if (i % run.number == 0) == kept]
        pictures = PictureStore(photoset.photos, scale=setup["scale"])
        shop = Workshop(fixer, world.gaussians(load_ply(out / "raw.ply")), pictures, fitted, REFERENCES, False)
        truths = [over(pictures[i].image, pictures[i].alpha, torch.zeros(3)) for i in judged]
        cameras = [pictures[i].camera for i in judged]
        found.append(Views("sparse" if kept else "clean", run.capture, world, shop, cameras, truths))
    return found


def image_table(views: Sequence[Views], fixer: Fixer, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Table 1; prints it."""
    device = resolve_device(args.device)
    named = dict(entry.split("=", 1) for entry in args.variant)
    fixers = {"fixed": fixer} | {name: load_fixer(text, device) for name, text in named.items()}
    print(f"\n{'images':<8} {'scene':<12} {'':<22} {'PSNR':>9} {'SSIM':>8} {'gradient':>9}")
    table, sheet = [], []
    for group in views:
        shown: dict[str, list[Tensor]] = {}
        for name, own in fixers.items():
            alone = group.shop.with_fixer(own, 0).mend(group.cameras, 0)
            beside = group.shop.with_fixer(own, REFERENCES).mend(group.cameras, 0)
            shown["render"] = [one.render for one in beside]
            shown[f"{name}, no photo"] = [one.fixed for one in alone]
            shown[f"{name}, {REFERENCES} photos"] = [one.fixed for one in beside]
            shown[f"{name}, after the gate"] = [one.shown for one in beside]
        for name, images in shown.items():
            scores = scored(torch.stack(images), torch.stack(group.truths))
            table.append({"kind": group.kind, "scene": group.capture.name, "what": name, **scores})
            figures = f"{scores['psnr']:6.2f} dB {scores['ssim']:8.4f} {scores['gradient']:9.5f}"
            print(f"{group.kind:<8} {group.capture.name:<12} {name:<22} {figures}", flush=True)
        middling = int(psnr(torch.stack(shown["render"]), torch.stack(group.truths)).argsort()[len(group.truths) // 2])
        sheet.append([("truth", group.truths[middling]), *((name, images[middling]) for name, images in shown.items())])
    if args.sheet:
        write_image(args.sheet, contact_sheet(sheet))
    return table


def scored(images: Tensor, truths: Tensor) -> dict[str, float]:
    """Mean figures of some pictures."""
    values = {"psnr": psnr(images, truths), "ssim": ssim(images, truths), "gradient": gradient_error(images, truths)}
    return {name: float(value.mean()) for name, value in values.items()}


def film_table(views: Sequence[Views], fixer: Fixer) -> list[dict[str, Any]]:
    """Table 3: flicker; prints it."""
    print(f"\n{'film':<12} {'render':>9} {'alone':>9} {'steady':>9}   flicker, and PSNR of steady")
    table = []
    for group in views:
        if group.capture.folder is not None:
            continue
        path, truth = film_of(group)
        renders = torch.stack([render_gaussians(group.shop.splats, camera, 0.0) for camera in path])
        photos = [w.image for w in group.shop.witnesses[:REFERENCES]]
        films = {"render": renders}
        for name, steady in (("alone", False), ("steady", True)):
            films[name] = torch.stack([f for _, f in fix_film(fixer, iter(renders), photos, steady=steady, seed=0)])
        row = {name: flicker(film, truth) for name, film in films.items()}
        quality = {f"psnr_{name}": float(psnr(film, truth).mean()) for name, film in films.items()}
        table.append({"scene": group.capture.name, **row, **quality})
        figures = " ".join(f"{1000 * value:9.3f}" for value in row.values())
        print(f"{group.capture.name:<12} {figures}   in thousandths; {quality['psnr_steady']:.2f} dB", flush=True)
    return table


def film_of(group: Views) -> tuple[list[Camera], Tensor]:
    """A slow way between two of the cameras a scene is judged by, and what is to be seen on it."""
    path, back, capture = spline(group.cameras[:2], FILM_FRAMES), group.world.inverse(), group.capture
    scene = plan_of(capture.scene).build(capture.seed, capture.detail)
    shots = [shoot(scene, back.camera(camera), supersampling=2).image for camera in path]
    return path, torch.stack([torch.as_tensor(shot).float() / 255 for shot in shots])


def seams(views: Sequence[Views], fixer: Fixer) -> list[dict[str, Any]]:
    """Table 3: where what a fixer changes jumps from one column (row) of a large picture to the next; prints it.

    A seam is a column at which it jumps everywhere: the largest mean jump of a column over the median of those around
    tells, beside that of the render itself, whose contents have edges, too.
    """
    print(f"\n{'seams':<12} largest jump of a column and of a row, over those around; the same of the render")
    table = []
    for group in views:
        render = render_gaussians(group.shop.splats, large(group.cameras[0]), 0.0)
        change = fix_one(fixer, render, [w.image for w in group.shop.witnesses[:1]], 0) - render
        row = {f"{what}, {name}": largest_jump(image, d)
               for what, image in (("change", change), ("render", render))
               for name, d in (("columns", 1), ("rows", 0))}  # fmt: skip
        table.append({"scene": group.capture.name, **row})
        print(f"{group.capture.name:<12}" + "".join(f"{value:9.2f}" for value in row.values()), flush=True)
    return table


def largest_jump(image: Tensor, axis: int) -> float:
    """Largest mean jump along an axis of [H, W, 3] over the median of the jumps around it, away from the borders."""
    jumps = image.diff(dim=axis).abs().mean((1 - axis, 2))
    around = jumps.unfold(0, 2 * SEAM_REACH + 1, 1).median(-1).values.clamp_min(1e-9)
    return float((jumps[SEAM_REACH:-SEAM_REACH] / around).max())


def large(camera: Camera) -> Camera:
    """The same view, larger than any tile."""
    factor = SEAM_SIDE / max(camera.width, camera.height)
    return camera.resized(round(camera.width * factor), round(camera.height * factor))


def costs(fixer: Fixer, reconstruction: dict[str, list[dict[str, Any]]] | None) -> dict[str, Any]:
    """Table 4; prints it."""
    render, photo = torch.rand(512, 512, 3), torch.rand(512, 512, 3)
    fix_one(fixer, render, [photo], 0)
    began = time.perf_counter()
    for k in range(COST_RUNS):
        fix_one(fixer, render, [photo], k)
    found: dict[str, Any] = {"seconds_per_image_512": (time.perf_counter() - began) / COST_RUNS}
    print(f"\none picture of 512 x 512 with one photo: {found['seconds_per_image_512']:.3f} s")
    for name, results in (reconstruction or {}).items():
        found[f"seconds_per_reconstruction_{name}"] = sum(row["seconds"] for row in results) / len(results)
        print(f"a reconstruction of {name}: {found[f'seconds_per_reconstruction_{name}']:.0f} s on average")
    return found


if __name__ == "__main__":
    main()
