"""Reading of what other programs may write; what we write is read by others in test_other_programs.py."""

import base64
import json
import struct

import numpy as np
import pytest
import torch
from splat_samples import assert_close, random_gaussians, rotation_error

from unseen.core.errors import FormatError
from unseen.core.rotations import quaternion_multiply
from unseen.io.gltf import EXTENSION, load_gltf, save_gltf


def saved(tmp_path, gaussians):
    """The document of a .gltf of these Gaussians, to change and write again."""
    save_gltf(tmp_path / "a.gltf", gaussians, axes="RUB")
    return json.loads((tmp_path / "a.gltf").read_text())


def load(tmp_path, document):
    (tmp_path / "b.gltf").write_text(json.dumps(document))
    return load_gltf(tmp_path / "b.gltf", axes="RUB")


def test_the_container_is_what_the_definition_says(tmp_path):
    save_gltf(tmp_path / "a.glb", random_gaussians(3, 1))
    data = (tmp_path / "a.glb").read_bytes()
    magic, version, length, size, kind = struct.unpack_from("<4sIIII", data)
    assert (magic, version, length, kind) == (b"glTF", 2, len(data), 0x4E4F534A) and size % 4 == 0
    document = json.loads(data[20 : 20 + size])
    binary, kind = struct.unpack_from("<II", data, 20 + size)
    assert kind == 0x004E4942 and binary == document["buffers"][0]["byteLength"] and 28 + size + binary == len(data)
    names = document["meshes"][0]["primitives"][0]["attributes"]
    assert set(names) == {
        "POSITION", "COLOR_0", *(f"{EXTENSION}:{n}" for n in ("ROTATION", "SCALE", "OPACITY")),
        *(f"{EXTENSION}:SH_DEGREE_{d}_COEF_{c}" for d, c in ((0, 0), (1, 0), (1, 1), (1, 2))),
    }  # fmt: skip


def test_nodes_place_their_splats(tmp_path):
    g = random_gaussians(5, 0)
    document = saved(tmp_path, g)
    half = 0.5**0.5
    turn = [half, 0, 0, half]  # xyzw, a quarter about x: y to z
    document["nodes"] = [
        {"children": [1, 2], "translation": [1, 0, 0]},
        {"mesh": 0, "rotation": turn, "scale": [2, 2, 2]},
        {"mesh": 0, "matrix": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 5, 0, 1]},
    ]
    back = load(tmp_path, document)
    assert len(back) == 10
    shifted, turned = (back.select(torch.arange(5 * k, 5 * k + 5)) for k in (0, 1))
    if not torch.allclose(shifted.means, g.means + torch.tensor([1.0, 5, 0]), atol=1e-5):
        shifted, turned = turned, shifted
    assert torch.allclose(shifted.means, g.means + torch.tensor([1.0, 5, 0]), atol=1e-5)
    x, y, z = (2 * g.means).T
    assert torch.allclose(turned.means, torch.stack([x + 1, -z, y], 1), atol=1e-5)
    assert torch.allclose(turned.log_scales, g.log_scales + np.log(2), atol=1e-5)
    want = quaternion_multiply(torch.tensor([half, half, 0, 0]).expand(5, 4), g.quats)
    assert (rotation_error(turned.quats, want) < 1e-5).all()


@pytest.mark.parametrize("node", [{"scale": [1, 2, 1]}, {"scale": [-1, 1, 1]}, {"scale": [0, 0, 0]}])
def test_placements_no_gaussian_can_follow(tmp_path, node):
    document = saved(tmp_path, random_gaussians(2, 0))
    document["nodes"][0] |= node
    with pytest.raises(FormatError, match="mirrors, shears or scales unevenly"):
        load(tmp_path, document)


def test_nodes_in_a_circle_and_nodes_without_a_scene(tmp_path):
    document = saved(tmp_path, random_gaussians(2, 0))
    document["nodes"] = [{"mesh": 0, "children": [1]}, {"children": [0]}]
    with pytest.raises(FormatError, match="more than one parent"):
        load(tmp_path, document)
    del document["scenes"], document["scene"]
    document["nodes"] = [{"children": [1]}, {"mesh": 0}]
    assert len(load(tmp_path, document)) == 2


def test_whole_numbers_strides_and_files_beside(tmp_path):
    """Opacity as normalised bytes and rotation as normalised shorts, interleaved, in a file of its own."""
    document = saved(tmp_path, random_gaussians(2, 0))
    rows = b"".join(struct.pack("<4hBxxx", *q, a) for q, a in (((0, 0, 0, 32767), 51), ((32767, 0, 0, -32768), 255)))
    (tmp_path / "more data.bin").write_bytes(b"????" + rows)
    document["buffers"].append({"uri": "more%20data.bin", "byteLength": len(rows) + 4})
    view = {"buffer": 1, "byteOffset": 4, "byteLength": len(rows), "byteStride": 12}
    document["bufferViews"].append(view)
    last = len(document["bufferViews"]) - 1
    attributes = document["meshes"][0]["primitives"][0]["attributes"]
    shared = {"bufferView": last, "count": 2, "normalized": True}
    document["accessors"][attributes[f"{EXTENSION}:ROTATION"]] = {**shared, "componentType": 5122, "type": "VEC4"}
    opacity = {**shared, "byteOffset": 8, "componentType": 5121, "type": "SCALAR"}
    document["accessors"][attributes[f"{EXTENSION}:OPACITY"]] = opacity
    back = load(tmp_path, document)
    assert torch.allclose(back.opacities, torch.tensor([0.2, 1.0]), atol=1e-5)
    assert back.quats.tolist() == [[1, 0, 0, 0], [-1, 1, 0, 0]]
    view["byteLength"] -= 5
    with pytest.raises(FormatError, match="do not fit"):
        load(tmp_path, document)


def test_what_this_release_does_not_read(tmp_path):
    document = saved(tmp_path, random_gaussians(2, 1))
    primitive = document["meshes"][0]["primitives"][0]
    extension = primitive["extensions"][EXTENSION]
    for key, value, words in [
        ("kernel", "box", "kernel 'box'"),
        ("colorSpace", "lin_rec709_display", "colorSpace 'lin_rec709_display'"),
        ("extensions", {"KHR_gaussian_splatting_compression_spz_2": {}}, "compressed by KHR_gaussian_splatting_c"),
    ]:
        changed = json.loads(json.dumps(document))
        changed["meshes"][0]["primitives"][0]["extensions"][EXTENSION] = {**extension, key: value}
        with pytest.raises(FormatError, match=words):
            load(tmp_path, changed)
    del primitive["attributes"][f"{EXTENSION}:SH_DEGREE_1_COEF_1"]
    with pytest.raises(FormatError, match=r"lack the attribute .*SH_DEGREE_1_COEF_1"):
        load(tmp_path, document)
    del primitive["extensions"], document["extensionsUsed"]
    with pytest.raises(FormatError, match="holds no 3D Gaussians"):
        load(tmp_path, document)


def test_many_primitives_of_the_same_data_do_not_fill_the_memory(tmp_path):
    document = saved(tmp_path, random_gaussians(50_000, 0))
    document["meshes"][0]["primitives"] *= 300
    with pytest.raises(FormatError, match="announces"):
        load(tmp_path, document)


def test_both_forms_hold_the_same(tmp_path):
    g = random_gaussians(20, 2)
    for name in ("a.glb", "a.gltf"):
        save_gltf(tmp_path / name, g)
        assert_close(load_gltf(tmp_path / name), g)
    uri = json.loads((tmp_path / "a.gltf").read_text())["buffers"][0]["uri"]
    assert base64.b64decode(uri.partition(",")[2])[:12] == g.means[0].mul(torch.tensor([1.0, -1, -1])).numpy().tobytes()
