import numpy as np
import pytest
import torch
from PIL import Image

from unseen.core.errors import FormatError, InputError, ResourceError, ShapeError
from unseen.io.images import read_image, read_image_float, read_mask, to_uint8_image, write_image


def picture(height: int, width: int, channels: int = 3) -> torch.Tensor:
    return torch.randint(0, 256, (height, width, channels), generator=torch.Generator().manual_seed(0)).byte()


@pytest.mark.parametrize("suffix", [".png", ".PNG"])
@pytest.mark.parametrize(("channels", "alpha"), [(3, False), (4, True)])
def test_png_round_trip_is_exact(tmp_path, suffix, channels, alpha):
    image = picture(7, 13, channels)
    write_image(tmp_path / f"a{suffix}", image)
    assert torch.equal(read_image(tmp_path / f"a{suffix}", alpha=alpha), image)


def test_float_images_are_rounded_and_clamped(tmp_path):
    image = torch.tensor([[[-1.0, 0.0, 2.0], [0.5, 127.4 / 255, 127.6 / 255]]])
    write_image(tmp_path / "a.png", image)
    assert read_image(tmp_path / "a.png").tolist() == [[[0, 0, 255], [128, 127, 128]]]
    back = read_image_float(tmp_path / "a.png")
    assert back.dtype == torch.float32 and back.max() == 1


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_formats_stay_close(tmp_path, suffix):
    rows, columns = torch.meshgrid(torch.linspace(0, 1, 40), torch.linspace(0, 1, 60), indexing="ij")
    image = torch.stack([rows, columns, 0.5 * rows + 0.5 * columns], -1)
    write_image(tmp_path / f"a{suffix}", image)
    assert (read_image_float(tmp_path / f"a{suffix}") - image).abs().max() < 0.04


def test_exif_orientation_is_applied(tmp_path):
    upright = picture(16, 24).numpy()
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned: the viewer has to turn it a quarter clockwise
    Image.fromarray(np.rot90(upright).copy()).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png").numpy(), upright)


def test_masks(tmp_path):
    grey = picture(5, 6, 1)
    write_image(tmp_path / "grey.png", grey[..., 0])
    assert torch.equal(read_mask(tmp_path / "grey.png"), grey[..., 0].float() / 255)
    rgba = picture(5, 6, 4)
    write_image(tmp_path / "rgba.png", rgba)
    assert torch.equal(read_mask(tmp_path / "rgba.png"), rgba[..., 3].float() / 255)


def test_sixteen_bit_greys_keep_their_range(tmp_path):
    Image.fromarray(np.array([[0, 257 * 100, 65535]], np.uint16)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png")[0, :, 1].tolist() == [0, 100, 255]


def test_unreadable_pictures(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_image(tmp_path / "none.png")
    with pytest.raises(InputError, match="is a folder"):
        read_image(tmp_path)
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(FormatError, match="not a picture"):
        read_image(tmp_path / "text.png")
    write_image(tmp_path / "whole.png", picture(64, 64))
    (tmp_path / "half.png").write_bytes((tmp_path / "whole.png").read_bytes()[:2000])
    with pytest.raises(FormatError, match="damaged"):
        read_image(tmp_path / "half.png")


def test_unwritable_pictures(tmp_path):
    with pytest.raises(InputError, match="no known picture format"):
        write_image(tmp_path / "a.tga", picture(2, 2))
    with pytest.raises(InputError, match="alpha"):
        write_image(tmp_path / "a.jpg", picture(2, 2, 4))
    with pytest.raises(ResourceError, match="folder does not exist"):
        write_image(tmp_path / "none" / "a.png", picture(2, 2))
    with pytest.raises(ShapeError, match=r"\(2, 2, 5\)"):
        write_image(tmp_path / "a.png", picture(2, 2, 5))
    with pytest.raises(ShapeError, match="int64"):
        write_image(tmp_path / "a.png", torch.zeros(2, 2, 3, dtype=torch.int64))
    assert list(tmp_path.iterdir()) == []


def test_to_uint8_image_repeats_grey_and_takes_booleans():
    assert to_uint8_image(np.array([[True, False]])).tolist() == [[[255] * 3, [0] * 3]]
    assert to_uint8_image(torch.zeros(2, 3, 1)).shape == (2, 3, 3)
