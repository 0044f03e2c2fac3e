"""Convert, resize, cut and join videos with the program ffmpeg."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

from cfgtrain.arguments import (
    check_choice,
    check_number,
    check_numbers,
    check_pair,
    check_positive,
    check_type,
)
from cfgtrain.errors import ArgumentError, FileContentError
from cfgtrain.filesystem.atomic import replace_when_done
from cfgtrain.utils.prerequisites import check_prerequisites

__all__ = ["concat_video", "convert_video", "cut_video", "resize_video"]

VideoPath = str | os.PathLike[str]

_LOG_LEVELS = ("quiet", "panic", "fatal", "error", "warning", "info", "verbose", "debug", "trace")
_WITHOUT_ERRORS = _LOG_LEVELS[:3]  # at these levels, ffmpeg would not say why it failed
_MESSAGES_SIZE = 4096  # characters that are kept of the first and of the last messages
_SEVERAL_FILES = (".m3u8", ".mpd")

_requires_ffmpeg = check_prerequisites(
    "ffmpeg",
    lambda name: shutil.which(name) is not None,
    "The program {} is required by {} but not found on PATH. Install it, for example with "
    "'apt install ffmpeg' (Debian, Ubuntu), 'brew install ffmpeg' (macOS) or 'conda install ffmpeg'.",
)


class VideoConversionError(FileContentError):
    """ffmpeg failed; the message contains the reason that it printed."""


@_requires_ffmpeg
def convert_video(
    in_file: VideoPath, out_file: VideoPath, print_cmd: bool = False, pre_options: str = "", **kwargs: Any
) -> None:
    """Convert a video with ffmpeg. The result is either written completely or left as it was.

    An existing file is overwritten. ffmpeg is run without a shell, so paths may contain any characters.

    Args:
        in_file: Path or URL of the video.
        out_file: Path of the result; its suffix sets the file format.
        print_cmd: Whether to print the command.
        pre_options: Options of ffmpeg for the input, separated as in a shell, such as ``"-f concat -safe 0"``.
        kwargs: Options of ffmpeg for the output: ``vcodec="libx264"`` becomes ``-vcodec libx264``. An option
            that is True becomes a flag, one that is False is omitted. ``log_level`` becomes ``-loglevel``.

    Raises:
        FileNotFoundError: The video does not exist.
        VideoConversionError: ffmpeg failed.
        ArgumentError: ``log_level`` is unknown.
        PrerequisiteError: ffmpeg is not installed.
    """
    source, target = _path("in_file", in_file), _path("out_file", out_file)
    if "://" not in source and Path(source).exists():
        source = f"file:{source}"  # a colon or a leading dash in the name has no meaning then
    elif "://" not in source and not pre_options:  # the options may say that it is not a file
        raise FileNotFoundError(f"The video {source} does not exist.")
    before = shlex.split(check_type("pre_options", pre_options, str, "a str of options"))
    log_level = kwargs.pop("log_level", "info")
    check_choice("log_level", log_level, _LOG_LEVELS)
    quiet = log_level in _WITHOUT_ERRORS
    options = ["-loglevel", "error" if quiet else log_level]
    for name, value in kwargs.items():
        if value is not False:
            options += [f"-{name}"] if value is True else [f"-{name}", str(value)]
    with _temporary(target) as path:
        command = ["ffmpeg", "-nostdin", "-y", *before, "-i", source, *options, str(path)]
        if print_cmd:
            print(shlex.join([*command[:-1], target]))
        code, messages = _run(command, show=not quiet)
        if code != 0:
            raise VideoConversionError(
                f"ffmpeg cannot convert {os.fspath(in_file)} to {target} (exit status {code}): "
                f"{_reason(messages, only_errors=quiet or log_level == 'error')}"
            )


@_requires_ffmpeg
def resize_video(
    in_file: VideoPath,
    out_file: VideoPath,
    size: Sequence[int] | None = None,
    ratio: float | Sequence[float] | None = None,
    keep_ar: bool = False,
    log_level: str = "info",
    print_cmd: bool = False,
) -> None:
    """Resize a video with ffmpeg. Either ``size`` or ``ratio`` is required.

    Args:
        in_file: Path or URL of the video.
        out_file: Path of the result.
        size: Size (w, h) in pixels.
        ratio: Scale factor, or one for the width and one for the height. The resulting edges are rounded down to
            even numbers, which most codecs need.
        keep_ar: Whether to keep the aspect ratio: the largest size within ``size``, with even edges. Ignored with
            ``ratio``.
        log_level: Log level of ffmpeg, from ``quiet`` to ``trace``.
        print_cmd: Whether to print the command.

    Raises:
        ArgumentError: Both or none of ``size`` and ``ratio`` are given, or one is not positive.
        FileNotFoundError: See ``convert_video``.
        VideoConversionError: See ``convert_video``.
        PrerequisiteError: See ``convert_video``.
    """
    if (size is None) == (ratio is None):
        raise ArgumentError("Either size or ratio is required, and not both.", argument=("size", "ratio"))
    if size is not None:
        width, height = check_numbers("size", size, 2, "(w, h)", integers=True, minimum=1)
        scale = f"scale=w={width}:h={height}"
        if keep_ar:
            scale += ":force_original_aspect_ratio=decrease:force_divisible_by=2"
    else:
        factors = [check_positive("ratio", factor) for factor in check_pair("ratio", ratio, "(w, h)")]
        scale = f"scale=w=trunc(iw*{factors[0]}/2)*2:h=trunc(ih*{factors[1]}/2)*2"
    convert_video(in_file, out_file, print_cmd, log_level=log_level, vf=scale)


@_requires_ffmpeg
def cut_video(
    in_file: VideoPath,
    out_file: VideoPath,
    start: float | None = None,
    end: float | None = None,
    vcodec: str | None = None,
    acodec: str | None = None,
    log_level: str = "info",
    print_cmd: bool = False,
) -> None:
    """Cut a part out of a video with ffmpeg.

    Args:
        in_file: Path or URL of the video.
        out_file: Path of the result.
        start: Time of the beginning in seconds; by default that of the video.
        end: Time of the end in seconds; by default that of the video.
        vcodec: Video codec of the result, such as ``h264``. By default the frames are copied, which is fast, but
            such a part can only begin at a key frame.
        acodec: Audio codec of the result. By default the audio is copied.
        log_level: See ``resize_video``.
        print_cmd: See ``resize_video``.

    Raises:
        ArgumentError: A time is negative, or ``end`` is not after ``start``.
        FileNotFoundError: See ``convert_video``.
        VideoConversionError: See ``convert_video``.
        PrerequisiteError: See ``convert_video``.
    """
    begin = 0.0 if start is None else check_number("start", start, 0)
    options: dict[str, Any] = {"vcodec": vcodec or "copy", "acodec": acodec or "copy"}
    if begin > 0:
        options["ss"] = begin
    if end is not None:
        stop = check_number("end", end)
        if stop <= begin:
            raise ArgumentError(f"end must be after start ({begin} s), not {end}.", argument="end")
        options["t"] = stop - begin
    convert_video(in_file, out_file, print_cmd, log_level=log_level, **options)


@_requires_ffmpeg
def concat_video(
    video_list: Sequence[VideoPath],
    out_file: VideoPath,
    vcodec: str | None = None,
    acodec: str | None = None,
    log_level: str = "info",
    print_cmd: bool = False,
) -> None:
    """Join videos with ffmpeg.

    Args:
        video_list: Paths of the videos, which have the same codecs and size.
        out_file: Path of the result.
        vcodec: Video codec of the result. By default the frames are copied.
        acodec: Audio codec of the result. By default the audio is copied.
        log_level: See ``resize_video``.
        print_cmd: See ``resize_video``.

    Raises:
        ArgumentError: There are no videos.
        FileNotFoundError: A video does not exist.
        VideoConversionError: See ``convert_video``.
        PrerequisiteError: See ``convert_video``.
    """
    if not isinstance(video_list, list | tuple) or not video_list:
        raise ArgumentError(
            f"video_list must be a list of at least one path, not {video_list!r}.", argument="video_list"
        )
    lines = []
    for i, video in enumerate(video_list):
        path = Path(_path(f"video_list[{i}]", video)).absolute()
        if not path.exists():
            raise FileNotFoundError(f"The video {path} does not exist.")
        quoted = str(path).replace("'", r"'\''")
        lines.append(f"file 'file:{quoted}'\n")
    with tempfile.TemporaryDirectory() as folder:
        list_file = Path(folder) / "videos.txt"
        list_file.write_text("".join(lines), encoding="utf-8")
        convert_video(
            list_file,
            out_file,
            print_cmd,
            pre_options="-f concat -safe 0",
            log_level=log_level,
            vcodec=vcodec or "copy",
            acodec=acodec or "copy",
        )


def _path(name: str, value: Any) -> str:
    path: str = os.fspath(check_type(name, value, str | os.PathLike, "a path"))
    return path


def _temporary(target: str) -> AbstractContextManager[Any]:
    """Return a context with the path for ffmpeg: a temporary one, unless the output is not one file."""
    if "://" in target or "%" in target or target.endswith(_SEVERAL_FILES) or _is_device(Path(target)):
        return nullcontext(target)
    return replace_when_done(target)


def _is_device(path: Path) -> bool:
    return path.exists() and not path.is_file()


def _run(command: Sequence[str], show: bool) -> tuple[int, list[str]]:
    """Run ffmpeg, pass its messages on to stderr if ``show``, and return its exit status and messages.

    Of many messages, only the first and the last are returned.
    """
    head = tail = ""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:  # noqa: S603  # no shell
        stderr = cast("BufferedReader", process.stderr)
        try:
            while chunk := stderr.read1(_MESSAGES_SIZE):
                text = chunk.decode(errors="replace")
                head += text if len(head) < _MESSAGES_SIZE else ""
                tail = (tail + text)[-_MESSAGES_SIZE:]
                if show:
                    sys.stderr.write(text)
                    sys.stderr.flush()
        except BaseException:
            process.kill()
            raise
    lines = (head + "\n" + tail).replace("\r", "\n").splitlines()
    return process.returncode, list(dict.fromkeys(line.strip() for line in lines))


def _reason(messages: Sequence[str], only_errors: bool) -> str:
    """Return what ffmpeg says about its failure."""
    errors = [line for line in messages if line and line != "Conversion failed!"]
    first = errors[:2] if only_errors else []  # the first errors are the cause of the others
    return "; ".join(dict.fromkeys([*first, *errors[-1:]])) or "no message"
