"""Reading and writing video with FFmpeg's libraries (PyAV)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from types import TracebackType
from typing import Any

import av
import numpy as np
import torch
from av.video.reformatter import Interpolation
from jaxtyping import UInt8
from torch import Tensor

from unseen.core.errors import FormatError, InputError, ResourceError, ShapeError
from unseen.io.atomic import PathLike, as_resource_error, atomic_write
from unseen.io.images import ImageLike, to_uint8_image

# Cubic filter widened to the scale (no aliasing when shrinking), exact rounding, chroma interpolated horizontally too.
_SCALER = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself.

    Attributes:
        width, height: size in pixels as displayed, rotation metadata applied.
        fps: mean frames per second; frames of a variable-rate video are counted, not resampled.
        num_frames: frames stored in the file.
        rotation_deg: counter-clockwise rotation the stored frames need to stand upright, one of 0, 90, 180, 270.
            All reading functions here apply it.
    """

    width: int
    height: int
    fps: float
    num_frames: int
    rotation_deg: int


def probe(path: PathLike, *, min_frames: int = 1) -> VideoInfo:
    """Size, rate and length of a video; counts its packets and decodes only the first frame.

    Raises:
        InputError: no such file, not a video, or fewer than `min_frames` frames.
        FormatError: damaged or truncated file.
    """
    with _open(path) as (container, stream):
        count, first = 0, None
        for packet in container.demux(stream):
            count += packet.size > 0
            if first is None:
                first = next(iter(packet.decode()), None)
        _check_complete(path, stream, count)
        if first is None:
            raise FormatError(f"{path} holds no readable frame: expected a video")
        if count < min_frames:
            raise InputError(f"{path} has {count} frame{'s' * (count != 1)}: expected a video of at least {min_frames}")
        turned = _rotation(first) % 180 == 90
        width, height = (first.height, first.width) if turned else (first.width, first.height)
        return VideoInfo(width, height, _mean_rate(stream, count), count, _rotation(first))


def iter_frames(
    path: PathLike,
    *,
    max_side: int | None = None,
    start: int = 0,
    stop: int | None = None,
    every: int = 1,
    gray: bool = False,
) -> Iterator[UInt8[Tensor, "H W 3"]]:
    """Decode frames one by one, upright, in bounded memory.

    Args:
        path: any container and codec FFmpeg reads.
        max_side: shrink so that the longer side has at most this many pixels; never enlarges.
        start, stop, every: which frames, as in a slice; `stop=None` is the end.
        gray: yield luma as [H, W] instead of [H, W, 3].

    Raises:
        InputError: no such file, or not a video.
        FormatError: the file is damaged or ends before its last frame; frames before that were yielded.
    """
    if start < 0 or every < 1 or (stop is not None and stop < start):
        raise InputError(f"frames {start}:{stop}:{every}: expected 0 <= start <= stop and every >= 1")
    with _open(path) as (container, stream):
        stream.thread_type = "AUTO"
        for frame in islice(_decode(path, container, stream), start, stop, every):
            yield torch.from_numpy(_upright(frame, max_side, "gray" if gray else "rgb24"))


def read_video(
    path: PathLike,
    *,
    max_side: int | None = None,
    start: int = 0,
    stop: int | None = None,
    every: int = 1,
    gray: bool = False,
) -> UInt8[Tensor, "T H W 3"]:
    """All chosen frames of a video as one tensor ([T, H, W] with `gray`); arguments and errors as `iter_frames`.

    Raises:
        InputError: also when the range holds no frame.
    """
    expected = len(range(start, probe(path).num_frames if stop is None else stop, max(every, 1)))
    frames, count = None, 0
    for frame in iter_frames(path, max_side=max_side, start=start, stop=stop, every=every, gray=gray):
        if frames is None:
            frames = torch.empty(max(expected, 1), *frame.shape, dtype=torch.uint8)
        if count == len(frames):  # the container declared fewer frames than it holds
            frames = torch.cat([frames, torch.empty_like(frames)])
        if frame.shape != frames.shape[1:]:
            raise FormatError(f"{path} changes its frame size midway: cut it into videos of one size each")
        frames[count] = frame
        count += 1
    if frames is None:
        raise InputError(f"{path} has no frame in the range {start}:{stop}:{every}")
    return frames[:count]


class VideoWriter:
    """Writes an H.264 mp4 that browsers play (yuv420p, BT.709, index in front), whole or not at all.

        with VideoWriter("turntable.mp4", fps=25) as video:
            for image in images:
                video.write(image)

    The first frame sets the size. Odd sizes are filled up to even ones by repeating the last column or row, which
    4:2:0 chroma needs. If the body raises, no file is left.

    Args:
        path: output, usually .mp4.
        fps: frames per second.
        crf: constant rate factor of x264, 0 (lossless) to 51; 18 is visually near lossless.

    Raises:
        ResourceError: the file cannot be written.
        InputError: `fps` is not positive, or no frame was written.
        ShapeError: a frame is no image or differs in size from the first.
    """

    def __init__(self, path: PathLike, fps: float, crf: int = 18) -> None:
        if not fps > 0:
            raise InputError(f"a video of {fps} frames per second: expected a positive rate")
        self.path = path
        self._rate = Fraction(fps).limit_denominator(1001)
        self._options = {"crf": str(crf), "preset": "medium"}
        self._stream: Any = None
        self._size: tuple[int, ...] = ()
        self.num_frames = 0

    def __enter__(self) -> VideoWriter:
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_write(self.path))
            self._container = av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"})
            stack.push(self._finish)  # runs before the rename; what it raises prevents the rename
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.__exit__(kind, error, trace)

    def write(self, image: ImageLike) -> None:
        """Append one frame: uint8 or float in [0, 1], [H, W, 3] or grey [H, W]."""
        pixels = to_uint8_image(image)
        if self._stream is None:
            self._start(pixels.shape)
        if pixels.shape[:2] != self._size:
            raise ShapeError(f"frame {self.num_frames} is {pixels.shape[:2]}, the first was {self._size} (H, W)")
        pixels = np.pad(pixels, ((0, self._size[0] % 2), (0, self._size[1] % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")
        frame = frame.reformat(
            format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG", interpolation=int(_SCALER)
        )
        frame.pts = self.num_frames
        frame.time_base = 1 / self._rate
        self._encode(frame)
        self.num_frames += 1

    def _finish(self, kind: type[BaseException] | None, *_: Any) -> None:
        try:
            if kind is None and self._stream is None:
                raise InputError(f"no frame was written to {self.path}")
            if kind is None:
                self._encode(None)
        finally:
            self._close(quiet=kind is not None)

    def _start(self, shape: tuple[int, ...]) -> None:
        self._size = shape[:2]
        self._stream = stream = self._container.add_stream("libx264", rate=self._rate, options=self._options)
        stream.height, stream.width = (side + side % 2 for side in self._size)
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1  # BT.709, limited

    def _encode(self, frame: av.VideoFrame | None) -> None:
        try:
            self._container.mux(self._stream.encode(frame))
        except OSError as error:
            raise as_resource_error(error, self.path) from error

    def _close(self, quiet: bool) -> None:
        try:
            self._container.close()
        except (OSError, av.error.FFmpegError) as error:
            if not quiet and isinstance(error, OSError):
                raise as_resource_error(error, self.path) from error
            if not quiet:
                raise ResourceError(f"cannot write {self.path}: {error}") from error


@contextmanager
def _open(path: PathLike) -> Iterator[tuple[Any, Any]]:
    """Container and first video stream of a file; turns FFmpeg's refusals into errors for people."""
    try:
        container = av.open(str(path))
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: expected a video file") from error
    except PermissionError as error:
        raise InputError(f"{path} cannot be read: permission denied") from error
    except IsADirectoryError as error:
        raise InputError(f"{path} is a folder: expected a video file") from error
    except (av.error.FFmpegError, OSError) as error:
        raise FormatError(f"{path} is not a video, or a damaged one: FFmpeg finds no known format in it") from error
    with container:
        name = container.format.name
        if name.endswith("_pipe") or name == "image2":
            raise InputError(f"{path} is a single picture: expected a video")
        if not container.streams.video or container.streams.video[0].codec_context is None:
            kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            raise InputError(f"{path} has no video stream FFmpeg can decode, only {kinds}: expected a video")
        try:
            yield container, container.streams.video[0]
        except av.error.FFmpegError as error:
            raise FormatError(f"{path} is damaged: {error.strerror or error}") from error


def _decode(path: PathLike, container: Any, stream: Any) -> Iterator[av.VideoFrame]:
    packets = frames = 0
    try:
        for packet in container.demux(stream):
            packets += packet.size > 0
            for frame in packet.decode():
                frames += 1
                yield frame
    except av.error.FFmpegError as error:
        raise FormatError(f"{path} is damaged after frame {frames}: {error.strerror or error}") from error
    _check_complete(path, stream, packets)


def _check_complete(path: PathLike, stream: Any, packets: int) -> None:
    if packets < stream.frames:
        raise FormatError(f"{path} ends after {packets} of its {stream.frames} frames: it is truncated, copy it again")


def _rotation(frame: av.VideoFrame) -> int:
    """Counter-clockwise turn that stands the frame upright, to the nearest quarter, in degrees."""
    return round(frame.rotation / 90) % 4 * 90


def _upright(frame: av.VideoFrame, max_side: int | None, pixel_format: str) -> np.ndarray:
    scale = 1.0 if max_side is None else min(1.0, max_side / max(frame.width, frame.height))
    width, height = (max(1, round(side * scale)) for side in (frame.width, frame.height))
    pixels = frame.reformat(width, height, pixel_format, interpolation=int(_SCALER)).to_ndarray()
    return np.ascontiguousarray(np.rot90(pixels, _rotation(frame) // 90))


def _mean_rate(stream: Any, count: int) -> float:
    """Frames per second: the container's mean rate, else length over duration, else FFmpeg's guess, else 25."""
    if stream.average_rate:
        return float(stream.average_rate)
    if stream.duration and stream.time_base:
        return count / float(stream.duration * stream.time_base)
    return float(stream.guessed_rate or 25)
