"""``cfgtrain image`` with bad input: one line for each file, and the other files are processed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from photos import encoded, letter_f, photograph, take
from PIL import Image

from cfgtrain.utils import paths
from cfgtrain_cli.image import batch

Run = Callable[..., Any]

NOISE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)


def half(format: str, **options: Any) -> bytes:  # noqa: A002
    content = encoded(NOISE, format, **options)
    return content[: len(content) // 2]


def pages(format: str) -> bytes:  # noqa: A002
    from io import BytesIO

    file = BytesIO()
    second = [Image.fromarray(NOISE[::-1])]
    Image.fromarray(NOISE).save(file, format, save_all=True, append_images=second)
    return file.getvalue()


BAD = {
    "zero.jpg": (b"", "empty (0 bytes)"),
    "zero.png": (b"", "empty (0 bytes)"),
    "text.jpg": (b"this is not an image", "not an image in a format that OpenCV can read"),
    "half.jpg": (half("JPEG"), "JPEG file is truncated"),
    "last_bytes.jpg": (encoded(NOISE, "JPEG")[:-2], "JPEG file is truncated"),
    "head.jpg": (encoded(NOISE, "JPEG")[:20], "JPEG file is truncated"),
    "junk_inside.jpg": (b"\xff\xd8\xff\xe0\0\x04ab" + b"junk" * 20, "JPEG file is damaged"),
    "half.png": (half("PNG"), "PNG file is truncated"),
    "last_byte.png": (encoded(NOISE, "PNG")[:-1], "PNG file is truncated"),
    "half.webp": (half("WEBP"), "WebP file is truncated"),
    "half.gif": (half("GIF"), "GIF file is truncated"),
    "half.tif": (half("TIFF"), "TIFF file is damaged"),
    "half.bmp": (half("BMP"), "OpenCV"),
    "half.ppm": (half("PPM"), "OpenCV"),
    "animated.gif": (pages("GIF"), "several images"),
    "animated.png": (pages("PNG"), "several images"),
    "animated.webp": (pages("WEBP"), "several images"),
    "pages.tif": (pages("TIFF"), "several images"),
}


def test_bad_files_are_reported_and_the_others_written(run: Run, tmp_path: Path) -> None:
    """Each bad file is listed at the end with its error; the good ones are written; exit code 1."""
    take(tmp_path / "in", "rocket.jpg", "coins.png")
    for name, (content, _) in BAD.items():
        (tmp_path / "in" / name).write_bytes(content)
    ran = run("image", "resize", "in", "-o", "out", "--long-edge", "50")
    assert ran.code == 1
    assert f"Resized 2 of {2 + len(BAD)} images into out" in ran.out
    assert sorted(p.name for p in Path("out").iterdir()) == ["coins.png", "rocket.jpg"]
    lines = {line.strip().partition(": ")[0]: line for line in ran.err.splitlines()}
    assert [name for name, (_, what) in BAD.items() if what not in lines[f"in/{name}"]] == []
    assert len(ran.err.splitlines()) == 1 + len(BAD)


@pytest.mark.parametrize("name", BAD)
def test_a_single_bad_file(name: str, run: Run, tmp_path: Path) -> None:
    """A single bad file is exit code 1 with one message, and nothing is written."""
    (tmp_path / name).write_bytes(BAD[name][0])
    ran = run("image", "flip", name, "-o", f"out_{name}")
    assert ran.code == 1
    assert BAD[name][1] in ran.err
    assert [p.name for p in tmp_path.iterdir()] == [name]


WRONG = {
    "no size": ("rocket.jpg -o a.jpg", "Give exactly one of"),
    "two sizes": ("rocket.jpg -o a.jpg --scale 2 --long-edge 5", "Give exactly one of"),
    "size without height": ("rocket.jpg -o a.jpg --size 640", "WxH"),
    "size of nothing": ("rocket.jpg -o a.jpg --size 0x5", "WxH"),
    "scale of nothing": ("rocket.jpg -o a.jpg --scale 0", "above 0"),
    "negative scale": ("rocket.jpg -o a.jpg --scale=-1", "above 0"),
    "endless scale": ("rocket.jpg -o a.jpg --scale inf", "above 0"),
    "edge of nothing": ("rocket.jpg -o a.jpg --long-edge 0", "--long-edge"),
    "unknown interpolation": ("rocket.jpg -o a.jpg --scale 2 --interpolation linear", "bilinear"),
    "quality out of range": ("rocket.jpg -o a.jpg --scale 2 --quality 101", "--quality"),
    "no threads": ("rocket.jpg -o a.jpg --scale 2 -j 0", "--jobs"),
    "no output": ("rocket.jpg --scale 2", "--output"),
    "missing input": ("rockt.jpg -o a.jpg --scale 2", "Did you mean 'rocket.jpg'?"),
    "missing folder": ("no/such/folder -o out --scale 2", "There is no file or folder 'no/such/folder'"),
    "pattern without match": ("*.gif -o out --scale 2", "No file matches the pattern '*.gif'"),
    "folder without images": ("empty -o out --scale 2", "contains no images"),
    "unknown format": ("rocket.jpg -o a.jgp --scale 2", "Did you mean '.jpg'"),
    "no format": ("rocket.jpg -o a --scale 2", "write 'a/'"),
    "several into a file": ("rocket.jpg coins.png -o coins2.png --scale 2", "'coins2.png' is a file"),
    "input without a format": ("data.bin rocket.jpg -o out --scale 2", "'.bin'"),
    "two inputs, one output": ("rocket.jpg sub/rocket.jpg -o out --scale 2", "out/rocket.jpg <- rocket.jpg, sub/rocket.jpg"),
    "the input itself": ("rocket.jpg -o rocket.jpg --scale 2 --overwrite", "Inputs are never replaced"),
    "the input by another way": ("rocket.jpg -o sub/../rocket.jpg --scale 2 --overwrite", "Inputs are never replaced"),
    "the input by a link": ("rocket.jpg -o link.jpg --scale 2 --overwrite", "Inputs are never replaced"),
    "the folder itself": ("sub -o sub --scale 2 --overwrite", "Inputs are never replaced"),
    "one input onto another": ("rocket.jpg sub/coins.png -o . --scale 2 --overwrite", "Inputs are never replaced"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "text"), WRONG.values(), ids=WRONG.keys())
def test_wrong_usage(words: str, text: str, run: Run, tmp_path: Path) -> None:
    """Wrong usage is exit code 2 before any image is opened; no file changes."""
    take(tmp_path, "rocket.jpg", "coins.png", "sub/rocket.jpg", "sub/coins.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "data.bin").write_bytes(b"x")
    (tmp_path / "coins2.png").write_bytes(b"x")
    (tmp_path / "link.jpg").symlink_to("rocket.jpg")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    ran = run("image", "resize", *words.split())
    assert ran.code == 2, ran.err
    assert text in " ".join(ran.err.replace("│", " ").split())
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_too_large_result(run: Run, tmp_path: Path) -> None:
    """A result that is too large for memory or for its format is an error; nothing is written."""
    ran = run("image", "resize", photograph("rocket.jpg"), "-o", "a.png", "--scale", "10000")
    assert (ran.code, "too large" in ran.err) == (1, True)
    ran = run("image", "resize", photograph("rocket.jpg"), "-o", "a.jpg", "--size", "70000x2")
    assert (ran.code, "70000" in ran.err) == (1, True)
    assert list(tmp_path.iterdir()) == []


def test_floating_point_pixels(run: Run, tmp_path: Path) -> None:
    """A float TIFF stays float as a TIFF, and is an error as a PNG."""
    cv2.imwrite(str(tmp_path / "in.tif"), np.full((8, 8), 0.25, np.float32))
    assert run("image", "resize", "in.tif", "-o", "out.tif", "--scale", "2").code == 0
    assert (cv2.imread(str(tmp_path / "out.tif"), -1) == np.float32(0.25)).all()
    ran = run("image", "resize", "in.tif", "-o", "out.png", "--scale", "2")
    assert (ran.code, "floating-point" in ran.err, Path("out.png").exists()) == (1, True, False)


def test_float_image_with_alpha_is_blended_onto_white(run: Run, tmp_path: Path) -> None:
    """A float format without alpha gets the image on white."""
    cv2.imwrite(str(tmp_path / "in.tif"), np.full((8, 8, 4), [0.25, 0.25, 0.25, 0.5], np.float32))
    ran = run("image", "resize", "in.tif", "-o", "out.hdr", "--scale", "2")
    assert ran.code == 0, ran.err
    assert np.allclose(cv2.imread(str(tmp_path / "out.hdr"), -1), 0.625, atol=0.01)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and links of POSIX")
def test_pipes_and_broken_links_are_skipped(run: Run, tmp_path: Path) -> None:
    """Pipes and broken links with the suffix of an image are skipped."""
    take(tmp_path / "in", "rocket.jpg", "coins.png")
    os.mkfifo(tmp_path / "in" / "pipe.jpg")
    (tmp_path / "in" / "broken.jpg").symlink_to("nowhere.jpg")
    ran = run("image", "resize", "in", "-o", "out", "--scale", "0.1")
    assert ran.code == 0, ran.err
    assert "Skipped: 2 files that are not images." in ran.out
    assert sorted(p.name for p in Path("out").iterdir()) == ["coins.png", "rocket.jpg"]


def test_full_disk(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If writing fails, the old file stays, no partial file is left, and the reason is reported."""
    take(tmp_path / "in", "rocket.jpg")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "rocket.jpg").write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(paths.Path, "replace", full)
    ran = run("image", "resize", "in", "-o", "out", "--scale", "0.5", "--overwrite")
    assert (ran.code, "No space left on device" in ran.err) == (1, True)
    assert {p.name: p.read_bytes() for p in Path("out").iterdir()} == {"rocket.jpg": b"old"}


def test_a_file_that_appears_meanwhile_is_not_replaced(run: Run, tmp_path: Path, monkeypatch: Any) -> None:
    """Without ``--overwrite``, a file that appears after the check is not replaced."""
    take(tmp_path, "rocket.jpg")
    monkeypatch.setattr("cfgtrain_cli.image.plan.os.path.lexists", lambda path: False)
    Path("small.jpg").write_bytes(b"precious")
    ran = run("image", "resize", "rocket.jpg", "-o", "small.jpg", "--scale", "0.5")
    assert (ran.code, "File exists" in ran.err) == (1, True)
    assert Path("small.jpg").read_bytes() == b"precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["rocket.jpg", "small.jpg"]


def test_an_internal_error_affects_one_image(run: Run, tmp_path: Path, monkeypatch: Any) -> None:
    """An unexpected exception is reported with its location; the other images are written."""
    take(tmp_path, "rocket.jpg")
    take(tmp_path, "astronaut.png")

    def failing(pixels: Any, header: Any, suffix: str, quality: Any) -> Any:
        if suffix == ".jpg":
            raise ZeroDivisionError("by nothing")
        return encode(pixels, header, suffix, quality)

    encode = batch.encode_picture
    monkeypatch.setattr(batch, "encode_picture", failing)
    ran = run("image", "resize", "rocket.jpg", "astronaut.png", "-o", "out", "--scale", "0.5")
    assert ran.code == 1
    assert "rocket.jpg: Internal error: ZeroDivisionError: by nothing (test_image_bad.py:" in ran.err
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["astronaut.png"]


def test_an_output_folder_that_cannot_be_created(run: Run, tmp_path: Path) -> None:
    """An output folder whose name is taken by a file is an error for the image."""
    take(tmp_path, "rocket.jpg")
    ran = run("image", "resize", "rocket.jpg", "-o", "rocket.jpg/sub/a.jpg", "--scale", "0.5")
    assert (ran.code, "directory" in ran.err.lower()) == (1, True)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_no_partial_files(number: int, tmp_path: Path) -> None:
    """Ctrl-C and SIGTERM end with exit code 130, and leave neither partial nor temporary files."""
    (tmp_path / "in").mkdir()
    content = encoded(np.kron(letter_f(), np.ones((20, 20, 1), np.uint8)), "JPEG")
    (tmp_path / "in" / "0.jpg").write_bytes(content)
    for i in range(1, 2000):
        (tmp_path / "in" / f"{i}.jpg").hardlink_to(tmp_path / "in" / "0.jpg")
    words = [sys.executable, "-m", "cfgtrain", "image", "flip", "in", "-o", "out", "-j", "2"]
    process = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "out").glob("*.jpg"))) < 3:  # the temporary files have another suffix
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the others not at all" in err
    assert "Traceback" not in err + out
    written = list((tmp_path / "out").iterdir())
    assert 3 <= len(written) < 2000
    assert f"Interrupted: {len(written)} of 2000" in err
    assert all(path.suffix == ".jpg" and path.read_bytes().endswith(b"\xff\xd9") for path in written)
