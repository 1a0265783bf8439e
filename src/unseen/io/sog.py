"""Gaussians in the .sog format (Spatially Ordered Gaussians, version 2): pixels of lossless pictures.

`meta.json` names the pictures and holds ranges and codebooks; pixel i, row by row, belongs to Gaussian i. All lies in
one zip file (.sog) or side by side in a folder. Source: the format's definition,
https://developer.playcanvas.com/user-manual/gaussian-splatting/formats/sog/
"""

from __future__ import annotations

import io
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import unseen
from unseen.core.errors import FormatError
from unseen.core.gaussians import Gaussians
from unseen.core.sh import MAX_DEGREE, num_coefficients
from unseen.io.atomic import PathLike, atomic_write, write_bytes, write_text
from unseen.io.codebooks import CODEBOOK_SIZE, fit_codebook, fit_palette, nearest
from unseen.io.ordering import spatial_order
from unseen.io.packing import (
    from_levels,
    join_smallest_three,
    logits,
    ready,
    split_smallest_three,
    to_levels,
    unit_quaternions,
)
from unseen.io.reading import check_expansion, damaged_if_it_fails, parse_json_object, read_bytes, read_sibling

META = "meta.json"
_VERSION = 2
_LARGEST_FIRST = 252  # alpha of a quaternion's pixel: this plus the index (w, x, y, z) of the largest component
_PALETTE = 1 << 16  # labels have 16 bits
_PALETTE_COLUMNS = 64
_MAX_SIDE = 16383  # of a WebP picture
_EPOCH = (1980, 1, 1, 0, 0, 0)  # in the zip file, so that the same scene gives the same bytes

_Pictures = dict[str, np.ndarray]
_Fetch = Callable[[str], bytes]


def load_sog(path: PathLike) -> Gaussians:
    """Read a .sog file, or a folder of its parts by the path of its meta.json. Axes as a .ply has them.

    Raises:
        InputError: no such file.
        FormatError: not a .sog, another version, damaged or truncated, or parts are missing.
    """
    with ExitStack() as stack:
        fetch = _from_folder(Path(path)) if Path(path).name == META else stack.enter_context(_Bundle(path)).read
        meta = parse_json_object(path, fetch(META), META)
        if meta.get("version") != _VERSION:
            raise FormatError(f"{path} is a .sog of version {meta.get('version', 1)}: expected version {_VERSION}")
        with damaged_if_it_fails(path, META):
            return _decode(path, meta, fetch)


def save_sog(path: PathLike, gaussians: Gaussians) -> None:
    """Write a .sog file, or when `path` is a meta.json its parts into that folder, each file atomically.

    In spatial order. Quantised to: positions 16 bits over the logarithm of the range, log scales and colours the
    nearest of 256 values chosen for the scene, opacities and quaternion components 8 bits, higher bands the nearest of
    65,536 palette entries, whose numbers are of 256 values. Gaussians that hold NaN or infinity are left out. Axes are
    not changed.

    Raises:
        ResourceError: a file cannot be written.
    """
    g = ready(gaussians)
    meta, pictures = _encode(g.select(spatial_order(g.means)))
    text = json.dumps(meta)
    packed = {name: _pack_picture(pixels) for name, pixels in pictures.items()}
    if Path(path).name == META:
        for name, data in packed.items():
            write_bytes(Path(path).with_name(name), data)
        write_text(path, text)
        return
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as bundle:
        for name, data in {META: text.encode(), **packed}.items():
            bundle.writestr(zipfile.ZipInfo(name, _EPOCH), data)


def picture_paths(meta: PathLike) -> list[Path]:
    """The pictures a folder's meta.json names.

    Raises:
        InputError: no such file.
        FormatError: it is damaged.
    """
    with damaged_if_it_fails(meta, META):
        entries = parse_json_object(meta, read_bytes(meta), META).values()
        return [Path(meta).with_name(name) for e in entries if isinstance(e, dict) for name in e.get("files", [])]


def _encode(g: Gaussians) -> tuple[dict[str, Any], _Pictures]:
    """meta.json and the pixels, [H, W, 3 or 4] bytes by file name."""
    n = len(g)
    logs = _to_log(g.means.double().numpy())
    low, high = (logs.min(0), logs.max(0)) if n else (np.zeros(3), np.zeros(3))
    positions = to_levels((logs - low) / np.where(high > low, high - low, 1), 16)
    scales, colors = fit_codebook(g.log_scales.numpy()), fit_codebook(g.sh0.numpy())
    largest, three = split_smallest_three(unit_quaternions(g.quats).numpy())
    opacities = to_levels(g.opacities.numpy(), 8)[:, None]
    pixels = {
        "means_l.webp": positions & 255,
        "means_u.webp": positions >> 8,
        "scales.webp": nearest(scales, g.log_scales.numpy()),
        "quats.webp": np.concatenate([to_levels(three / 2 + 0.5, 8), largest[:, None] + _LARGEST_FIRST], 1),
        "sh0.webp": np.concatenate([nearest(colors, g.sh0.numpy()), opacities], 1),
    }
    pictures = {name: _arrange(values, *_size(n)) for name, values in pixels.items()}
    meta: dict[str, Any] = {
        "version": _VERSION,
        "asset": {"generator": f"unseen {unseen.__version__}"},
        "count": n,
        "means": {"mins": low.tolist(), "maxs": high.tolist(), "files": ["means_l.webp", "means_u.webp"]},
        "scales": {"codebook": _short(scales), "files": ["scales.webp"]},
        "quats": {"files": ["quats.webp"]},
        "sh0": {"codebook": _short(colors), "files": ["sh0.webp"]},
    }
    if g.sh_degree and n:
        meta["shN"] = _encode_harmonics(g, pictures)
    return meta, pictures


def _encode_harmonics(g: Gaussians, pictures: _Pictures) -> dict[str, Any]:
    """The entry `shN` of meta.json; its two pictures are added."""
    palette, labels = fit_palette(g.shN.flatten(1), _PALETTE)
    codebook = fit_codebook(palette.numpy())
    rows, coefficients = -(-len(palette) // _PALETTE_COLUMNS), g.shN.shape[1]
    indices = nearest(codebook, palette.numpy()).reshape(-1, 3)
    names = ["shN_centroids.webp", "shN_labels.webp"]
    pictures[names[0]] = _arrange(indices, _PALETTE_COLUMNS * coefficients, rows)
    split = np.stack([labels.numpy() & 255, labels.numpy() >> 8, np.zeros(len(labels), np.int64)], 1)
    pictures[names[1]] = _arrange(split, *_size(len(g)))
    return {"count": len(palette), "bands": g.sh_degree, "codebook": _short(codebook), "files": names}


def _short(values: np.ndarray) -> list[float]:
    """Numbers with no more digits than float32 tells apart."""
    return [float(str(value)) for value in values.astype(np.float32)]


def _size(num: int) -> tuple[int, int]:
    """Width and height of nearly square pictures of at least `num` pixels, both multiples of four."""
    width = min(max(4, 4 * math.ceil(math.sqrt(num) / 4)), _MAX_SIDE // 4 * 4)
    return width, max(4, 4 * math.ceil(num / width / 4))


def _arrange(values: np.ndarray, width: int, height: int) -> np.ndarray:
    pixels = np.zeros((width * height, values.shape[1]), np.uint8)
    pixels[: len(values)] = values
    return pixels.reshape(height, width, -1)


def _pack_picture(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    # `exact` keeps the colours of pixels whose alpha, an opacity here, is zero
    Image.fromarray(pixels).save(out, "WEBP", lossless=True, exact=True, quality=75, method=4)
    return out.getvalue()


def _to_log(values: np.ndarray) -> np.ndarray:
    return np.sign(values) * np.log1p(np.abs(values))


def _from_log(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.sign(values) * np.expm1(np.abs(values))


def _decode(path: PathLike, meta: dict[str, Any], fetch: _Fetch) -> Gaussians:
    """Gaussians of the entries of meta.json and the pictures it names."""
    n = int(meta["count"])
    if n < 0:
        raise ValueError(f"count {n}")

    def pixels(entry: str, index: int = 0) -> np.ndarray:
        return _read_pixels(path, fetch, str(meta[entry]["files"][index]), n)

    low, high = (np.array(meta["means"][end], np.float64).reshape(3) for end in ("mins", "maxs"))
    positions = pixels("means")[:, :3] | pixels("means", 1)[:, :3].astype(np.int64) << 8
    quats, colors = pixels("quats"), pixels("sh0")
    largest = quats[:, 3].astype(np.int64) - _LARGEST_FIRST
    turned = join_smallest_three(largest.clip(0, 3), quats[:, :3] / 127.5 - 1)
    return Gaussians(
        means=_tensor(_from_log(low + (high - low) * (positions / 65535))),
        quats=_tensor(np.where(largest[:, None] < 0, [1.0, 0, 0, 0], turned)),
        log_scales=_tensor(_codebook(meta["scales"])[pixels("scales")[:, :3]]),
        logit_opacities=logits(_tensor(from_levels(colors[:, 3], 8))),
        sh0=_tensor(_codebook(meta["sh0"])[colors[:, :3]]),
        shN=_decode_harmonics(path, meta["shN"], fetch, n) if meta.get("shN") else torch.zeros(n, 0, 3),
    )


def _decode_harmonics(path: PathLike, entry: dict[str, Any], fetch: _Fetch, num: int) -> torch.Tensor:
    count, bands, files = int(entry["count"]), int(entry["bands"]), entry["files"]
    if not (0 < bands <= MAX_DEGREE and 0 <= count <= _PALETTE):
        raise ValueError(f"a palette of {count} with {bands} bands")
    coefficients = num_coefficients(bands) - 1
    picture = _open_picture(path, fetch, str(files[0]))
    if picture.shape[1] != _PALETTE_COLUMNS * coefficients or picture.shape[0] * _PALETTE_COLUMNS < count:
        raise ValueError(f"a palette picture of {picture.shape[1]} x {picture.shape[0]} pixels")
    palette = picture[..., :3].reshape(-1, coefficients, 3)
    labels = _read_pixels(path, fetch, str(files[1]), num)
    index = labels[:, 0] | labels[:, 1].astype(np.int64) << 8
    if len(index) and index.max() >= count:
        raise ValueError(f"label {index.max()} in a palette of {count}")
    return _tensor(_codebook(entry))[torch.from_numpy(palette.astype(np.int64))][torch.from_numpy(index)]


def _codebook(entry: dict[str, Any]) -> np.ndarray:
    """256 values; a short codebook is filled up, as its indices stay below its length."""
    values = np.array(entry["codebook"], np.float64).reshape(-1)[:CODEBOOK_SIZE]
    return np.pad(values, (0, CODEBOOK_SIZE - len(values)), mode="edge")


def _tensor(values: np.ndarray) -> torch.Tensor:
    with np.errstate(over="ignore"):  # ranges beyond float32 become infinite and are counted as such
        return torch.from_numpy(values.astype(np.float32))


def _read_pixels(path: PathLike, fetch: _Fetch, name: str, num: int) -> np.ndarray:
    """The first `num` pixels of a picture, [num, 4]."""
    picture = _open_picture(path, fetch, name).reshape(-1, 4)
    if len(picture) < num:
        raise ValueError(f"{name} has {len(picture)} pixels for {num} Gaussians")
    return picture[:num]


def _open_picture(path: PathLike, fetch: _Fetch, name: str) -> np.ndarray:
    """Pixels of a picture, [H, W, 4] bytes."""
    data = fetch(name)
    try:
        with Image.open(io.BytesIO(data)) as picture:
            check_expansion(path, 4 * picture.width * picture.height, len(data))
            return np.asarray(picture.convert("RGBA"))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise FormatError(f"{path} is damaged: its {name} is no readable picture") from error


def _from_folder(meta: Path) -> _Fetch:
    return lambda name: read_sibling(meta, name)


class _Bundle:
    """The files of a .sog by name."""

    def __init__(self, path: PathLike) -> None:
        self.path = path
        self.size = len(data := read_bytes(path))
        try:
            self.archive = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, struct.error) as error:
            raise FormatError(f"{path} is not a .sog file, or a truncated one: {error}") from error

    def __enter__(self) -> _Bundle:
        return self

    def __exit__(self, *_: object) -> None:
        self.archive.close()

    def read(self, name: str) -> bytes:
        """Contents of one file.

        Raises:
            FormatError: no such file in the bundle, or it cannot be unpacked.
        """
        try:
            entry = self.archive.getinfo(name)
            check_expansion(self.path, entry.file_size, entry.compress_size)
            with self.archive.open(entry) as file:
                return file.read(entry.file_size)
        except KeyError:
            raise FormatError(f"{self.path} is no complete .sog file: it holds no {name[:80]}") from None
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
            raise FormatError(f"{self.path} is damaged: cannot unpack {name[:80]} ({error})") from error
