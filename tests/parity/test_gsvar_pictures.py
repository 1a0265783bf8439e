"""GS-VAR's handling of whole pictures against recordings: colour fix and tiling."""

import torch

from unseen.priors.fixer.colour import blurred, match_low_frequencies, match_statistics, split_frequencies, statistics
from unseen.priors.fixer.tiling import Tiling

TILES = Tiling(32, 8)


def reference_window(side=32, deviation=0.1, centre=(16.0, 15.5)):
    """The recording's weights, a normal density half a row too low: ours are others, what is done with them is not."""
    steps = torch.arange(side, dtype=torch.float64)
    lines = [torch.exp(-(((steps - c) / side) ** 2) / (2 * deviation**2)) for c in centre]
    return torch.outer(*lines) / (2 * torch.pi * deviation**2)


def picture(recording, name):
    return (recording[name].float() / 255)[None].permute(0, 2, 3, 1)


def planes(images):
    return images.permute(0, 3, 1, 2)


def eight_bit(images):
    return (planes(images)[0].clamp(0, 1) * 255).to(torch.uint8)


def test_colours(gsvar):
    recording = gsvar("colour_a")
    content, style, same_size = (picture(recording, f"{n}_u8") for n in ("content", "style", "style_same_size"))
    for name, images in {"content": content, "style": style}.items():
        mean, deviation = statistics(images)
        recording.check(f"{name}_mean", planes(mean))
        recording.check(f"{name}_std", planes(deviation))
    matched = match_statistics(content, style)
    recording.check("adain", planes(matched))
    recording.check("adain_u8", eight_bit(matched))
    for radius in (1, 4, 16):
        recording.check(f"blur_r{radius}", planes(blurred(content, radius)))
    high, low = split_frequencies(content)
    recording.check("content_high", planes(high))
    recording.check("content_low", planes(low))
    recording.check("style_low", planes(split_frequencies(same_size)[1]))
    corrected = match_low_frequencies(content, same_size)
    recording.check("wavelet", planes(corrected))
    recording.check("wavelet_u8", eight_bit(corrected))
    assert not recording.unchecked()


def test_tiling(gsvar):
    recording = gsvar("tiling_a")
    window = reference_window()
    recording.check("weights", window)
    for width, height in recording.config["sizes"]:
        name = f"{width}x{height}"
        grid = recording[f"{name}/grid"]
        size = grid.shape[2:]
        recording.check(f"{name}/positions", torch.tensor(TILES.places(*size)))
        tiles = TILES.cut(grid)
        total = torch.zeros(size)
        for i, j in TILES.places(*size):
            total[i : i + TILES.tile, j : j + TILES.tile] += window.float()
        recording.check(f"{name}/weight_sum", total)
        for kind in ("fixed", "tile"):
            made = stub_fixer(recording["affine"], tiles, varies=kind == "tile")
            joined = TILES.join(made, *size, window)
            recording.check(f"{name}/blend_{kind}", joined[:, : recording.config["keep_channels"]])
    assert not recording.unchecked()


def stub_fixer(affine, tiles, varies):
    """What the recording had in a fixer's place: affine in the grid and, to make seams, in the tile and the cell."""
    a, b, d, e, g = (row[:, None, None] for row in affine)
    made = a * tiles[:, torch.arange(affine.shape[1]) % 3] + b
    if not varies:
        return made
    number = torch.arange(len(tiles))[:, None, None, None]
    place = (torch.arange(TILES.tile) - 15.5) / TILES.tile
    return made + d * number / 8 + e * place[:, None] + g * place
