import re

import numpy as np
import plyfile
import pytest
import torch
from hypothesis import given, settings
from splat_samples import gaussians_strategy, random_gaussians

from unseen.core.errors import FormatError, InputError, ResourceError
from unseen.core.gaussians import Gaussians
from unseen.io.axes import rdf_to_rub
from unseen.io.ply import load_ply, load_points, save_ply

FIELDS = ["means", "quats", "log_scales", "logit_opacities", "sh0", "shN"]


def assert_same_bits(a: Gaussians, b: Gaussians) -> None:
    for name in FIELDS:
        x, y = getattr(a, name).contiguous(), getattr(b, name).contiguous()
        assert x.shape == y.shape and torch.equal(x.view(torch.int32), y.view(torch.int32)), name


@settings(max_examples=25, deadline=None, derandomize=True)
@given(gaussians_strategy)
def test_round_trip_keeps_every_bit(tmp_path_factory, gaussians):
    path = tmp_path_factory.mktemp("ply") / "a.ply"
    save_ply(path, gaussians)
    assert_same_bits(load_ply(path), gaussians)
    first = path.read_bytes()
    save_ply(path, load_ply(path))
    assert path.read_bytes() == first


def test_odd_values_survive(tmp_path):
    g = random_gaussians(6, 1)
    g.means[0] = torch.tensor([float("nan"), float("inf"), -0.0])
    g.logit_opacities[1] = 1e-42  # subnormal
    save_ply(tmp_path / "a.ply", g)
    assert_same_bits(load_ply(tmp_path / "a.ply"), g)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_an_independent_reader_sees_the_layout_of_the_original_code(tmp_path, degree):
    g = random_gaussians(20, degree)
    save_ply(tmp_path / "a.ply", g, comments=["made by a test"])
    ply = plyfile.PlyData.read(str(tmp_path / "a.ply"))
    assert ply.comments == ["made by a test"] and not ply.text and ply.byte_order == "<"
    vertex = ply["vertex"]
    rest = 3 * ((degree + 1) ** 2 - 1)
    names = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"] + [f"f_rest_{i}" for i in range(rest)]
    names += ["opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    assert [p.name for p in vertex.properties] == names
    assert {p.val_dtype for p in vertex.properties} == {"f4"}
    assert np.array_equal(vertex["y"], g.means[:, 1]) and not vertex["nx"].any()
    assert np.array_equal(vertex["rot_0"], g.quats[:, 0]) and np.array_equal(vertex["scale_2"], g.log_scales[:, 2])
    assert np.array_equal(vertex["opacity"], g.logit_opacities) and np.array_equal(vertex["f_dc_1"], g.sh0[:, 1])
    for channel in range(3):
        for k in range(rest // 3):
            assert np.array_equal(vertex[f"f_rest_{channel * (rest // 3) + k}"], g.shN[:, k, channel])


@pytest.mark.parametrize(("text", "order"), [(True, "="), (False, "<"), (False, ">")])
def test_reads_any_order_of_fields_types_and_bytes(tmp_path, text, order):
    g = random_gaussians(15, 1)
    save_ply(tmp_path / "a.ply", g)
    rows = plyfile.PlyData.read(str(tmp_path / "a.ply"))["vertex"].data
    names = [n for n in reversed(rows.dtype.names) if n not in ("nx", "ny", "nz")]
    types = [(n, "f8" if n == "x" else "f4") for n in names] + [("binding_0", "i4"), ("red", "u1")]
    shuffled = np.zeros(len(rows), types)
    for name in names:
        shuffled[name] = rows[name]
    camera = np.array([(1, 2.0)], [("id", "u2"), ("f", "f8")])  # a fixed-size element in front is skipped
    elements = [plyfile.PlyElement.describe(camera, "camera"), plyfile.PlyElement.describe(shuffled, "vertex")]
    plyfile.PlyData(elements, text=text, byte_order=order).write(str(tmp_path / "b.ply"))
    back = load_ply(tmp_path / "b.ply")
    for name in FIELDS:
        assert torch.allclose(getattr(back, name), getattr(g, name), rtol=1e-6, atol=0), name


def write_header(path, *lines, body=b""):
    path.write_bytes("\n".join(["ply", "format binary_little_endian 1.0", *lines, "end_header\n"]).encode() + body)


def test_files_that_are_no_gaussians(tmp_path):
    path = tmp_path / "a.ply"
    with pytest.raises(InputError, match="No such file"):
        load_ply(path)
    path.write_bytes(b"hello")
    with pytest.raises(FormatError, match="does not start with"):
        load_ply(path)
    path.write_bytes(b"ply\nformat ascii 1.0\nelement vertex 3\n")
    with pytest.raises(FormatError, match="header has no end"):
        load_ply(path)
    write_header(path, "element vertex three")
    with pytest.raises(FormatError, match="header line: 'element vertex three'"):
        load_ply(path)
    write_header(path, "element vertex -1", "property float x")
    with pytest.raises(FormatError, match="malformed"):
        load_ply(path)
    xyz = ["property float x", "property float y", "property float z"]
    write_header(
        path, "element vertex 1", *xyz, "element face 1", "property list uchar int vertex_indices", body=b"0" * 99
    )
    with pytest.raises(FormatError, match="is a mesh"):
        load_ply(path)
    write_header(path, "element vertex 1", *xyz, body=b"0" * 12)
    with pytest.raises(FormatError, match="plain point cloud"):
        load_ply(path)
    write_header(
        path,
        "element chunk 1",
        "property float min_x",
        "element vertex 1",
        "property uint packed_position",
        body=b"0" * 8,
    )
    with pytest.raises(FormatError, match=r"no complete compressed \.ply: it lacks packed_rotation"):
        load_ply(path)
    write_header(path, "element face 1", "property list uchar int v", body=b"0" * 9)
    with pytest.raises(FormatError, match="no readable vertex element"):
        load_ply(path)


def test_missing_fields_and_truncation_are_named(tmp_path):
    save_ply(tmp_path / "a.ply", random_gaussians(10, 0))
    data = (tmp_path / "a.ply").read_bytes()
    (tmp_path / "b.ply").write_bytes(data[:-100])
    with pytest.raises(FormatError, match="truncated: 8 of its 10 vertex rows"):
        load_ply(tmp_path / "b.ply")
    (tmp_path / "b.ply").write_bytes(re.sub(rb"float rot_3", b"float rot_x", data))
    with pytest.raises(FormatError, match="lack rot_3"):
        load_ply(tmp_path / "b.ply")
    (tmp_path / "b.ply").write_bytes(re.sub(rb"float nx", b"float f_rest_0", data))
    with pytest.raises(FormatError, match="1 f_rest fields"):
        load_ply(tmp_path / "b.ply")


def test_plain_points(tmp_path):
    kinds = {"x": "f8", "y": "f8", "z": "f4", "red": "u1", "green": "u1", "blue": "u1"}
    values = dict(zip(kinds, (1, 2, 3, 255, 0, 51), strict=True))

    def write(name, fields):
        vertex = np.array([tuple(values[f] for f in fields)], [(f, kinds[f]) for f in fields])
        plyfile.PlyData([plyfile.PlyElement.describe(vertex, "vertex")]).write(tmp_path / name)
        return tmp_path / name

    points, colors = load_points(write("a.ply", list(kinds)))
    assert points.tolist() == [[1, 2, 3]] and torch.allclose(colors, torch.tensor([[1, 0, 0.2]]))
    assert load_points(write("b.ply", ["z", "y", "x"]))[1].tolist() == [[0.5, 0.5, 0.5]]
    with pytest.raises(FormatError, match="has no positions"):
        load_points(write("c.ply", ["x", "red"]))
    with pytest.raises(InputError, match="cannot read"):
        load_points(tmp_path / "none.ply")


def test_unwritable(tmp_path):
    with pytest.raises(ResourceError, match="folder does not exist"):
        save_ply(tmp_path / "none" / "a.ply", random_gaussians(1, 0))


def test_turning_over_is_a_rotation_and_its_own_inverse():
    from unseen.core.rotations import quaternion_to_matrix
    from unseen.core.sh import evaluate_sh

    g = random_gaussians(50, 3)
    turned = rdf_to_rub(g)
    assert_same_bits(rdf_to_rub(turned), g)
    turn = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    assert torch.equal(turned.means, g.means @ turn)

    def covariance(h):
        half = quaternion_to_matrix(h.quats) * h.scales[:, None]
        return half @ half.transpose(1, 2)

    assert torch.allclose(covariance(turned), turn @ covariance(g) @ turn, atol=1e-6)
    dirs = torch.nn.functional.normalize(torch.randn(50, 3, generator=torch.Generator().manual_seed(1)), dim=1)
    assert torch.allclose(evaluate_sh(3, dirs @ turn, turned.sh), evaluate_sh(3, dirs, g.sh), atol=1e-5)
