"""Read the frames of videos, and write frames as a video."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self, overload

import cv2

from cfgtrain.arguments import check_integer, check_positive, check_type
from cfgtrain.errors import ArgumentError, FileContentError
from cfgtrain.fileio.uri import display_name
from cfgtrain.filesystem.atomic import replace_when_done
from cfgtrain.image.array import Array
from cfgtrain.image.io import imread, imwrite
from cfgtrain.utils.paths import check_file_exist, mkdir_or_exist, scandir
from cfgtrain.utils.progressbar import track_iter_progress

__all__ = ["Cache", "VideoReader", "frames2video"]

_SKIP_FORWARD = 32  # frames; reading so many is faster than a seek, which decodes from the last key frame


class FrameIndexError(ArgumentError, IndexError):
    """A video has no frame with this index."""


class Cache:
    """A mapping with a limited number of items. When it is full, a new item replaces the oldest.

    Args:
        capacity: The maximum number of items.

    Raises:
        ArgumentError: ``capacity`` is not positive.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = check_integer("capacity", capacity, 1)
        self._items: OrderedDict[Any, Any] = OrderedDict()

    @property
    def capacity(self) -> int:
        """The maximum number of items."""
        return self._capacity

    @property
    def size(self) -> int:
        """The current number of items."""
        return len(self._items)

    def put(self, key: Any, val: Any) -> None:
        """Add an item. If the key exists, nothing is changed."""
        if key in self._items:
            return
        if len(self._items) >= self._capacity:
            self._items.popitem(last=False)
        self._items[key] = val

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the value of a key, or ``default``."""
        return self._items.get(key, default)


class VideoReader:
    """A video as a sequence of frames, each an array (H, W, 3) of uint8 with channels in the order BGR.

    A reader has a length, indices, negative ones and slices included, and can be iterated, which begins at the
    first frame. It is also a context manager that closes the video. The frames that were read last are cached;
    every array that is returned is a copy.

    Args:
        filename: Path or HTTP URL of the video.
        cache_capacity: The number of frames to cache.

    Raises:
        FileNotFoundError: The file does not exist.
        FileContentError: OpenCV cannot read it as a video.
        ArgumentTypeError: ``filename`` is not a path.
        ArgumentError: ``cache_capacity`` is not positive.

    Examples:
        >>> with VideoReader("video.mp4") as video:
        ...     first, last = video[0], video[-1]
        ...     for frame in video:
        ...         ...
    """

    def __init__(self, filename: str | os.PathLike[str], cache_capacity: int = 10) -> None:
        path = os.fspath(check_type("filename", filename, str | os.PathLike, "a path or URL"))
        self._cache = Cache(check_integer("cache_capacity", cache_capacity, 1))
        self._name = display_name(path)
        if not path.startswith(("https://", "http://")):
            check_file_exist(path, "The video {} does not exist.")
            path = str(Path(path).absolute())  # a colon in a relative path would begin a protocol for FFmpeg
        self._vcap = cv2.VideoCapture(path)
        if not self._vcap.isOpened():
            empty = Path(path).is_file() and Path(path).stat().st_size == 0
            raise FileContentError(
                f"{self._name} is empty (0 bytes)."
                if empty
                else f"OpenCV cannot read {self._name} as a video."
            )
        self._position = 0
        self._width = int(self._vcap.get(cv2.CAP_PROP_FRAME_WIDTH))
        self._height = int(self._vcap.get(cv2.CAP_PROP_FRAME_HEIGHT))
        self._fps = float(self._vcap.get(cv2.CAP_PROP_FPS))
        self._frame_cnt = max(int(self._vcap.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        code = int(self._vcap.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        self._fourcc = code.to_bytes(4, "little").decode("latin-1").rstrip("\0")

    @property
    def vcap(self) -> cv2.VideoCapture:
        """The ``cv2.VideoCapture`` object."""
        return self._vcap

    @property
    def opened(self) -> bool:
        """Whether the video is open."""
        return self._vcap.isOpened()

    @property
    def width(self) -> int:
        """Width of the frames in pixels."""
        return self._width

    @property
    def height(self) -> int:
        """Height of the frames in pixels."""
        return self._height

    @property
    def resolution(self) -> tuple[int, int]:
        """Size of the frames (w, h) in pixels."""
        return self._width, self._height

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self._fps

    @property
    def frame_cnt(self) -> int:
        """Number of frames according to the header of the file; 0 for a stream, whose length is unknown."""
        return self._frame_cnt

    @property
    def fourcc(self) -> str:
        """The four characters with which OpenCV names the codec, such as ``MJPG``. In MMCV, it is a float."""
        return self._fourcc

    @property
    def position(self) -> int:
        """Index of the frame that is read next."""
        return self._position

    def read(self) -> Array | None:
        """Return the next frame, or None at the end."""
        frame: Array | None = self._cache.get(self._position)
        if frame is None:
            frame = self._decode(self._position)
            if frame is None:
                return None
            self._cache.put(self._position, frame)
        self._position += 1
        return frame.copy()

    def get_frame(self, frame_id: int) -> Array:
        """Return the frame with an index; the one after it is read next.

        Args:
            frame_id: Index of the frame, 0-based.

        Raises:
            FrameIndexError: There is no such frame, or the file ends before it although the header contains it.
                It is also an ``IndexError``.
        """
        frame_id = check_integer("frame_id", frame_id)
        if not 0 <= frame_id < self._frame_cnt:
            raise FrameIndexError(
                f"frame_id must be from 0 to {self._frame_cnt - 1}, the last frame of {self._name}, not {frame_id}.",
                argument="frame_id",
            )
        previous, self._position = self._position, frame_id
        frame = self.read()
        if frame is None:
            self._position = previous
            raise FrameIndexError(
                f"Frame {frame_id} of {self._name} cannot be read, although its header contains {self._frame_cnt} frames.",
                argument="frame_id",
            )
        return frame

    def current_frame(self) -> Array | None:
        """Return the frame that was read last, or None at the beginning."""
        if self._position == 0:
            return None
        self._position -= 1
        return self.read()

    def cvt2frames(
        self,
        frame_dir: str | os.PathLike[str],
        file_start: int = 0,
        filename_tmpl: str = "{:06d}.jpg",
        start: int = 0,
        max_num: int = 0,
        show_progress: bool = True,
    ) -> None:
        """Write frames as images.

        Args:
            frame_dir: Folder for the images; it is created if needed.
            file_start: Number in the name of the first image.
            filename_tmpl: Template of the names, with a place for the number. The suffix sets the format.
            start: Index of the first frame, 0-based.
            max_num: The maximum number of frames; 0 for all.
            show_progress: Whether to show a progress bar on stdout.

        Raises:
            ArgumentError: There is no frame at ``start``, or an argument is negative.
        """
        file_start = check_integer("file_start", file_start, 0)
        start, max_num = check_integer("start", start, 0), check_integer("max_num", max_num, 0)
        left = self._frame_cnt - start
        if left <= 0:
            raise ArgumentError(
                f"start must be less than {self._frame_cnt}, the number of frames of {self._name}, not {start}.",
                argument="start",
            )
        folder = _path("frame_dir", frame_dir)
        _check_template(filename_tmpl)
        mkdir_or_exist(folder)
        self._position = start
        for i in _progress(range(min(left, max_num or left)), show_progress):
            frame = self.read()
            if frame is None:
                return  # the header contains more frames than the file
            imwrite(frame, folder / filename_tmpl.format(file_start + i))

    def __len__(self) -> int:
        return self._frame_cnt

    @overload
    def __getitem__(self, index: int) -> Array: ...
    @overload
    def __getitem__(self, index: slice) -> list[Array]: ...
    def __getitem__(self, index: int | slice) -> Array | list[Array]:
        if isinstance(index, slice):
            return [self.get_frame(i) for i in range(*index.indices(self._frame_cnt))]
        index = check_integer("index", index)
        if not -self._frame_cnt <= index < self._frame_cnt:
            raise FrameIndexError(
                f"{self._name} has {self._frame_cnt} frames, and none with the index {index}.",
                argument="index",
            )
        return self.get_frame(index % self._frame_cnt)

    def __iter__(self) -> Iterator[Array]:
        self._position = 0
        return self

    def __next__(self) -> Array:
        frame = self.read()
        if frame is None:
            raise StopIteration
        return frame

    next = __next__

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._vcap.release()

    def _decode(self, frame_id: int) -> Array | None:
        """Return a frame from the video, or None if it cannot be read."""
        if not 0 <= frame_id - self._decoder_position() <= _SKIP_FORWARD:
            self._vcap.set(cv2.CAP_PROP_POS_FRAMES, frame_id)
            if self._decoder_position() > frame_id:  # the seek was inexact
                self._vcap.set(cv2.CAP_PROP_POS_FRAMES, 0)
        for _ in range(frame_id - self._decoder_position()):
            if not self._vcap.grab():
                return None
        done, frame = self._vcap.read()
        return frame if done else None

    def _decoder_position(self) -> int:
        return round(self._vcap.get(cv2.CAP_PROP_POS_FRAMES))


def frames2video(
    frame_dir: str | os.PathLike[str],
    video_file: str | os.PathLike[str],
    fps: float = 30,
    fourcc: str = "XVID",
    filename_tmpl: str = "{:06d}.jpg",
    start: int = 0,
    end: int = 0,
    show_progress: bool = True,
) -> None:
    """Write images as a video. The video is either written completely or left as it was.

    OpenCV encodes videos with FFmpeg, which drops the last column of an odd width and the last row of an odd
    height.

    Args:
        frame_dir: Folder of the images, which have the same size.
        video_file: Path of the video. Its suffix sets the file format.
        fps: Frames per second.
        fourcc: The four characters that name the codec, such as ``XVID`` or ``MJPG``.
        filename_tmpl: Template of the names of the images, with a place for the number.
        start: Number of the first image.
        end: Number after that of the last image. With 0, all images from ``start`` on that are numbered without
            a gap; a gap is an error if there are images after it.
        show_progress: Whether to show a progress bar on stdout.

    Raises:
        FileNotFoundError: An image does not exist.
        ImageDecodeError: A file is not an image.
        ArgumentError: The images have different sizes, OpenCV does not support the codec in this file format,
            or another argument is wrong.
    """
    fps = check_positive("fps", fps)
    check_type("fourcc", fourcc, str, "four characters, such as 'XVID'")
    if len(fourcc) != 4 or not fourcc.isascii():
        raise ArgumentError(
            f"fourcc must be four characters, such as 'XVID', not {fourcc!r}.", argument="fourcc"
        )
    start, end = check_integer("start", start, 0), check_integer("end", end, 0)
    folder, target = _path("frame_dir", frame_dir), _path("video_file", video_file)
    _check_template(filename_tmpl)

    def frame_file(number: int) -> Path:
        return folder / filename_tmpl.format(number)

    if end == 0:
        end = max(sum(1 for _ in scandir(folder, Path(filename_tmpl).suffix)), start)
        while frame_file(end).is_file():
            end += 1
    if end <= start:
        check_file_exist(frame_file(start), "The first frame {} does not exist.")
        raise ArgumentError(f"end must be greater than start ({start}), not {end}.", argument="end")
    first = _read_frame(frame_file(start))
    height, width = first.shape[:2]
    with replace_when_done(target) as temporary:
        code = cv2.VideoWriter.fourcc(*fourcc)
        writer = cv2.VideoWriter(str(temporary), code, fps, (width, height))
        try:
            if not writer.isOpened():
                raise ArgumentError(
                    f"OpenCV cannot write a {target.suffix or 'video'} file with the codec {fourcc!r} and frames of "
                    f"{width}x{height} pixels. 'XVID' and 'MJPG' are available in .avi files.",
                    argument="fourcc",
                )
            for number in _progress(range(start, end), show_progress):
                frame = first if number == start else _read_frame(frame_file(number))
                if frame.shape != first.shape:
                    raise ArgumentError(
                        f"All frames must have the size of the first, {width}x{height} pixels, but "
                        f"{frame_file(number)} has {frame.shape[1]}x{frame.shape[0]}.",
                        argument="frame_dir",
                    )
                writer.write(frame)
        finally:
            writer.release()


def _check_template(template: str) -> None:
    try:
        same = template.format(0) == template.format(1)
    except (AttributeError, ValueError, LookupError):  # not a str, or not a template for one number
        same = True
    if same:
        raise ArgumentError(
            f"filename_tmpl must have a place for the number, such as '{{:06d}}.jpg', not {template!r}.",
            argument="filename_tmpl",
        )


def _path(name: str, value: str | os.PathLike[str]) -> Path:
    return Path(check_type(name, value, str | os.PathLike, "a path"))


def _read_frame(path: Path) -> Array:
    check_file_exist(path, "The frame {} does not exist.")
    return imread(path)


def _progress(numbers: range, show: bool) -> Iterable[int]:
    return track_iter_progress(numbers) if show else numbers
