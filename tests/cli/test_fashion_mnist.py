"""The config for Fashion-MNIST, on a few images in files of its format."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

NAMES = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the four files, named by the environment variable."""
    monkeypatch.setenv("FASHION_MNIST", str(tmp_path / "fashion"))
    (tmp_path / "fashion").mkdir()
    generator = np.random.default_rng(0)
    arrays = [generator.integers(0, 256, (80, 28, 28)), np.arange(80) % 10] * 2
    for name, array in zip(NAMES, arrays, strict=True):
        header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        (tmp_path / "fashion" / name).write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes()))
    return tmp_path / "fashion"


def test_it_trains_on_the_files_of_a_folder(folder: Path, configs: Path, run: Callable[..., Any]) -> None:
    """The validation images are a part of the training images, and the test images are apart."""
    words = [
        "train",
        configs / "fashion_mnist" / "small_cnn.py",
        "--work-dir",
        "run",
        "--cfg-options",
        "runner.max_epochs=1",
    ]
    ran = run(*words)
    assert ran.code == 0, ran.err
    text = " ".join(ran.err.split())
    assert "train 73, val 7, test 80 samples" in text
    assert "10 classes: T-shirt, Trouser, Pullover, Dress, Coat, ..." in text


def test_a_missing_file_is_named(folder: Path, configs: Path, run: Callable[..., Any]) -> None:
    """Without the data, the message names each path before the run."""
    (folder / NAMES[2]).unlink()
    ran = run("train", configs / "fashion_mnist" / "small_cnn.py", "--work-dir", "run")
    assert ran.code == 2
    text = "".join(ran.err.split())
    assert f"imagesis'{folder}/{NAMES[2]}',whichdoesnotexist.".replace(" ", "") in text
    assert "atdata.test.images(" in text
