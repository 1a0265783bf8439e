"""Broken, truncated, foreign and hostile files: one clear error, never another exception, never much memory."""

import gzip
import io
import json
import random
import resource
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from splat_samples import random_gaussians

from unseen.core.errors import FormatError, InputError
from unseen.core.gaussians import Gaussians
from unseen.io.scene import FORMATS, load_gaussians, save_gaussians

WRITTEN = [f.ending for f in FORMATS if f.save]
READ = [f.ending for f in FORMATS]
HOSTILE = [
    None,
    True,
    -1,
    0,
    3,
    2**60,
    1e308,
    "x",
    "../x",
    "",
    [],
    {},
    [[]],
    ["x"],
    [-1],
    [2**60],
    {"x": 1},
    [None] * 3,
]


def path_of(folder, ending):
    return folder / (ending if ending == "meta.json" else f"scene{ending}")


def refused(path) -> bool:
    """Whether the file is refused with one clear line that names it; any other exception fails the test."""
    try:
        assert isinstance(load_gaussians(path), Gaussians)
    except InputError as error:
        assert str(path.name) in str(error) and "\n" not in str(error), str(error)
        return True
    return False


@pytest.fixture(autouse=True)
def bounded_memory():
    """No test here may take more than a gigabyte on top of what the process has."""
    statm = Path("/proc/self/statm")
    if not statm.exists():  # not Linux: the limit cannot be placed
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(statm.read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.parametrize("ending", WRITTEN)
def test_truncated_anywhere(tmp_path, ending):
    path = path_of(tmp_path, ending)
    save_gaussians(path, random_gaussians(2, 1))
    data = path.read_bytes()
    both_ends = {*range(min(700, len(data))), *range(max(0, len(data) - 700), len(data))}
    for length in sorted(both_ends | {*range(0, len(data), 7)}):
        path.write_bytes(data[:length])
        whole = ending == ".splat" and length % 32 == 0
        assert refused(path) != whole, f"cut to {length} of {len(data)} bytes"


@pytest.mark.parametrize("ending", [e for e in WRITTEN if e not in (".gltf", "meta.json")])
def test_any_bytes_changed(tmp_path, ending):
    path = path_of(tmp_path, ending)
    save_gaussians(path, random_gaussians(5, 1))
    data = path.read_bytes()
    rng = random.Random(0)
    for _ in range(400):
        changed = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 8))):
            changed[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        path.write_bytes(changed)
        refused(path)


@pytest.mark.parametrize("ending", READ)
def test_foreign_files(tmp_path, ending):
    others = [
        b"",
        b"\0",
        b"hello, world\n" * 400,
        b"{}",
        b"[]",
        b"[" * 100000,
        b"\x1f\x8b" + b"x" * 40,
        b"PK\x03\x04" * 30,
    ]
    others += [b"glTF" + struct.pack("<II", 2, 12), b"ply\nformat ascii 1.0\nend_header\n", b"NGSP" + bytes(40)]
    others += [random.Random(1).randbytes(5000), gzip.compress(bytes(100)), b"\xff" * 5003, b'{"version": 2}']
    family = {".compressed.ply": ".ply", ".glb": ".gltf"}
    for another in WRITTEN:
        if family.get(another, another) != family.get(ending, ending):
            save_gaussians(path_of(tmp_path, another), random_gaussians(3, 0))
            others.append(path_of(tmp_path, another).read_bytes())
    for data in others:
        path = path_of(tmp_path, ending)
        path.write_bytes(data)
        assert refused(path) or (ending == ".splat" and len(data) % 32 == 0), data[:40]
    with pytest.raises(InputError, match="No such file"):
        load_gaussians(path_of(tmp_path / "none", ending))


def places(value, at=()):
    """Paths to everything inside a JSON value."""
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value[:8]) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*at, key))


def with_changed(value, at, new):
    """A copy with the part at a path replaced, or removed when `new` is a deletion mark."""
    copy = json.loads(json.dumps(value))
    target = copy
    for key in at[:-1]:
        target = target[key]
    if new is places:
        del target[at[-1]]
    else:
        target[at[-1]] = new
    return copy


@pytest.mark.parametrize("ending", [".gltf", "meta.json"])
def test_any_part_of_the_json_changed(tmp_path, ending):
    path = path_of(tmp_path, ending)
    save_gaussians(path, random_gaussians(3, 1))
    document = json.loads(path.read_text())
    for at in list(places(document))[1:]:
        for new in (*HOSTILE, places):
            path.write_text(json.dumps(with_changed(document, at, new)))
            refused(path)


def test_headers_that_announce_too_much(tmp_path):
    huge = 2**32 - 1
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {2**60}", "property float x", "end_header\n"]
    (tmp_path / "a.ply").write_text("\n".join(lines))
    (tmp_path / "b.ply").write_text("\n".join(lines).replace("property float x\n", ""))
    (tmp_path / "a.spz").write_bytes(gzip.compress(struct.pack("<IIIBBBB", 0x5053474E, 3, huge, 3, 12, 0, 0)))
    table = struct.pack("<QQ", 2**60, 9 * huge) * 5
    header = struct.pack("<IIIBBBBI", 0x5053474E, 4, huge, 0, 12, 0, 5, 32) + bytes(12)
    (tmp_path / "b.spz").write_bytes(header + table)
    (tmp_path / "a.ksplat").write_bytes(struct.pack("<BBxxI", 0, 1, huge) + bytes(8000))
    section = struct.pack("<IIIIfHxxIIIIH", huge, huge, huge, huge, 1, 12, 0, 0, huge, huge, 3)
    (tmp_path / "b.ksplat").write_bytes(
        (struct.pack("<BBxxI", 0, 1, 1).ljust(4096, b"\0") + section).ljust(9000, b"\0")
    )
    for name in ("a.ply", "b.ply", "a.spz", "b.spz", "a.ksplat", "b.ksplat"):
        with pytest.raises(FormatError):
            load_gaussians(tmp_path / name)


def test_compressed_bombs(tmp_path):
    count = 1 << 24
    body = gzip.compress(struct.pack("<IIIBBBB", 0x5053474E, 3, count, 3, 12, 0, 0) + bytes(1 << 26))
    (tmp_path / "a.spz").write_bytes(body)
    with pytest.raises(FormatError, match="announces"):
        load_gaussians(tmp_path / "a.spz")
    with zipfile.ZipFile(tmp_path / "a.sog", "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("meta.json", b" " * (1 << 28))
    with pytest.raises(FormatError, match="announces"):
        load_gaussians(tmp_path / "a.sog")


def test_a_picture_of_too_many_pixels(tmp_path):
    path = tmp_path / "meta.json"
    save_gaussians(path, random_gaussians(3, 0))
    blank = io.BytesIO()
    Image.fromarray(np.zeros((8192, 8192), np.uint8)).save(blank, "PNG")
    (tmp_path / "means_l.webp").write_bytes(blank.getvalue())
    with pytest.raises(FormatError, match="announces"):
        load_gaussians(path)


def test_files_named_inside_stay_inside(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    save_gaussians(inner / "meta.json", random_gaussians(3, 0))
    (tmp_path / "secret.webp").write_bytes((inner / "sh0.webp").read_bytes())
    text = (inner / "meta.json").read_text()
    for name in ("../secret.webp", str(tmp_path / "secret.webp"), "..\\\\secret.webp"):
        (inner / "meta.json").write_text(text.replace("sh0.webp", name))
        with pytest.raises(FormatError, match="plain name"):
            load_gaussians(inner / "meta.json")
    save_gaussians(tmp_path / "a.gltf", random_gaussians(3, 0))
    document = json.loads((tmp_path / "a.gltf").read_text())
    document["buffers"][0]["uri"] = "%2e%2e/secret.bin"
    (tmp_path / "a.gltf").write_text(json.dumps(document))
    with pytest.raises(FormatError, match="plain name"):
        load_gaussians(tmp_path / "a.gltf")
