from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.photos import photograph

from cfgtrain.data.transforms import Compose, LoadImageFromFile
from cfgtrain.errors import ArgumentError, ArgumentTypeError, ImageDecodeError

ASTRONAUT = str(photograph("astronaut.png"))


def test_color() -> None:
    """The image has the values of OpenCV, and its path and shapes are recorded."""
    results = LoadImageFromFile()({"img_path": Path(ASTRONAUT), "gt_label": 3})
    img = results.pop("img")
    assert np.array_equal(img, cv2.imread(ASTRONAUT))
    assert results == {
        "img_path": ASTRONAUT,
        "filename": ASTRONAUT,
        "gt_label": 3,
        "ori_shape": (512, 512, 3),
        "img_shape": (512, 512, 3),
    }


@pytest.mark.parametrize(
    ("color_type", "shape", "dtype"),
    [("color", (6, 8, 3), "uint8"), ("grayscale", (6, 8), "uint8"), ("unchanged", (6, 8, 4), "uint16")],
)
def test_color_type(tmp_path: Path, color_type: Any, shape: tuple[int, ...], dtype: str) -> None:
    """``color_type`` decides on the channels and the depth."""
    path = tmp_path / "deep.png"
    cv2.imwrite(str(path), np.full((6, 8, 4), 4000, np.uint16))
    img = LoadImageFromFile(color_type=color_type)({"img_path": str(path)})["img"]
    assert img.shape == shape
    assert img.dtype == dtype


def test_options() -> None:
    """The image can be RGB, float32, decoded by Pillow, and its path can be under another key."""
    load = LoadImageFromFile(True, channel_order="rgb", imdecode_backend="pillow", key="lq_path")
    img = load({"lq_path": ASTRONAUT})["img"]
    assert img.dtype == np.float32
    assert np.array_equal(img, cv2.imread(ASTRONAUT)[..., ::-1])


@pytest.mark.parametrize("prefix", [None, "", "folder", "folder/"])
def test_results_of_mmcv(tmp_path: Path, prefix: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset written for MMCV gives a prefix and a file name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    name = "folder/a.png" if not prefix else "a.png"
    cv2.imwrite("folder/a.png", np.full((2, 3, 3), 7, np.uint8))
    results = LoadImageFromFile()({"img_prefix": prefix, "img_info": {"filename": name}})
    assert results["img"].shape == (2, 3, 3)
    assert results["img_path"] == results["filename"] == "folder/a.png"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing, empty or corrupt file raises an error that names it, also within a pipeline."""
    load = Compose([{"type": "LoadImageFromFile"}])
    with pytest.raises(FileNotFoundError, match=r"none\.jpg"):
        load({"img_path": str(tmp_path / "none.jpg")})
    for content in (b"", b"not an image", Path(ASTRONAUT).read_bytes()[:20000]):
        (tmp_path / "bad.png").write_bytes(content)
        with pytest.raises(ImageDecodeError, match=r"bad\.png"):
            load({"img_path": str(tmp_path / "bad.png")})


@pytest.mark.parametrize(
    ("args", "kind", "message"),
    [
        ({"color_type": "colour"}, ArgumentError, "color_type must be .* Did you mean 'color'"),
        ({"channel_order": "gbr"}, ArgumentError, "channel_order must be 'bgr' or 'rgb', not 'gbr'"),
        ({"imdecode_backend": "cv"}, ArgumentError, "imdecode_backend must be"),
        ({"file_client_args": "disk"}, ArgumentTypeError, "file_client_args must be a dict or None"),
        ({"key": 1}, ArgumentTypeError, "key must be the name of a key"),
    ],
)
def test_invalid_arguments(args: Any, kind: type[Exception], message: str) -> None:
    """Arguments are validated when the transform is built."""
    with pytest.raises(kind, match=message):
        LoadImageFromFile(**args)
