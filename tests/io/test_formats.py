"""Every format: round trips inside what its quantisation allows, for ordinary and for extreme scenes."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from splat_samples import assert_close, matched, random_gaussians

from unseen.core.errors import InputError
from unseen.core.gaussians import Gaussians
from unseen.core.sh import C0
from unseen.io.axes import rdf_to_rub
from unseen.io.ordering import spatial_order
from unseen.io.scene import FORMATS, SUFFIXES, format_of, load_gaussians, save_gaussians, stored_bytes
from unseen.io.spz import _fractional_bits

WRITTEN = [f.ending for f in FORMATS if f.save]
SMALLEST_THREE = 2 * math.sqrt(12)  # radians for an error of one in three components: the fourth may err threefold


def path_of(folder, ending):
    return folder / (ending if ending == "meta.json" else f"scene{ending}")


@st.composite
def extreme_scenes(draw) -> Gaussians:
    """Scenes with what trained ones hardly hold: huge and vanishing extents, opacities of 0 and 1, quaternions that
    are zero, tiny or huge, harmonics far outside."""
    n, degree = draw(st.sampled_from([0, 1, 2, 3, 255, 256, 257, 300])), draw(st.integers(0, 3))
    g = random_gaussians(n, degree, draw(st.integers(0, 2**31)))
    factors = [draw(st.sampled_from(choices)) for choices in ([0, 1, 1e4], [0, 1, 5], [0, 1, 300], [0, 1e-20, 1, 1e20],
                                                              [0, 1, 10], [0, 1, 10])]  # fmt: skip
    g = Gaussians(
        g.means * factors[0], g.quats * factors[3], g.log_scales * factors[1], g.logit_opacities * factors[2],
        g.sh0 * factors[4], g.shN * factors[5],
    )  # fmt: skip
    if n:
        g.log_scales[0], g.logit_opacities[0], g.quats[0] = draw(st.sampled_from([-100.0, 0.0, 100.0])), 1000.0, 0.0
        g.logit_opacities[-1] = -1000.0
    return g


def span(values: torch.Tensor) -> float:
    return float(values.max() - values.min()) if values.numel() else 0.0


def expected(g: Gaussians, ending: str) -> tuple[Gaussians, dict[str, float]]:
    """What a file must give back, in its order, and how far it may be off."""
    identity = g.quats.new_tensor([1.0, 0, 0, 0])
    g = replace(g, quats=torch.where(g.quats.norm(dim=1, keepdim=True) > 0, g.quats, identity))
    g = replace(g, quats=g.quats / g.quats.abs().amax(1, keepdim=True) if len(g) else g.quats)
    reach = float(g.means.abs().max()) if len(g) else 0.0
    bounds = {"opacity": 0.51 / 255, "position": 4e-7 * reach + 1e-7}
    if ending == ".compressed.ply":
        g = replace(
            g.select(spatial_order(g.means)), log_scales=g.select(spatial_order(g.means)).log_scales.clamp(-20, 20)
        )
        bounds |= {"position": span(g.means) / 2046 + 1e-6 * reach, "log_scale": span(g.log_scales) / 2046 + 1e-5}
        bounds |= {"rgb": span(g.rgb) / 510 + 1e-5, "sh": 1.001 / 64, "rotation": SMALLEST_THREE * 0.5**0.5 / 1023}
        beyond = (g.shN.abs() > 4 - 1 / 32).any()
        return replace(g, shN=g.shN.clamp(-4, 4)), bounds | ({"sh": 1.001 / 32} if beyond else {})
    if ending == ".spz":
        beyond = bool((g.shN.abs() > 127 / 128).any())  # the ends are -128 and 127, turned by the axes
        g = replace(g, log_scales=g.log_scales.clamp(-10, 5.9375), shN=g.shN.clamp(-1, 1))
        g = replace(g, sh0=g.sh0.clamp(-0.5 / 0.15, 0.5 / 0.15))
        bounds |= {"position": 2.0 ** -(_fractional_bits(g.means) + 1) + 1e-7 * reach, "log_scale": 0.501 / 16}
        return g, bounds | {
            "rgb": 0.51 * C0 / 255 / 0.15,
            "sh": (1.001 if beyond else 0.501) / 128,
            "rotation": SMALLEST_THREE * 0.5**0.5 / 1022,
        }
    if ending in (".sog", "meta.json"):
        g = g.select(spatial_order(g.means))
        step = 2 * math.log1p(reach) / 65535 / 2
        bounds |= {"position": (1 + reach) * math.expm1(step) + 1e-6 * reach + 1e-6}
        bounds |= {"log_scale": span(g.log_scales) / 126 + 1e-5, "rgb": C0 * span(g.sh0) / 126 + 1e-5}
        return g, bounds | {"sh": span(g.shN) / 126 + 1e-5, "rotation": SMALLEST_THREE * 0.5**0.5 / 255}
    limits = torch.finfo(torch.float32)
    g = replace(g, log_scales=g.log_scales.clamp(math.log(limits.tiny), math.log(limits.max)))
    if ending == ".splat":
        g = replace(g, sh0=(g.rgb.clamp(0, 1) - 0.5) / C0, shN=g.shN[:, :0])
        return g, bounds | {"log_scale": 2e-5, "rgb": 0.51 / 255, "rotation": 4 / 128}
    return g, {"opacity": 2e-6, "log_scale": 2e-5}  # glTF


@pytest.mark.parametrize("ending", [e for e in WRITTEN if e != ".ply"])
@settings(max_examples=25, deadline=None, derandomize=True)
@given(scene=extreme_scenes())
def test_round_trip_inside_the_quantisation(tmp_path_factory, ending, scene):
    path = path_of(tmp_path_factory.mktemp("scene"), ending)
    save_gaussians(path, scene)
    back = load_gaussians(path)
    if ending == ".splat":  # in another order, which only distinct positions tell
        if span(scene.means) == 0 < len(scene):
            return
        scene = matched(back, scene)
    want, bounds = expected(scene, ending)
    assert_close(back, want, **bounds)
    for values in vars(back).values():
        assert values.isfinite().all()


@pytest.mark.parametrize("ending", WRITTEN)
def test_non_finite_are_left_out_but_of_ply(tmp_path, ending):
    g = random_gaussians(6, 1)
    g.means[2, 1], g.shN[4, 0, 0] = float("nan"), float("inf")
    save_gaussians(path_of(tmp_path, ending), g)
    kept = load_gaussians(path_of(tmp_path, ending))
    assert len(kept) == {".ply": 6, ".splat": 4}.get(ending, 4)


@pytest.mark.parametrize("ending", WRITTEN)
def test_the_same_scene_gives_the_same_bytes(tmp_path, ending):
    g = random_gaussians(300, 2)
    contents = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        save_gaussians(path_of(tmp_path / name, ending), g)
        contents.append({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()})
        assert stored_bytes(path_of(tmp_path / name, ending)) == sum(map(len, contents[-1].values()))
    assert contents[0] == contents[1]


@pytest.mark.parametrize("ending", WRITTEN)
def test_axes_are_turned_where_the_format_fixes_them(tmp_path, ending):
    g = random_gaussians(40, 1)
    save_gaussians(path_of(tmp_path, ending), g, axes="RDF")
    as_it_was, turned = (load_gaussians(path_of(tmp_path, ending), axes=axes) for axes in ("RDF", "RUB"))
    want = rdf_to_rub(as_it_was) if format_of(path_of(tmp_path, ending)).y_up else as_it_was
    assert torch.equal(turned.means, want.means) and torch.equal(turned.shN, want.shN)
    assert format_of(path_of(tmp_path, ending)).y_up == (ending in (".spz", ".glb", ".gltf"))


def test_names_decide():
    assert format_of("a.compressed.PLY").ending == ".compressed.ply" and format_of("a.b.ply").ending == ".ply"
    assert format_of("folder/meta.json").ending == "meta.json"
    assert SUFFIXES == (".glb", ".gltf", ".ksplat", ".ply", ".sog", ".splat", ".spz")
    with pytest.raises(InputError, match="expected a splat file"):
        format_of("folder/other.json")
    with pytest.raises(InputError, match="only read here"):
        save_gaussians("a.ksplat", random_gaussians(1, 0))
