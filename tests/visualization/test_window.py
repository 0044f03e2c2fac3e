from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from cfgtrain.visualization import imshow, window

IMG = np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5


class WindowRecorder:
    """Records the calls of OpenCV's window functions in place of a window system.

    Args:
        keys: What waitKey returns, one after the other; -1 is no key.
        visible: What the window's visible property is after each call of waitKey.
    """

    def __init__(self, keys: list[int], visible: list[float]) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.keys, self.visible = iter(keys), iter(visible)

    def imshow(self, name: str, img: np.ndarray) -> None:
        self.calls.append(("imshow", name, img.shape))

    def waitKey(self, delay: int) -> int:  # noqa: N802
        self.calls.append(("waitKey", delay))
        return next(self.keys)

    def getWindowProperty(self, name: str, prop: int) -> float:  # noqa: N802
        assert prop == cv2.WND_PROP_VISIBLE
        self.calls.append(("visible", name))
        return next(self.visible)


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> Callable[..., WindowRecorder]:
    """Replace the window functions of OpenCV by a recorder, on a system with a display."""

    def install(keys: list[int], visible: list[float]) -> WindowRecorder:
        recorder = WindowRecorder(keys, visible)
        monkeypatch.setenv("DISPLAY", ":0")
        for name in ("imshow", "waitKey", "getWindowProperty"):
            monkeypatch.setattr(cv2, name, getattr(recorder, name))
        return recorder

    return install


@pytest.fixture(autouse=True)
def no_display(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Run each test without a display, and with a folder of temporary files of its own."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(window, "_shown", set())
    window._folder.cache_clear()
    yield
    window._folder.cache_clear()


def files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.glob("cfgtrain-imshow-*/*"))


def test_window_waits_for_a_key(record: Callable[..., WindowRecorder], tmp_path: Path) -> None:
    """With wait_time 0, the key is polled for until one is pressed, and no file is written."""
    recorder = record([-1, -1, 27], [1.0, 1.0])
    assert imshow(IMG, "frame") is None
    assert recorder.calls == [
        ("imshow", "frame", (4, 4, 3)),
        ("waitKey", 1),
        ("visible", "frame"),
        ("waitKey", 1),
        ("visible", "frame"),
        ("waitKey", 1),
    ]
    assert files(tmp_path) == []


def test_window_is_closed(record: Callable[..., WindowRecorder]) -> None:
    """With wait_time 0, closing the window ends the wait."""
    recorder = record([-1, -1], [1.0, 0.0])
    imshow(IMG)
    assert len(recorder.calls) == 5


def test_window_with_a_time_limit(record: Callable[..., WindowRecorder]) -> None:
    """A positive wait_time is passed to one call of waitKey, and the window may be visible after it."""
    recorder = record([-1], [])
    imshow(IMG, "frame", 40)
    assert recorder.calls == [("imshow", "frame", (4, 4, 3)), ("waitKey", 40)]


def test_without_display_a_file_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a display, the image is written to a private folder, and one line on stderr says where."""
    imshow(IMG, "my frame: 1/2")
    (path,) = tmp_path.glob("cfgtrain-imshow-*/*")
    assert path.name == "my_frame_1_2.png"
    assert np.array_equal(cv2.imread(str(path)), IMG)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert str(path) in captured.err
    if os.name == "posix":
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_opencv_without_windows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a display, an OpenCV that cannot open windows writes a file too."""

    def fail(*args: object) -> None:
        raise cv2.error("The function is not implemented.")

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(cv2, "imshow", fail)
    imshow(IMG)
    assert files(tmp_path) == ["image.png"]


def test_files_of_several_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With wait_time 0 each image gets a file of its own; the frames of a video replace each other."""
    imshow(IMG, "a")
    imshow(IMG + 1, "a")
    imshow(IMG, "b")
    assert files(tmp_path) == ["a-2.png", "a.png", "b.png"]
    capsys.readouterr()
    for i in range(3):
        imshow(IMG + i, "video", 1)
    assert files(tmp_path) == ["a-2.png", "a.png", "b.png", "video.png"]
    assert capsys.readouterr().err.count("\n") == 1
    (path,) = tmp_path.glob("*/video.png")
    assert np.array_equal(cv2.imread(str(path)), IMG + 2)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="xdg-open is a program of Linux desktops")
def test_viewer_is_opened_once_per_window(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a display without OpenCV windows, the viewer gets the first image of each window, in the background."""

    def fail(*args: object) -> None:
        raise cv2.error("The function is not implemented.")

    viewer = tmp_path / "xdg-open"
    viewer.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/opened\necho noise >&2\nexit 3\n')
    viewer.chmod(0o755)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr(cv2, "imshow", fail)
    for name in ("a", "a", "b"):
        imshow(IMG, name)
    opened = tmp_path / "opened"
    deadline = time.monotonic() + 20
    while not opened.exists() or opened.read_text().count("\n") < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert sorted(Path(line).name for line in opened.read_text().split()) == ["a.png", "b.png"]


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="xdg-open is a program of Linux desktops")
def test_viewer_is_not_opened_without_a_display(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a display, no viewer is started."""
    started: list[object] = []
    monkeypatch.setattr(window, "_open", lambda *args: started.append(args))
    monkeypatch.setattr("shutil.which", lambda name: name)
    imshow(IMG)
    assert started == []
    assert files(tmp_path) == ["image.png"]


@pytest.mark.parametrize(
    ("img", "expected"),
    [
        (np.array([[0, 40000]], np.uint16), np.array([[0, 40000]], np.uint16)),
        (np.array([[0, 0.5, 1, 2, -1]], np.float32), np.array([[0, 128, 255, 255, 0]], np.uint8)),
        (np.array([[[0.2], [1]]]), np.array([[51, 255]], np.uint8)),
        (IMG[::-1, ::2], IMG[::-1, ::2]),
    ],
)
def test_values(img: np.ndarray, expected: np.ndarray, tmp_path: Path) -> None:
    """Integers are written as they are, floats from 0 to 1 with 8 bits; any memory layout is accepted."""
    before = img.copy()
    imshow(img)
    (path,) = tmp_path.glob("cfgtrain-imshow-*/*")
    assert np.array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), expected)
    assert np.array_equal(img, before)


def test_a_path_is_read(tmp_path: Path) -> None:
    """An image can be given by its path."""
    cv2.imwrite(str(tmp_path / "in.png"), IMG)
    imshow(tmp_path / "in.png", "out")
    (path,) = tmp_path.glob("cfgtrain-imshow-*/*")
    assert np.array_equal(cv2.imread(str(path)), IMG)


@pytest.mark.parametrize("name", [None, 5, b"a", ["a"]])
def test_name_is_text(name: Any) -> None:
    """The name of a window is a str."""
    with pytest.raises(TypeError, match="win_name must be a str"):
        imshow(IMG, name, 1)


@pytest.mark.parametrize(
    ("img", "wait_time", "error"),
    [
        (IMG, -1, ValueError),
        (IMG, 0.5, TypeError),
        (IMG.astype(np.int64), 0, TypeError),
        (IMG[..., :2], 0, ValueError),
        (IMG[:0], 0, ValueError),
        (3, 0, TypeError),
        ("missing.png", 0, FileNotFoundError),
    ],
)
def test_wrong_arguments(img: Any, wait_time: Any, error: type[Exception], tmp_path: Path) -> None:
    """What cannot be shown is an error, and nothing is written."""
    with pytest.raises(error):
        imshow(img, "", wait_time)
    assert files(tmp_path) == []
