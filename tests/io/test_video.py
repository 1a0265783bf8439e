from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from unseen.core.errors import FormatError, InputError, ResourceError, ShapeError
from unseen.io.video import VideoWriter, iter_frames, probe, read_video


def moving_square(num_frames: int, height: int, width: int) -> torch.Tensor:
    """Smooth background with a red square at the upper left that moves right, uint8 [T, H, W, 3]."""
    frames = torch.full((num_frames, height, width, 3), 60, dtype=torch.uint8)
    frames[..., 2] = torch.linspace(0, 200, width).byte()
    for t in range(num_frames):
        frames[t, 2 : height // 3, 2 + t : 2 + t + width // 4] = torch.tensor([220, 30, 40], dtype=torch.uint8)
    return frames


def write(path, frames, fps=25.0, **options):
    with VideoWriter(path, fps, **options) as video:
        for frame in frames:
            video.write(frame)
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write(tmp_path_factory.mktemp("video") / "clip.mp4", moving_square(12, 48, 64))


def test_round_trip_keeps_colours_and_frames(tmp_path):
    frames = moving_square(10, 48, 64)
    path = write(tmp_path / "a.mp4", frames, fps=30, crf=4)
    info = probe(path)
    assert (info.width, info.height, info.num_frames, info.rotation_deg) == (64, 48, 10, 0)
    assert info.fps == pytest.approx(30)
    back = read_video(path)
    assert back.dtype == torch.uint8 and back.shape == frames.shape
    assert (back.float() - frames.float()).abs().mean() < 2.5
    inner = back[5, 5:13, 12:18].float().mean((0, 1))  # flat colour, away from chroma edges
    assert (inner - torch.tensor([220.0, 30.0, 40.0])).abs().max() < 4


def test_floats_and_grey_frames_are_taken(tmp_path):
    path = write(tmp_path / "a.mp4", [torch.full((8, 8, 3), 0.5), np.full((8, 8), 128, np.uint8)])
    assert (read_video(path).float() - 128).abs().max() <= 2


def test_odd_sizes_are_filled_by_one_pixel(tmp_path):
    frames = moving_square(3, 33, 47)
    back = read_video(write(tmp_path / "a.mp4", frames, crf=4))
    assert back.shape == (3, 34, 48, 3)
    assert (back[:, :33, :47].float() - frames.float()).abs().mean() < 2.5
    assert (back[:, 33].float() - back[:, 32].float()).abs().mean() < 4


def test_browsers_can_play_it(clip):
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.codec_context.pix_fmt == "yuv420p"
    data = clip.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_ranges(clip):
    whole = read_video(clip)
    assert torch.equal(read_video(clip, start=3, stop=9, every=2), whole[3:9:2])
    assert torch.equal(torch.stack(list(iter_frames(clip, every=5))), whole[::5])
    assert read_video(clip, stop=100).shape[0] == 12
    with pytest.raises(InputError, match="no frame in the range"):
        read_video(clip, start=12)
    with pytest.raises(InputError, match="every >= 1"):
        read_video(clip, every=0)


def test_grey_and_shrunk(clip):
    grey = read_video(clip, gray=True)
    assert grey.shape == (12, 48, 64)
    luma = read_video(clip).float() @ torch.tensor([0.299, 0.587, 0.114])
    assert (grey - luma).abs().mean() < 2
    assert read_video(clip, max_side=32).shape == (12, 24, 32, 3)
    assert read_video(clip, max_side=500).shape == (12, 48, 64, 3)


def test_shrinking_does_not_alias(tmp_path):
    stripes = (torch.arange(256) % 2 * 255).byte().expand(256, 256)  # averages to grey; point sampling gives 0 or 255
    back = read_video(write(tmp_path / "a.mp4", [stripes] * 2, crf=0), max_side=64)
    assert (back[:, 4:-4, 4:-4].float() - 127.5).abs().max() < 20


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_rotation_metadata_stands_the_picture_upright(tmp_path, rotation):
    upright = moving_square(3, 48, 64).numpy()
    stored = np.rot90(upright, -rotation // 90, axes=(1, 2))
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "2"})
        stream.height, stream.width, stream.pix_fmt = stored.shape[1], stored.shape[2], "yuv420p"
        stream.set_display_rotation(rotation)
        for frame in stored:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")))
        container.mux(stream.encode(None))
    info = probe(tmp_path / "a.mp4")
    assert (info.width, info.height, info.rotation_deg) == (64, 48, rotation % 360)
    back = read_video(tmp_path / "a.mp4")
    assert back.shape == upright.shape
    assert (back.float() - torch.from_numpy(upright).float()).abs().mean() < 4
    assert read_video(tmp_path / "a.mp4", max_side=32).shape == (3, 24, 32, 3)


def test_variable_frame_rate_keeps_every_frame(tmp_path):
    times_ms = [0, 40, 50, 200, 210, 500]
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 16, 16, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for index, time_ms in enumerate(times_ms):
            frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 40 * index, np.uint8), "rgb24")
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    levels = read_video(tmp_path / "a.mp4").float().mean((1, 2, 3))
    assert (levels - 40 * torch.arange(6)).abs().max() < 5
    assert 5 < probe(tmp_path / "a.mp4").fps < 24


def test_containers_without_a_frame_count(tmp_path):
    frames = moving_square(5, 32, 32)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.numpy(), "rgb24")))
        container.mux(stream.encode(None))
    assert probe(tmp_path / "a.mkv").num_frames == 5
    assert len(read_video(tmp_path / "a.mkv")) == 5


def test_what_is_not_a_video(tmp_path, clip):
    with pytest.raises(InputError, match="does not exist"):
        probe(tmp_path / "none.mp4")
    with pytest.raises(InputError, match="is a folder"):
        probe(tmp_path)
    (tmp_path / "text.mp4").write_text("hello")
    with pytest.raises(FormatError, match="not a video"):
        probe(tmp_path / "text.mp4")
    (tmp_path / "empty.mp4").write_bytes(b"")
    with pytest.raises(FormatError, match="not a video"):
        read_video(tmp_path / "empty.mp4")
    from unseen.io.images import write_image

    write_image(tmp_path / "picture.png", torch.zeros(8, 8, 3))
    with pytest.raises(InputError, match="single picture"):
        read_video(tmp_path / "picture.png")
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(InputError, match="only audio"):
        probe(tmp_path / "sound.wav")


def test_too_few_frames(tmp_path):
    path = write(tmp_path / "one.mp4", moving_square(1, 16, 16))
    assert len(read_video(path)) == 1
    with pytest.raises(InputError, match="has 1 frame: expected a video of at least 2"):
        probe(path, min_frames=2)


@pytest.mark.parametrize("keep", [0.3, 0.7])
def test_truncated_file(tmp_path, keep):
    noise = torch.randint(0, 256, (20, 64, 64, 3), generator=torch.Generator().manual_seed(0)).byte()
    data = write(tmp_path / "whole.mp4", noise).read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: int(keep * len(data))])
    for read in (probe, read_video):
        with pytest.raises(FormatError, match=r"cut\.mp4") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_a_failing_body_or_no_frame_leaves_no_file(tmp_path):
    with pytest.raises(RuntimeError, match="stop"), VideoWriter(tmp_path / "a.mp4", 25) as video:
        video.write(torch.zeros(16, 16, 3))
        raise RuntimeError("stop")
    with pytest.raises(InputError, match="no frame was written"), VideoWriter(tmp_path / "a.mp4", 25):
        pass
    with pytest.raises(ShapeError, match=r"frame 1 is \(8, 16\)"), VideoWriter(tmp_path / "a.mp4", 25) as video:
        video.write(torch.zeros(16, 16, 3))
        video.write(torch.zeros(8, 16, 3))
    with pytest.raises(InputError, match="positive rate"):
        VideoWriter(tmp_path / "a.mp4", 0)
    assert list(tmp_path.iterdir()) == []


def test_refused_writes(tmp_path):
    with pytest.raises(ResourceError, match="folder does not exist"), VideoWriter(tmp_path / "none" / "a.mp4", 25):
        pass
