"""Files written here from the format's definition. One of its own writer is read the same (docs/formats.md)."""

import struct

import numpy as np
import pytest
import torch
from splat_samples import assert_close, random_gaussians

from unseen.core.errors import FormatError
from unseen.core.sh import rgb_to_sh0
from unseen.io.ksplat import load_ksplat

BLOCK, STEPS = 5.0, 32767


def section_data(g, level, bucket_size=4):
    """Header and body of a section: full buckets of `bucket_size`, the rest in two partly filled ones."""
    full = (len(g) - 1) // bucket_size - 1
    lengths = [len(g) - full * bucket_size - 1, 1]
    index = np.repeat(np.arange(full + 2), [bucket_size] * full + lengths)
    means = g.means.numpy()
    centres = np.stack([(means[index == k].min(0) + means[index == k].max(0)) / 2 for k in range(full + 2)]).astype(
        "<f4"
    )
    body = struct.pack("<2I", *lengths) + centres.tobytes() if level else b""
    rgba = np.rint(torch.cat([g.rgb.clamp(0, 1), g.opacities[:, None]], 1).numpy() * 255).astype("u1")
    fine = "<f2" if level else "<f4"
    bands = [g.shN[:, b * b - 1 : (b + 1) ** 2 - 1].transpose(1, 2).flatten(1) for b in range(1, g.sh_degree + 1)]
    harmonics = torch.cat([torch.zeros(len(g), 0), *bands], 1).numpy()
    coded = np.rint((harmonics + 1.5) / 3 * 255).astype("u1") if level == 2 else harmonics.astype(fine)
    steps = np.rint((means - centres[index]) / (BLOCK / 2 / STEPS) + STEPS).astype("<u2") if level else means
    for k in range(len(g)):
        scale, quat = g.scales[k].numpy().astype(fine), g.quats[k].numpy().astype(fine)
        body += steps[k].tobytes() + scale.tobytes() + quat.tobytes() + rgba[k].tobytes() + coded[k].tobytes()
    buckets = (full, 2, full + 2) if level else (0, 0, 0)
    header = struct.pack("<IIIIfHxxIIIIH", len(g), len(g), bucket_size, buckets[2], BLOCK, 12, STEPS if level else 1, 0,
                         buckets[0], buckets[1], g.sh_degree)  # fmt: skip
    return header.ljust(1024, b"\0"), body


def write(path, parts, level):
    sections = [section_data(g, level) for g in parts]
    header = struct.pack("<BBxxIIIIH", 0, 1, len(parts), len(parts), 0, sum(map(len, parts)), level)
    header = header.ljust(36, b"\0") + struct.pack("<2f", -1.5, 1.5)
    path.write_bytes(header.ljust(4096, b"\0") + b"".join(h for h, _ in sections) + b"".join(b for _, b in sections))


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("degree", [0, 1, 2])
def test_every_level(tmp_path, level, degree):
    parts = [random_gaussians(18, degree, 1), random_gaussians(11, degree, 2)]
    for g in parts:
        g.means.mul_(0.3)
        g.log_scales.clamp_(-5, 0)
        g.sh0.copy_(rgb_to_sh0(g.rgb.clamp(0, 1)))
    write(tmp_path / "a.ksplat", parts, level)
    bounds = {"opacity": 0.51 / 255, "rgb": 0.51 / 255}
    if level:
        bounds |= {"position": 0.51 * BLOCK / 2 / STEPS, "log_scale": 2e-3, "rotation": 2e-3, "sh": 5e-4}
    if level == 2:
        bounds["sh"] = 0.51 * 3 / 255
    whole = type(parts[0]).cat(parts)
    assert_close(load_ksplat(tmp_path / "a.ksplat"), whole, **bounds)


def test_sections_of_different_degrees_are_filled_up(tmp_path):
    write(tmp_path / "a.ksplat", [random_gaussians(9, 0), random_gaussians(9, 1)], 0)
    g = load_ksplat(tmp_path / "a.ksplat")
    assert g.sh_degree == 1 and not g.shN[:9].any() and g.shN[9:].any()


def test_what_is_no_readable_ksplat(tmp_path):
    path = tmp_path / "a.ksplat"
    write(path, [random_gaussians(9, 1)], 1)
    data = path.read_bytes()
    for changed, words in [
        (data[:4000], "not a .ksplat"),
        (b"\1" + data[1:], "version 0.1"),
        (data[:20] + b"\3" + data[21:], "level 3"),
        (data[:4096], "1 sections do not fit"),
        (data[:-1], "ends at byte"),
        (data[: 4096 + 40] + b"\4" + data[4096 + 41 :], "degree 4"),
    ]:
        path.write_bytes(changed)
        with pytest.raises(FormatError, match=words):
            load_ksplat(path)
