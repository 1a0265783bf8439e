import numpy as np
import pytest
import torch

from unseen.core.errors import FormatError, InputError
from unseen.core.gaussians import Gaussians
from unseen.io.axes import rdf_to_rub
from unseen.io.scene import FORMATS, load_gaussians, save_gaussians
from unseen.io.tensors import save_tensors
from unseen.jobs.convert import ConvertRequest, run_convert
from unseen.jobs.info import lines_of, run_info


def scene(num: int = 50, degree: int = 3) -> Gaussians:
    g = torch.Generator().manual_seed(0)
    means, quats = torch.randn(num, 3, generator=g), torch.randn(num, 4, generator=g)
    log_scales, logits = torch.rand(num, 3, generator=g) - 4, torch.randn(num, generator=g)
    sh = torch.rand(num, (degree + 1) ** 2, 3, generator=g)
    return Gaussians(means, quats, log_scales, logits, sh[:, 0], sh[:, 1:])


@pytest.mark.parametrize("target", [f.ending for f in FORMATS if f.save])
def test_from_every_format_to_every_format(tmp_path, target):
    save_gaussians(tmp_path / "first.ply", scene())
    names = [e.ending if e.ending == "meta.json" else f"a{e.ending}" for e in FORMATS if e.save]
    for k, name in enumerate(names):
        folder = tmp_path / str(k)
        run_convert(ConvertRequest(tmp_path / "first.ply", folder / name))
        result = run_convert(ConvertRequest(folder / name, folder / "to" / f"b{target}".replace("bmeta", "meta")))
        assert result["splats"] == 50 and result["splats_left_out"] == 0
        assert result["sh_degree"] == (0 if ".splat" in (target, name[1:]) else 3)
        back = load_gaussians(folder / "to" / f"b{target}".replace("bmeta", "meta"))
        means = scene().means
        assert torch.cdist(back.means, means).min(0).values.max() < 0.02 and back.sh_degree == result["sh_degree"]


def test_fewer_bands_and_fewer_splats(tmp_path):
    g = scene()
    save_gaussians(tmp_path / "a.ply", g)
    request = ConvertRequest(tmp_path / "a.ply", tmp_path / "b.ply", sh_degree=1, max_splats=10)
    result = run_convert(request)
    assert (result["splats"], result["splats_left_out"], result["sh_degree"]) == (10, 40, 1)
    back = load_gaussians(tmp_path / "b.ply")
    weight = g.opacities * g.scales.sort(1).values[:, 1:].prod(1)
    kept = weight.argsort(descending=True)[:10].sort().values  # in the order they had
    assert torch.equal(back.means, g.means[kept]) and torch.equal(back.shN, g.shN[kept, :3])


def test_splats_that_are_not_finite_are_left_out_and_said_to_be(tmp_path):
    g = scene()
    g.sh0[7] = float("inf")
    save_gaussians(tmp_path / "a.ply", g)
    assert run_info(tmp_path / "a.ply")["non_finite"] == 1
    assert run_convert(ConvertRequest(tmp_path / "a.ply", tmp_path / "b.ply"))["splats_left_out"] == 1
    assert run_info(tmp_path / "b.ply")["non_finite"] == 0


def test_up_says_how_the_other_side_stands(tmp_path):
    g = scene()
    save_gaussians(tmp_path / "a.ply", g)
    for target in ("b.spz", "b.glb", "b.gltf"):
        for axes, stored in (("RDF", rdf_to_rub(g)), ("RUB", g)):
            run_convert(ConvertRequest(tmp_path / "a.ply", tmp_path / target, axes))
            assert (load_gaussians(tmp_path / target, axes="RUB").means - stored.means).abs().max() < 1e-5
            run_convert(ConvertRequest(tmp_path / target, tmp_path / "c.ply", axes))
            assert (load_gaussians(tmp_path / "c.ply").means - g.means).abs().max() < 1e-5
    run_convert(ConvertRequest(tmp_path / "b.spz", tmp_path / "b.glb", "RDF"))  # between both nothing turns
    b, c = (load_gaussians(tmp_path / name, axes="RUB") for name in ("b.spz", "b.glb"))
    assert (b.means - c.means).abs().max() < 1e-5


def test_a_page_shows_the_scene_upright(tmp_path):
    save_gaussians(tmp_path / "down.ply", scene())
    save_gaussians(tmp_path / "up.ply", rdf_to_rub(scene()))
    (tmp_path / "one").mkdir()
    run_convert(ConvertRequest(tmp_path / "down.ply", tmp_path / "one/page.html", "RDF"))
    (tmp_path / "up.ply").rename(tmp_path / "one/down.ply")
    run_convert(ConvertRequest(tmp_path / "one/down.ply", tmp_path / "page.HTML", "RUB"))
    assert (tmp_path / "page.HTML").read_text() == (tmp_path / "one/page.html").read_text()


def test_what_cannot_be_written_is_refused_before_the_work(tmp_path):
    for name, words in (("b.ksplat", "only read here"), ("b.obj", "expected a splat file"), ("c.json", "meta.json")):
        with pytest.raises(InputError, match=words):
            run_convert(ConvertRequest(tmp_path / "missing.ply", tmp_path / name))


def test_info_of_gaussians(tmp_path):
    g = scene(200, 2)
    save_gaussians(tmp_path / "a.spz", g, axes="RUB")
    info = run_info(tmp_path / "a.spz")
    assert (info["splats"], info["sh_degree"], info["non_finite"]) == (200, 2, 0) and "+Y up" in info["axes"]
    assert info["bytes"] == (tmp_path / "a.spz").stat().st_size == pytest.approx(200 * info["bytes_per_splat"], abs=1)
    assert info["bounds"]["max"] == pytest.approx(g.means.amax(0).tolist(), abs=1e-4)  # as the file has it
    assert info["percentiles"]["opacity"]["50"] == pytest.approx(float(g.opacities.median()), abs=0.02)
    assert info["percentiles"]["scale"]["95"] == pytest.approx(float(g.scales.quantile(0.95)), rel=0.05)
    text = "\n".join(lines_of(info))
    assert "200" in text and ".spz" in text and "percentiles opacity" in text
    save_gaussians(tmp_path / "b.sog", g.select(torch.zeros(0, dtype=torch.int64)))
    assert run_info(tmp_path / "b.sog")["bounds"] is None and lines_of(run_info(tmp_path / "b.sog"))


def test_info_of_files_of_this_package(tmp_path):
    save_tensors(tmp_path / "a.safetensors", "unseen-track", 1, {"K": torch.eye(3)}, {"fps": 25})
    info = run_info(tmp_path / "a.safetensors")
    assert (info["format"], info["info"], info["tensors"]) == ("unseen-track", {"fps": 25}, {"K": [3, 3]})
    assert any("3 x 3" in line for line in lines_of(info))
    np.savez(tmp_path / "a.npz", expr=np.zeros((4, 100)), fps=25.0)
    assert run_info(tmp_path / "a.npz")["tensors"] == {"expr": [4, 100], "fps": []}
    for name in ("a.safetensors", "a.npz"):
        data = (tmp_path / name).read_bytes()
        for length in range(0, len(data), 5):
            (tmp_path / name).write_bytes(data[:length])
            with pytest.raises(FormatError, match=name):
                run_info(tmp_path / name)
        with pytest.raises(InputError, match="none"):
            run_info(tmp_path / f"none{name[1:]}")
    with pytest.raises(InputError, match="expected a splat file"):
        run_info(tmp_path)
