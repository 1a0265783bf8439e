"""Triplets to train fixers with: a render of a poor fit, the photo it should look like, and other photos beside it.

One folder per scene:

    photos/0007.png                     photos as they were fitted: undistorted, reduced, on black
    renders/sparse-10/07000/0003.png    what a fit of some of them shows at a step, from where photo 3 was taken
    triplets.json                       the manifest: photos with their cameras, fits, triplets; written last

A photo is never a reference for its own render, and references are photos that the fit has seen: what the others show
is what a fixer has to find. Files that break this are not written and not read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from unseen.core.camera import Camera
from unseen.core.errors import FormatError, InputError
from unseen.io.atomic import PathLike, write_json
from unseen.io.transforms import camera_from_entry, camera_to_entry

KIND, VERSION = "unseen-triplets", 1
MANIFEST = "triplets.json"
Split = Literal["train", "val"]
SPLITS: tuple[Split, ...] = ("train", "val")


@dataclass(frozen=True)
class Triplet:
    """One triplet, as files.

    Attributes:
        name: unique among those of a folder.
        render, truth: pictures of one camera.
        references: photos from elsewhere, the one that shows most of the same first; maybe none.
        scene: it is of.
        split: "train", or "val" for what no training may look at.
        strategy: how the fit was made poor; empty where nobody says.
        iteration: step of the fit, None where nobody says.
        seen: whether the fit has seen `truth`; None where nobody says.
        psnr: of the render against the truth, dB; None where nobody says.
    """

    name: str
    render: Path
    truth: Path
    references: tuple[Path, ...]
    scene: str
    split: Split
    strategy: str = ""
    iteration: int | None = None
    seen: bool | None = None
    psnr: float | None = None

    def __post_init__(self) -> None:
        if self.truth in self.references:
            raise FormatError(f"triplet {self.name}: the photo it is to look like, {self.truth}, is its own reference")


@dataclass(frozen=True)
class ScenePhoto:
    """A photo of a scene: its own name, its file in the scene's folder, and its camera in the source's world."""

    name: str
    file: str
    camera: Camera


@dataclass(frozen=True)
class PoorFit:
    """One fit that renders are of.

    Attributes:
        name: unique in the scene.
        strategy: what makes it poor.
        kept: the photos it has seen.
        steps: its length.
        splats: at most.
    """

    name: str
    strategy: str
    kept: tuple[int, ...]
    steps: int
    splats: int


@dataclass(frozen=True)
class SceneRender:
    """A render in a scene's folder.

    Attributes:
        file: of the picture.
        truth: number of the photo whose camera it is of.
        references: numbers of photos the fit has seen, the best first.
        fit: name of the fit.
        iteration: its step.
        psnr: of the render against the photo, dB.
    """

    file: str
    truth: int
    references: tuple[int, ...]
    fit: str
    iteration: int
    psnr: float


@dataclass(frozen=True)
class TripletScene:
    """A scene's manifest."""

    name: str
    split: Split
    photos: tuple[ScenePhoto, ...]
    fits: tuple[PoorFit, ...]
    renders: tuple[SceneRender, ...]

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise FormatError(f"scene {self.name} is of the split {self.split!r}: expected one of {', '.join(SPLITS)}")
        kept = {fit.name: set(fit.kept) for fit in self.fits}
        numbers = set(range(len(self.photos)))
        for render in self.renders:
            where = f"scene {self.name}, {render.file}"
            if render.truth in render.references:
                raise FormatError(f"{where}: photo {render.truth}, which it is to look like, is its own reference")
            if render.fit not in kept or render.truth not in numbers:
                raise FormatError(f"{where}: its fit {render.fit!r} or photo {render.truth} is not in the manifest")
            if unknown := sorted(set(render.references) - (kept[render.fit] & numbers)):
                raise FormatError(f"{where}: reference {unknown[0]} is no photo that the fit has seen")

    def save(self, folder: PathLike) -> None:
        """Write the manifest beside its pictures; raises ResourceError where the machine refuses."""
        content = asdict(self)
        content["photos"] = [{"name": p.name, "file": p.file, **camera_to_entry(p.camera)} for p in self.photos]
        write_json(Path(folder) / MANIFEST, {"kind": KIND, "version": VERSION, **content})

    @classmethod
    def load(cls, folder: PathLike) -> TripletScene:
        """Read the manifest of a scene's folder.

        Raises:
            InputError: there is none.
            FormatError: it is damaged, of a newer version, or breaks what the module's docstring promises.
        """
        path = Path(folder) / MANIFEST
        content = _read_json(path)
        if content.get("kind") != KIND or content.get("version") != VERSION:
            raise FormatError(
                f"{path} is no manifest of triplets of version {VERSION}: write it anew, or update unseen"
            )
        try:
            photos = tuple(
                ScenePhoto(p["name"], p["file"], camera_from_entry(p, {}, Path(folder) / p["file"]))
                for p in content["photos"]
            )
            fits = tuple(PoorFit(**fit | {"kept": tuple(fit["kept"])}) for fit in content["fits"])
            renders = tuple(SceneRender(**r | {"references": tuple(r["references"])}) for r in content["renders"])
            return cls(content["name"], content["split"], photos, fits, renders)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FormatError(f"{path} is damaged: {error!r}") from error

    def triplets(self, folder: PathLike) -> list[Triplet]:
        """Its triplets, as files in the scene's folder."""
        root, fits = Path(folder), {fit.name: fit for fit in self.fits}
        return [
            Triplet(
                name=f"{self.name}/{Path(r.file).relative_to('renders').with_suffix('')}",
                render=root / r.file,
                truth=root / self.photos[r.truth].file,
                references=tuple(root / self.photos[i].file for i in r.references),
                scene=self.name,
                split=self.split,
                strategy=fits[r.fit].strategy,
                iteration=r.iteration,
                seen=r.truth in fits[r.fit].kept,
                psnr=r.psnr,
            )
            for r in self.renders
        ]


def read_triplets(path: PathLike) -> list[Triplet]:
    """The triplets of a folder of scenes, of a folder of such folders, of one scene's folder, or of a JSON file.

    JSON files are those of GS-VAR's data preparation, `{"train": {id: {"render", "gt", "ref"}}, "val": {...}}`, and of
    Difix's, `{"train": {id: {"image", "target_image", "ref_image"}}, "test": {...}}`. Paths in them are taken from the
    file's folder where that has them, else from the working folder. GS-VAR's own lists name every tenth photo of
    underfitting scenes as its own reference; such triplets come without one. No picture is opened.

    Raises:
        InputError: nothing of the kind there.
        FormatError: a file is damaged.
    """
    place = Path(path)
    if place.is_file():
        return _read_pairs(place)
    nested = (place.glob(f"{depth}{MANIFEST}") for depth in ("", "*/", "*/*/"))
    folders = sorted(manifest.parent for found in nested for manifest in found)
    if not folders:
        raise InputError(f"no triplets in {path}: expected scenes that `unseen curate` made, or a JSON file of pairs")
    return [triplet for folder in folders for triplet in TripletScene.load(folder).triplets(folder)]


_PAIRS: tuple[tuple[str, Split], ...] = (("train", "train"), ("val", "val"), ("test", "val"))
_RENDER, _TRUTH, _REFERENCE = ("render", "image"), ("gt", "target_image"), ("ref", "ref_image")


def _read_pairs(path: Path) -> list[Triplet]:
    content = _read_json(path)
    found = []
    for key, split in _PAIRS:
        entries = content.get(key, {})
        if not isinstance(entries, dict):
            raise FormatError(f"{path}: {key!r} is no object of pairs by their name")
        found += [_pair(path, name, entry, split) for name, entry in entries.items()]
    if not found:
        raise FormatError(f"{path} lists no pairs: expected objects 'train' and 'val' of render, gt and ref")
    return found


def _pair(path: Path, name: str, entry: Any, split: Split) -> Triplet:
    if not isinstance(entry, dict):
        raise FormatError(f"{path}, {name}: expected an object with render, gt and ref")
    render, truth, reference = (_file_of(path, entry, keys) for keys in (_RENDER, _TRUTH, _REFERENCE))
    if render is None or truth is None:
        raise FormatError(f"{path}, {name} lacks a picture: expected {' and '.join((_RENDER[0], _TRUTH[0]))}")
    references = () if reference is None or reference == truth else (reference,)
    scene, *way = name.split("_")
    underfitting = len(way) == 3 and way[0] == "underfitting" and way[1].isdigit()
    return Triplet(
        name, render, truth, references, scene, split, way[0] if len(way) == 3 else "",
        int(way[1]) if underfitting else None,
    )  # fmt: skip


def _file_of(path: Path, entry: Mapping[str, Any], keys: tuple[str, ...]) -> Path | None:
    given = next((entry[key] for key in keys if entry.get(key)), None)
    if given is None:
        return None
    beside = path.parent / str(given)
    return (beside if beside.is_file() else Path(str(given))).resolve()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is not a JSON file: {error}") from error
    if not isinstance(content, dict):
        raise FormatError(f"{path} holds no object")
    return content
