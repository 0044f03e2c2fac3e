"""Show an image in a window, or as a file where no window can be opened."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Thread

import cv2
import numpy as np

from cfgtrain.arguments import check_integer, check_type
from cfgtrain.errors import ArgumentError
from cfgtrain.image.array import Array, check_image, count_channels
from cfgtrain.image.io import imencode, imread

__all__ = ["imshow"]

_VIEWERS = {"darwin": "open", "win32": "explorer"}  # of other systems: xdg-open

_shown: set[Path] = set()  # the files written by this process


def imshow(img: Array | str | os.PathLike[str], win_name: str = "", wait_time: int = 0) -> None:
    """Show an image in a window, and wait.

    Where no window can be opened, since there is no display or OpenCV was built without windows (as
    ``opencv-python-headless`` is), the image is written as a PNG to a temporary folder, and its path is printed
    to stderr. If the system has a viewer and a display, the first image of each window name is opened in it.
    The function does not wait then. If ``wait_time`` is 0, each image gets a file of its own; otherwise, as in
    a video, an image replaces the previous one with the same ``win_name``.

    Args:
        img: An array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), channels in the order BGR, or the path of an
            image. uint8 has values from 0 to 255, uint16 from 0 to 65535, float32 and float64 from 0 to 1.
        win_name: Title of the window, and name of the file.
        wait_time: Milliseconds to wait for a key. With 0, wait until a key is pressed or the window is closed.

    Raises:
        ArgumentError: ``wait_time`` is negative or too large, or the array cannot be shown.
        ArgumentTypeError: The array has another dtype, or ``win_name`` is not a str.
        FileNotFoundError: The file does not exist.
        ImageDecodeError: The file is not an image.
    """
    wait_time = check_integer("wait_time", wait_time, 0, 2**31 - 1)
    check_type("win_name", win_name, str, "a str")
    picture = check_viewable(imread(img))
    if _has_display():
        try:
            cv2.imshow(win_name, picture)
        except cv2.error:  # OpenCV was built without windows, or cannot reach the display
            pass
        else:
            _wait(win_name, wait_time)
            return
    _show_file(picture, win_name, new=wait_time == 0)


def check_viewable(img: Array) -> Array:
    """Return ``img`` if ``imshow`` can show it.

    Raises:
        ArgumentError: It is not an image, or does not have 1, 3 or 4 channels.
        ArgumentTypeError: It has another dtype.
    """
    check_image(img, ("uint8", "uint16", "float32", "float64"))
    if count_channels(img) not in (1, 3, 4):
        raise ArgumentError(
            f"img must have 1, 3 or 4 channels to be shown, not {count_channels(img)}.", argument="img"
        )
    return img


def _has_display() -> bool:
    return sys.platform in _VIEWERS or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _wait(win_name: str, wait_time: int) -> None:
    if wait_time > 0:
        cv2.waitKey(wait_time)
        return
    # waitKey(0) would wait forever after the window is closed
    while cv2.waitKey(1) == -1 and cv2.getWindowProperty(win_name, cv2.WND_PROP_VISIBLE) >= 1:
        pass


@cache
def _folder() -> Path:
    """Return a new folder, which only this user can access, for the images of this process."""
    return Path(tempfile.mkdtemp(prefix="cfgtrain-imshow-"))


def _show_file(img: Array, win_name: str, new: bool) -> None:
    name = re.sub(r"[^\w.-]+", "_", win_name)[:100].strip("._") or "image"
    first = path = _folder() / f"{name}.png"
    number = 1
    while new and path in _shown:
        number += 1
        path = first.with_name(f"{name}-{number}.png")
    pixels = (img.clip(0, 1) * 255).round().astype(np.uint8) if img.dtype.kind == "f" else img
    path.write_bytes(imencode(".png", pixels, (cv2.IMWRITE_PNG_COMPRESSION, 1)))
    if path in _shown:
        return
    _shown.add(path)
    print(f"No window can be opened here. The image was saved as {path}", file=sys.stderr)
    viewer = shutil.which(_VIEWERS.get(sys.platform, "xdg-open"))
    if path == first and viewer is not None and _has_display():
        Thread(target=_open, args=(viewer, path), daemon=True).start()


def _open(viewer: str, path: Path) -> None:
    """Run a viewer until it ends. It may print warnings, which are of no use here, or fail."""
    with suppress(OSError):
        subprocess.run(  # noqa: S603  # no shell
            [viewer, str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            check=False,
        )
