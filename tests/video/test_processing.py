from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cfgtrain
from cfgtrain.video import VideoReader, concat_video, convert_video, cut_video, processing, resize_video

needs_ffmpeg = pytest.mark.skipif(
    shutil.which("ffmpeg") is None, reason="the program ffmpeg is not installed"
)
NUM_FRAMES = 100


def make_video(path: Path, size: str = "64x48", num_frames: int = NUM_FRAMES) -> Path:
    """Write a video of ffmpeg's test picture, 25 frames per second, with sound."""
    seconds = num_frames / 25
    subprocess.run(
        [
            "ffmpeg", "-nostdin", "-loglevel", "error", "-y",
            "-f", "lavfi", "-i", f"testsrc=size={size}:rate=25:duration={seconds}",
            "-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}",
            "-vcodec", "mpeg4", "-acodec", "ac3", str(path),
        ],
        check=True,
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def video_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("video") / "in.mp4")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def streams(path: Path) -> dict[str, str]:
    """Return the codecs of the streams of a video by their kinds."""
    done = subprocess.run(
        [
            "ffprobe",
            "-v",
            "error",
            "-show_entries",
            "stream=codec_type,codec_name",
            "-of",
            "csv=p=0",
            str(path),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return {kind: name for name, kind, *_ in (line.split(",") for line in done.stdout.split())}


@needs_ffmpeg
def test_convert(video_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Options become arguments of ffmpeg: True is a flag, False is nothing. Only the video is left."""
    target = tmp_path / "new" / "out.avi"
    convert_video(
        video_file, target, vcodec="mjpeg", an=True, shortest=False, log_level="error", **{"q:v": 2}
    )
    assert streams(target) == {"video": "mjpeg"}
    assert list(target.parent.iterdir()) == [target]
    with VideoReader(target) as video, VideoReader(video_file) as original:
        assert len(video) == NUM_FRAMES
        assert np.abs(video[50].astype(int) - original[50]).mean() < 8
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


@needs_ffmpeg
def test_print_command(video_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The command is printed so that it can be pasted into a shell, with the paths that were given."""
    target = str(tmp_path / "a b.avi")
    convert_video(
        str(video_file), target, print_cmd=True, pre_options="-t '1'", log_level="quiet", vcodec="copy"
    )
    (line,) = capfd.readouterr().out.splitlines()
    assert line == f"ffmpeg -nostdin -y -t 1 -i file:{video_file} -loglevel error -vcodec copy '{target}'"
    Path(target).unlink()
    subprocess.run(line, shell=True, check=True)
    assert Path(target).exists()


@needs_ffmpeg
def test_messages_of_ffmpeg(video_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By default, ffmpeg's messages are passed on to stderr."""
    convert_video(video_file, tmp_path / "out.avi")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Stream #0:0" in captured.err


@needs_ffmpeg
@pytest.mark.parametrize(
    "name", ["a; touch injected.mp4", "it's $(touch injected) & `b`.mp4", "-y.mp4", "a:b.mp4", "it's.mp4"]
)
def test_unusual_names(video_file: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names may contain any characters, since no shell is used; a leading dash is not an option."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    shutil.copy(video_file, tmp_path / "in" / name)
    convert_video(name, Path("..") / "out" / name, log_level="error", vcodec="copy")
    cut_video(name, f"{name}.cut.mp4", end=2, log_level="error")
    concat_video([name, f"{name}.cut.mp4"], f"{name}.both.mp4", log_level="error")
    with VideoReader(f"{name}.both.mp4") as video:
        assert len(video) == 150
    assert names(tmp_path / "in") == sorted([name, f"{name}.cut.mp4", f"{name}.both.mp4"])
    assert names(tmp_path / "out") == [name]


@needs_ffmpeg
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"size": (32, 24)}, (32, 24)),
        ({"size": [100, 20]}, (100, 20)),
        ({"size": (100, 96), "keep_ar": True}, (100, 74)),
        ({"size": np.array([1000, 24]), "keep_ar": True}, (32, 24)),
        ({"ratio": 2}, (128, 96)),
        ({"ratio": np.float32(0.4)}, (24, 18)),
        ({"ratio": (2, 1.5), "keep_ar": True}, (128, 72)),
    ],
)
def test_resize(
    video_file: Path, tmp_path: Path, arguments: dict[str, Any], expected: tuple[int, int]
) -> None:
    """A video is resized to a size, within a size, or by a ratio; edges become even except with a given size."""
    resize_video(video_file, tmp_path / "out.mp4", log_level="error", **arguments)
    with VideoReader(tmp_path / "out.mp4") as video:
        assert video.resolution == expected
        assert len(video) == NUM_FRAMES


@needs_ffmpeg
def test_cut_and_concat(video_file: Path, tmp_path: Path) -> None:
    """Two parts have the frames of the whole video, and so do the parts after they are joined."""
    first, second, both = (tmp_path / name for name in ("1.mp4", "2.mp4", "both.mp4"))
    cut_video(video_file, first, end=1.6, vcodec="mpeg4", log_level="error")
    cut_video(video_file, second, start=1.6, vcodec="mpeg4", log_level="error")
    with VideoReader(first) as video, VideoReader(second) as rest, VideoReader(video_file) as original:
        assert (len(video), len(rest)) == (40, 60)
        assert np.abs(rest[0].astype(int) - original[40]).mean() < 8
    concat_video([first, str(second)], both, log_level="error")
    assert streams(both) == {"video": "mpeg4", "audio": "ac3"}
    with VideoReader(both) as video:
        assert len(video) == NUM_FRAMES


@needs_ffmpeg
def test_codecs(video_file: Path, tmp_path: Path) -> None:
    """A given codec is used; without one, the streams are copied."""
    cut, both = tmp_path / "cut.avi", tmp_path / "both.avi"
    cut_video(video_file, cut, 0, 2)
    assert streams(cut) == {"video": "mpeg4", "audio": "ac3"}
    cut_video(video_file, cut, 0.5, 2, vcodec="mjpeg", acodec="mp2", log_level="error")
    assert streams(cut) == {"video": "mjpeg", "audio": "mp2"}
    concat_video((cut, cut), both, vcodec="mpeg4", acodec="ac3", log_level="error")
    assert streams(both) == {"video": "mpeg4", "audio": "ac3"}


@needs_ffmpeg
@pytest.mark.parametrize("log_level", ["quiet", "error", "info"])
def test_failure(tmp_path: Path, log_level: str, capfd: pytest.CaptureFixture[str]) -> None:
    """If ffmpeg fails, the error has its reason, whatever the log level, and the previous file is left."""
    (tmp_path / "text.mp4").write_text("text")
    target = tmp_path / "out.mp4"
    target.write_bytes(b"previous")
    with pytest.raises(cfgtrain.CfgTrainError, match=r"text\.mp4 to .*out\.mp4.*Invalid data found"):
        convert_video(tmp_path / "text.mp4", target, log_level=log_level)
    assert target.read_bytes() == b"previous"
    assert len(list(tmp_path.iterdir())) == 2
    assert (capfd.readouterr().err == "") == (log_level == "quiet")


@needs_ffmpeg
def test_failure_in_the_middle(video_file: Path, tmp_path: Path) -> None:
    """A codec or filter that does not exist is named in the error, and leaves no file."""
    with pytest.raises(ValueError, match="Unknown encoder 'none'"):
        convert_video(video_file, tmp_path / "out.mp4", vcodec="none", log_level="quiet")
    with pytest.raises(ValueError, match="No such filter: 'none'"):
        convert_video(video_file, tmp_path / "out.mp4", vf="none", log_level="quiet")
    assert list(tmp_path.iterdir()) == []


@needs_ffmpeg
def test_input_that_is_not_a_file(tmp_path: Path) -> None:
    """With options for the input, it may be something that is not a file."""
    convert_video("testsrc=size=32x32", tmp_path / "out.avi", pre_options="-f lavfi", t=1, log_level="error")
    with VideoReader(tmp_path / "out.avi") as video:
        assert (video.resolution, len(video)) == ((32, 32), 25)


@needs_ffmpeg
def test_output_of_several_files(video_file: Path, tmp_path: Path) -> None:
    """A pattern of image names is passed to ffmpeg as it is."""
    convert_video(video_file, tmp_path / "%03d.png", log_level="error", vframes=3)
    assert names(tmp_path) == ["001.png", "002.png", "003.png"]


@pytest.mark.skipif(os.name != "posix", reason="the program is a shell script")
def test_interruption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the call is interrupted, ffmpeg is ended, and no half video is left."""
    pid_file = tmp_path / "pid"
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho $$ > {pid_file}\nfor target; do :; done\necho half > "$target"\necho x >&2\nexec sleep 60\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    class Interrupt:
        """A stderr that raises at the first message."""

        def write(self, text: str) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stderr", Interrupt())
    (tmp_path / "in.mp4").touch()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        convert_video(tmp_path / "in.mp4", tmp_path / "out" / "out.mp4")
    assert time.monotonic() - begin < 30
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)
    assert list((tmp_path / "out").iterdir()) == []


def test_without_ffmpeg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without ffmpeg, every function raises an error that says how to install it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for call in (
        lambda: convert_video("a.mp4", "b.mp4"),
        lambda: resize_video("a.mp4", "b.mp4", (8, 8)),
        lambda: cut_video("a.mp4", "b.mp4"),
        lambda: concat_video(["a.mp4"], "b.mp4"),
    ):
        with pytest.raises(RuntimeError, match=r"ffmpeg.*_video.*apt install ffmpeg"):
            call()


@pytest.mark.parametrize(
    ("call", "arguments", "error"),
    [
        (convert_video, {"in_file": 3}, TypeError),
        (convert_video, {"out_file": None}, TypeError),
        (convert_video, {"in_file": "none.mp4"}, FileNotFoundError),
        (convert_video, {"log_level": "loud"}, AssertionError),
        (resize_video, {}, ValueError),
        (resize_video, {"size": (8, 8), "ratio": 2}, ValueError),
        (resize_video, {"size": (8, 0)}, ValueError),
        (resize_video, {"size": 8}, TypeError),
        (resize_video, {"ratio": 0}, ValueError),
        (resize_video, {"ratio": (1, 2, 3)}, ValueError),
        (resize_video, {"ratio": "big"}, TypeError),
        (cut_video, {"start": -1}, ValueError),
        (cut_video, {"start": 2, "end": 2}, ValueError),
        (cut_video, {"start": "0:01"}, TypeError),
        (concat_video, {"video_list": []}, ValueError),
        (concat_video, {"video_list": "a.mp4"}, ValueError),
        (concat_video, {"video_list": [3]}, TypeError),
        (concat_video, {"video_list": ["none.mp4"]}, FileNotFoundError),
    ],
)
def test_wrong_arguments(
    call: Any,
    arguments: dict[str, Any],
    error: type[Exception],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A wrong argument is an error before ffmpeg is started."""
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(processing, "_run", lambda *args: pytest.fail("ffmpeg was started"))
    (tmp_path / "in.mp4").touch()
    given = {"out_file": "out.mp4", **({} if call is concat_video else {"in_file": "in.mp4"}), **arguments}
    with pytest.raises(error):
        call(**given)
    assert names(tmp_path) == ["in.mp4"]
