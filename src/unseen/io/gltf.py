"""Gaussians as glTF 2.0 with the extension KHR_gaussian_splatting: .glb, or .gltf with its data inside.

A primitive of points whose attributes are linear: extents, opacities in [0, 1], unit quaternions xyzw; harmonics one
attribute per coefficient. +Y is up. Source: https://github.com/KhronosGroup/glTF,
extensions/2.0/Khronos/KHR_gaussian_splatting.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import torch
from torch import Tensor

import unseen
from unseen.core.errors import FormatError, InputError
from unseen.core.gaussians import Gaussians
from unseen.core.rotations import quaternion_to_matrix
from unseen.core.sh import MAX_DEGREE
from unseen.io.atomic import PathLike, write_bytes
from unseen.io.axes import Axes, rdf_to_rub
from unseen.io.packing import logits, ready, to_levels, unit_quaternions
from unseen.io.reading import check_expansion, damaged_if_it_fails, parse_json_object, read_bytes, read_sibling

EXTENSION = "KHR_gaussian_splatting"
_GLB_MAGIC, _JSON_CHUNK, _BINARY_CHUNK = b"glTF", 0x4E4F534A, 0x004E4942
_COMPONENTS = {5120: "i1", 5121: "u1", 5122: "i2", 5123: "u2", 5125: "u4", 5126: "f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
_MAX_GLB_BYTES = (1 << 32) - 64  # lengths have 32 bits
_UNSIGNED_BYTE, _FLOAT, _ARRAY_BUFFER, _POINTS = 5121, 5126, 34962, 0
_DATA_URI = "data:application/octet-stream;base64,"
_SRGB = "srgb_rec709_display"
_TOLERANCE = 1e-4  # of a node's matrix against a rotation with one scale


def load_gltf(path: PathLike, axes: Axes = "RDF") -> Gaussians:
    """Read all splat primitives of a .glb or .gltf file, placed by their nodes and after each other.

    Args:
        path: input; a .gltf may refer to files beside it.
        axes: axes of the Gaussians returned: "RDF" (y down, as .ply files have it) or "RUB" (y up, as the file has it).

    Raises:
        InputError: no such file.
        FormatError: not glTF, no splats in it, another kernel or colour space, compressed splats, nodes that shear or
            scale unevenly, damaged or truncated.
        ShapeError: a node rotates view-dependent colours and this release cannot.
    """
    source = _open(path)
    with damaged_if_it_fails(path, "glTF structure"):
        parts = [_place(path, _decode(source, primitive), matrix) for primitive, matrix in _splats(source)]
        if not parts and EXTENSION not in source.document.get("extensionsUsed", []):
            raise FormatError(f"{path} holds no 3D Gaussians: no primitive has the extension {EXTENSION}")
        gaussians = Gaussians.cat(parts) if parts else _nothing()
    return gaussians if axes == "RUB" else rdf_to_rub(gaussians)


def save_gltf(path: PathLike, gaussians: Gaussians, axes: Axes = "RDF") -> None:
    """Write a .glb, or a .gltf with its data inside when the suffix says so, atomically.

    Float32 throughout: positions and harmonics exact, scales and opacities to rounding. `COLOR_0` shows the base
    colours, in linear light as glTF wants it, where the extension is unknown. Gaussians that hold NaN or infinity are
    left out.

    Args:
        path: output.
        gaussians: any device.
        axes: axes the Gaussians are in, "RDF" (y down, as .ply files have it) or "RUB" (y up, heads).

    Raises:
        InputError: more than the 4 GiB a .glb holds.
        ResourceError: the file cannot be written.
    """
    g = ready(gaussians)
    document, binary = _encode(g if axes == "RUB" else rdf_to_rub(g))
    if Path(path).suffix.lower() == ".gltf":
        for buffer in document["buffers"]:
            buffer["uri"] = _DATA_URI + base64.b64encode(binary).decode()
        write_bytes(path, json.dumps(document).encode())
        return
    text = json.dumps(document).encode()
    if len(text) + len(binary) > _MAX_GLB_BYTES:
        raise InputError(f"{len(g)} Gaussians fill {len(binary)} bytes: a .glb holds up to 4 GiB, use .ply or .sog")
    chunks = _chunk(_JSON_CHUNK, text, b" ") + (_chunk(_BINARY_CHUNK, binary, b"\0") if binary else b"")
    write_bytes(path, _GLB_MAGIC + struct.pack("<II", 2, 12 + len(chunks)) + chunks)


def _chunk(kind: int, data: bytes, filler: bytes) -> bytes:
    data += filler * (-len(data) % 4)
    return struct.pack("<II", len(data), kind) + data


def _encode(g: Gaussians) -> tuple[dict[str, Any], bytes]:
    """The document and its one buffer; a scene of no Gaussians has no mesh, as glTF allows no empty accessor."""
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": f"unseen {unseen.__version__}"},
        "extensionsUsed": [EXTENSION],
        "scene": 0,
        "scenes": [{"nodes": [0]} if len(g) else {}],
        "buffers": [],
    }
    if not len(g):
        return document, b""
    accessors: list[dict[str, Any]] = []
    views: list[dict[str, int]] = []
    attributes: dict[str, int] = {}
    binary = bytearray()
    for name, values in _attributes(g).items():
        data = values.tobytes()
        attributes[name] = len(accessors)
        byte = values.dtype == np.uint8
        accessor = {
            "bufferView": len(views),
            "componentType": _UNSIGNED_BYTE if byte else _FLOAT,
            "count": len(g),
            "type": {1: "SCALAR", 3: "VEC3", 4: "VEC4"}[values.size // len(g)],
            **({"normalized": True} if byte else {}),
        }
        if name == "POSITION":
            accessor |= {"min": values.min(0).tolist(), "max": values.max(0).tolist()}
        accessors.append(accessor)
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(data), "target": _ARRAY_BUFFER})
        binary += data
    extension = {
        "kernel": "ellipse", "colorSpace": _SRGB, "projection": "perspective", "sortingMethod": "cameraDistance",
    }  # fmt: skip
    primitive = {"attributes": attributes, "mode": _POINTS, "extensions": {EXTENSION: extension}}
    document |= {"nodes": [{"mesh": 0}], "meshes": [{"primitives": [primitive]}], "accessors": accessors}
    document |= {"bufferViews": views, "buffers": [{"byteLength": len(binary)}]}
    return document, bytes(binary)


def _attributes(g: Gaussians) -> dict[str, np.ndarray]:
    """Arrays [N, width] by attribute name, rows a multiple of four bytes."""
    shown = g.rgb.clamp(0, 1).numpy()
    linear = np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)
    scales = g.log_scales.double().exp().clamp(max=torch.finfo(torch.float32).max)
    tensors = {
        "POSITION": g.means,
        f"{EXTENSION}:ROTATION": unit_quaternions(g.quats)[:, [1, 2, 3, 0]],
        f"{EXTENSION}:SCALE": scales,
        f"{EXTENSION}:OPACITY": g.opacities[:, None],
        **dict(zip(_harmonic_names(g.sh_degree), g.sh.unbind(1), strict=True)),
    }
    arrays = {name: np.ascontiguousarray(values.numpy(), "<f4") for name, values in tensors.items()}
    color = to_levels(np.concatenate([linear, g.opacities.numpy()[:, None]], 1), 8).astype(np.uint8)
    return {"POSITION": arrays.pop("POSITION"), "COLOR_0": color, **arrays}


def _harmonic_names(degree: int) -> list[str]:
    return [f"{EXTENSION}:SH_DEGREE_{band}_COEF_{m}" for band in range(degree + 1) for m in range(2 * band + 1)]


class _Source:
    """An open file: its document, its buffers as they are asked for, and how much has been unpacked from them."""

    def __init__(self, path: PathLike, document: dict[str, Any], binary: bytes | None) -> None:
        self.path, self.document, self.binary = path, document, binary
        self._buffers: dict[int, bytes] = {}
        self._unpacked_bytes = 0

    def buffer(self, index: int) -> bytes:
        """Bytes of a buffer: the binary chunk, inside the document, or a file beside it."""
        if index not in self._buffers:
            self._buffers[index] = self._read_buffer(index)
        return self._buffers[index]

    def _read_buffer(self, index: int) -> bytes:
        uri = self.document["buffers"][index].get("uri")
        if uri is None:
            if index != 0 or self.binary is None:
                raise FormatError(f"{self.path} is damaged: it holds no binary data for its buffer {index}")
            return self.binary
        if not str(uri).startswith("data:"):
            return read_sibling(self.path, unquote(str(uri)))
        try:
            return base64.b64decode(str(uri).partition(",")[2], validate=True)
        except binascii.Error as error:
            raise FormatError(f"{self.path} is damaged: its data is no base64") from error

    def accessor(self, index: int) -> np.ndarray:
        """Values as float32 [count, width]; whole numbers are normalised where the accessor says so."""
        accessor = self.document["accessors"][index]
        if "sparse" in accessor or "bufferView" not in accessor:
            raise FormatError(f"{self.path} stores splats in a sparse accessor: expected plain ones")
        view = self.document["bufferViews"][accessor["bufferView"]]
        data = self.buffer(int(view["buffer"]))
        dtype = np.dtype("<" + _COMPONENTS[accessor["componentType"]])
        width, count = _WIDTHS[accessor["type"]], int(accessor["count"])
        row, offset = width * dtype.itemsize, int(view.get("byteOffset", 0))
        stride = int(view.get("byteStride", 0)) or row
        start = offset + int(accessor.get("byteOffset", 0))
        end = min(offset + int(view["byteLength"]), len(data))
        if count < 0 or start < 0 or stride < row or start + stride * (count - 1) + row > end:
            raise FormatError(f"{self.path} is damaged or truncated: {count} values do not fit into its data")
        self._unpacked_bytes += 4 * width * count  # many primitives may point at the same data
        check_expansion(self.path, self._unpacked_bytes, sum(map(len, self._buffers.values())))
        values = np.ndarray((count, width), dtype, data, start, (stride, dtype.itemsize)).astype(np.float32)
        if accessor.get("normalized") and dtype.kind != "f":
            values = np.maximum(values / np.iinfo(dtype).max, -1)
        return values


def _open(path: PathLike) -> _Source:
    """The document, and the binary chunk of a .glb if it has one."""
    data = read_bytes(path)
    if not data.startswith(_GLB_MAGIC):
        if not data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            raise FormatError(f"{path} is not a glTF file: it starts with neither 'glTF' nor JSON")
        return _Source(path, parse_json_object(path, data, "glTF document"), None)
    with damaged_if_it_fails(path, ".glb container"):
        version, length = struct.unpack_from("<II", data, 4)
        if version != 2:
            raise FormatError(f"{path} is a .glb of version {version}: expected version 2")
        if length > len(data):
            raise FormatError(f"{path} is truncated: {len(data)} of its {length} bytes are there")
        chunks: dict[int, bytes] = {}
        start = 12
        while start + 8 <= length:
            size, kind = struct.unpack_from("<II", data, start)
            if start + 8 + size > length:
                raise FormatError(f"{path} is damaged: a chunk of {size} bytes does not fit into the file")
            chunks.setdefault(kind, data[start + 8 : start + 8 + size])
            start += 8 + size
        document = parse_json_object(path, chunks[_JSON_CHUNK], "glTF document")
    return _Source(path, document, chunks.get(_BINARY_CHUNK))


def _splats(source: _Source) -> list[tuple[dict[str, Any], np.ndarray]]:
    """Splat primitives of the scene shown, each with the matrix of its node."""
    nodes, meshes, scenes = (source.document.get(name, []) for name in ("nodes", "meshes", "scenes"))
    children = {int(child) for node in nodes for child in node.get("children", [])}
    roots = scenes[source.document.get("scene", 0)].get("nodes", []) if scenes else {*range(len(nodes))} - children
    found: list[tuple[dict[str, Any], np.ndarray]] = []
    queue, seen = [(int(root), np.eye(4)) for root in roots], set[int]()
    while queue:
        index, parent = queue.pop()
        if index in seen:
            raise FormatError(f"{source.path} is damaged: its node {index} has more than one parent")
        seen.add(index)
        node = nodes[index]
        matrix = parent @ _node_matrix(node)
        if "mesh" in node:
            primitives = meshes[node["mesh"]]["primitives"]
            found += [(p, matrix) for p in primitives if EXTENSION in p.get("extensions", {})]
        queue += [(int(child), matrix) for child in node.get("children", [])]
    return found


def _node_matrix(node: dict[str, Any]) -> np.ndarray:
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    x, y, z, w = map(float, node.get("rotation", (0, 0, 0, 1)))
    matrix = np.eye(4)
    rotation = quaternion_to_matrix(torch.tensor([w, x, y, z], dtype=torch.float64)).numpy()
    matrix[:3, :3] = rotation * np.array(node.get("scale", (1, 1, 1)), np.float64).reshape(3)
    matrix[:3, 3] = np.array(node.get("translation", (0, 0, 0)), np.float64)
    return matrix


def _place(path: PathLike, gaussians: Gaussians, matrix: np.ndarray) -> Gaussians:
    """Gaussians moved by their node."""
    if np.array_equal(matrix, np.eye(4)):
        return gaussians
    scale = float(np.cbrt(np.linalg.det(matrix[:3, :3])))
    rotation = matrix[:3, :3] / (scale or 1)
    if not (scale > 0 and np.allclose(rotation @ rotation.T, np.eye(3), atol=_TOLERANCE)):
        raise FormatError(
            f"{path} places its splats by a matrix that mirrors, shears or scales unevenly: expected a rotation with "
            "one scale; apply the node's transform in the program that made the file"
        )
    turn, shift = (torch.from_numpy(part.astype(np.float32)) for part in (rotation, matrix[:3, 3]))
    return gaussians.transform(turn, shift, scale)


def _decode(source: _Source, primitive: dict[str, Any]) -> Gaussians:
    """Gaussians of one primitive, in the axes of its node."""
    path, degree = source.path, 0
    extension, attributes = primitive["extensions"][EXTENSION], primitive["attributes"]
    if extension.get("extensions"):
        raise FormatError(
            f"{path} holds splats compressed by {', '.join(extension['extensions'])}: expected plain ones"
        )
    for key, expected in (("kernel", "ellipse"), ("colorSpace", _SRGB)):
        if extension.get(key, expected) != expected:
            raise FormatError(f"{path} has splats of {key} {extension[key]!r}: this release reads {expected!r}")
    while degree < MAX_DEGREE and _harmonic_names(degree + 1)[-1] in attributes:
        degree += 1

    means = _read(source, attributes, "POSITION", 3)
    quats, scales, opacities = (
        _read(source, attributes, f"{EXTENSION}:{name}", width, len(means))
        for name, width in (("ROTATION", 4), ("SCALE", 3), ("OPACITY", 1))
    )
    sh = torch.stack([_read(source, attributes, name, 3, len(means)) for name in _harmonic_names(degree)], 1)
    return Gaussians(
        means=means,
        quats=quats[:, [3, 0, 1, 2]],
        log_scales=scales.clamp_min(torch.finfo(torch.float32).tiny).log(),
        logit_opacities=logits(opacities[:, 0]),
        sh0=sh[:, 0].contiguous(),
        shN=sh[:, 1:].contiguous(),
    )


def _read(source: _Source, attributes: dict[str, int], name: str, width: int, num: int | None = None) -> Tensor:
    """An attribute of `num` rows of `width` numbers."""
    if name not in attributes:
        raise FormatError(f"{source.path} is damaged: its splats lack the attribute {name}")
    values = source.accessor(attributes[name])
    if values.shape != (len(values) if num is None else num, width):
        raise FormatError(
            f"{source.path} is damaged: its attribute {name} has shape {values.shape}, expected "
            f"{'any number' if num is None else num} of {width}"
        )
    return torch.from_numpy(values)


def _nothing() -> Gaussians:
    triples = torch.zeros(0, 3)
    return Gaussians.from_rgb(triples, triples, torch.zeros(0, 4), torch.zeros(0), triples)
