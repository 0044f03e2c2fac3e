"""``cfgtrain image rotate``, ``crop``, ``pad``, ``convert`` and ``info``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from photos import STORED, exif, letter_f, photograph, saved, take
from PIL import Image, ImageCms

Run = Callable[..., Any]

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def raw(path: Path | str) -> np.ndarray[Any, Any]:
    img = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert img is not None
    return img


@pytest.mark.parametrize(
    ("angle", "turns"), [("90", 3), ("-90", 1), ("180", 2), ("270", 1), ("450", 3), ("0", 0)]
)
@pytest.mark.parametrize(("depth", "channels"), [(8, 1), (8, 4), (16, 3)])
def test_quarter_turns_are_exact(
    angle: str, turns: int, depth: int, channels: int, run: Run, tmp_path: Path
) -> None:
    """A rotation by a multiple of 90 degrees, clockwise, turns the whole image without resampling."""
    img = letter_f(depth, channels)
    cv2.imwrite("in.png", img)
    ran = run("image", "rotate", "in.png", "-o", "out.png", "--angle", angle)
    assert ran.code == 0, ran.err
    assert np.array_equal(raw("out.png"), np.rot90(img, turns))


def test_a_rotation_keeps_the_size_or_shows_the_whole_image(run: Run, tmp_path: Path) -> None:
    """By default the size is kept and the corners are cut; --expand shows the whole image; --fill is their colour."""
    cv2.imwrite("in.png", np.full((40, 60, 3), 100, np.uint8))
    assert run("image", "rotate", "in.png", "-o", "a.png", "--angle", "45").code == 0
    assert raw("a.png").shape == (40, 60, 3)
    assert raw("a.png")[0, 0].tolist() == [0, 0, 0]
    assert raw("a.png")[20, 30].tolist() == [100, 100, 100]
    ran = run("image", "rotate", "in.png", "-o", "b.png", "--angle", "45", "--expand", "--fill", "1,2,3")
    assert "60x40 -> 71x71" in ran.out
    assert raw("b.png").shape == (71, 71, 3)
    assert raw("b.png")[0, 0].tolist() == [3, 2, 1]


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "lanczos"])
@pytest.mark.parametrize("top", [255, 65535])
def test_a_rotation_does_not_mix_in_invisible_colours(
    top: int, interpolation: str, run: Run, tmp_path: Path
) -> None:
    """The new corners of an image with alpha are transparent, and leave no dark edge."""
    img = np.full((40, 40, 4), top, np.uint8 if top == 255 else np.uint16)
    cv2.imwrite("in.png", img)
    words = ["--angle", "30", "--expand", "--interpolation", interpolation]
    assert run("image", "rotate", "in.png", "-o", "out.png", *words).code == 0
    out = raw("out.png")
    assert out[0, 0].tolist() == [0, 0, 0, 0]
    assert (out[out[..., 3] > 0] >= [top - 1, top - 1, top - 1, 0]).all()
    run("image", "rotate", "in.png", "-o", "red.png", *words, "--fill", "#ff000080")
    assert raw("red.png")[0, 0].tolist() == [0, 0, top, round(top * 128 / 255)]


def test_a_crop_of_a_box_or_at_the_centre(run: Run, tmp_path: Path) -> None:
    """A box is X,Y,W,H in the upright image; --size is the middle of it."""
    img = letter_f()
    saved(tmp_path / "in.png", STORED[6](img), exif=exif(6))
    assert run("image", "crop", "in.png", "-o", "box.png", "--box", "5,10,30,20").code == 0
    assert np.array_equal(raw("box.png"), img[10:30, 5:35])
    assert run("image", "crop", "in.png", "-o", "all.png", "--box", "0,0,60,80").code == 0
    assert np.array_equal(raw("all.png"), img)
    ran = run("image", "crop", "in.png", "-o", "centre.png", "--size", "20x30")
    assert "60x80 -> 20x30" in ran.out
    assert np.array_equal(raw("centre.png"), img[25:55, 20:40])


def test_a_large_photograph_is_cropped_at_full_size(run: Run, tmp_path: Path) -> None:
    """A small part of a JPEG is not taken from a reduced image."""
    whole = cv2.imread(str(photograph("retina.jpg")))
    assert run("image", "crop", photograph("retina.jpg"), "-o", "out.png", "--box", "700,600,50,40").code == 0
    assert np.array_equal(raw("out.png"), whole[600:640, 700:750])


def test_a_box_outside_an_image_is_an_error_for_it(run: Run, tmp_path: Path) -> None:
    """Images that do not contain the box are listed; the others are cropped."""
    take(tmp_path / "in", "rocket.jpg", "page.png")
    ran = run("image", "crop", "in", "-o", "out", "--size", "400x300")
    assert ran.code == 1
    assert "in/page.png: The box of 400x300 is not inside the image of 384x191." in ran.err
    assert [path.name for path in Path("out").iterdir()] == ["rocket.jpg"]
    ran = run("image", "crop", "in", "-o", "out", "--size", "400x300", "--dry-run", "--overwrite")
    assert "in/page.png: The box of 400x300" in ran.err


PADS: list[tuple[list[str], tuple[tuple[int, int], tuple[int, int]], dict[str, Any]]] = [
    (["--padding", "1,2,3,4"], ((2, 4), (1, 3)), {}),
    (["--padding", "5"], ((5, 5), (5, 5)), {}),
    (["--size", "64x90"], ((0, 10), (0, 4)), {}),
    (["--size", "10x90"], ((0, 10), (0, 0)), {}),
    (["--to-multiple", "32"], ((0, 16), (0, 4)), {}),
    (["--padding", "5", "--mode", "edge"], ((5, 5), (5, 5)), {"mode": "edge"}),
    (["--padding", "5", "--mode", "reflect"], ((5, 5), (5, 5)), {"mode": "reflect"}),
    (["--padding", "5", "--mode", "symmetric"], ((5, 5), (5, 5)), {"mode": "symmetric"}),
]


@pytest.mark.parametrize(("words", "sides", "options"), PADS)
def test_pads(words: list[str], sides: Any, options: dict[str, Any], run: Run, tmp_path: Path) -> None:
    """Each option adds the pixels that NumPy would add."""
    img = letter_f(16)
    cv2.imwrite("in.png", img)
    ran = run("image", "pad", "in.png", "-o", "out.png", *words)
    assert ran.code == 0, ran.err
    assert np.array_equal(raw("out.png"), np.pad(img, (*sides, (0, 0)), **options))


@pytest.mark.parametrize(
    ("img", "fill", "value"),
    [
        (letter_f(), "255,128,0", [0, 128, 255]),
        (letter_f(), "#f80", [0, 136, 255]),
        (letter_f(), "7", [7, 7, 7]),
        (letter_f(), "White", [255, 255, 255]),
        (letter_f(16), "0,1,255", [65535, 257, 0]),
        (letter_f(channels=1), "red", 76),
        (letter_f(channels=4), "red", [0, 0, 255, 255]),
        (letter_f(channels=4), "transparent", [0, 0, 0, 0]),
    ],
)
def test_fills(img: Any, fill: str, value: Any, run: Run, tmp_path: Path) -> None:
    """A colour is given by name or numbers from 0 to 255, and scaled to the depth of the image."""
    cv2.imwrite("in.png", img)
    assert run("image", "pad", "in.png", "-o", "out.png", "--padding", "1", "--fill", fill).code == 0
    assert raw("out.png")[0, 0].tolist() == value


def test_a_float_fill(run: Run, tmp_path: Path) -> None:
    """In a float image, white is 1."""
    cv2.imwrite("in.tif", np.zeros((4, 4, 3), np.float32))
    assert run("image", "pad", "in.tif", "-o", "out.tif", "--padding", "1", "--fill", "white").code == 0
    assert raw("out.tif")[0, 0].tolist() == [1, 1, 1]


def test_convert_gives_outputs_the_suffix(run: Run, tmp_path: Path) -> None:
    """--format selects the format of all outputs, and a single output file its own."""
    take(tmp_path / "in", "rocket.jpg", "a/coins.png")
    assert run("image", "convert", "in", "-o", "out", "--format", "webp").code == 0
    assert {str(path.relative_to("out")) for path in Path("out").rglob("*.*")} == {
        "rocket.webp",
        "a/coins.webp",
    }
    assert run("image", "convert", "in/a/coins.png", "-o", "one.tif").code == 0
    assert np.array_equal(raw("one.tif"), raw("in/a/coins.png"))
    ran = run("image", "convert", "in/rocket.jpg", "in/a/coins.png", "-o", "two", "--format", ".JPG")
    assert sorted(path.name for path in Path("two").iterdir()) == ["coins.jpg", "rocket.jpg"], ran.err


def test_convert_with_two_inputs_for_one_output(run: Run, tmp_path: Path) -> None:
    """Two inputs that differ in their suffix alone are an error before anything is written."""
    saved(tmp_path / "in" / "a.png", letter_f())
    saved(tmp_path / "in" / "a.jpg", letter_f())
    ran = run("image", "convert", "in", "-o", "out", "--format", "webp")
    assert (ran.code, "out/a.webp <- in/a.jpg, in/a.png" in ran.err, Path("out").exists()) == (2, True, False)


def test_convert_to_gray(run: Run, tmp_path: Path) -> None:
    """Colours become gray, alpha is kept, and a profile for colours is dropped."""
    saved(tmp_path / "in.png", Image.open(photograph("rocket.jpg")).convert("RGB"), icc_profile=SRGB)
    ran = run("image", "convert", "in.png", "-o", "gray.png", "--grayscale")
    assert "1 image without ICC profile for RGB" in ran.out
    expected = np.array(Image.open("in.png").convert("L")).astype(int)
    assert raw("gray.png").shape == expected.shape
    assert np.abs(raw("gray.png") - expected).max() <= 1
    run("image", "convert", photograph("logo.png"), "-o", "logo.png", "--grayscale")
    assert np.array_equal(raw("logo.png")[..., 3], raw(photograph("logo.png"))[..., 3])
    assert (raw("logo.png")[..., 0] == raw("logo.png")[..., 2]).all()


def test_info(run: Run, tmp_path: Path) -> None:
    """Each file is a line with its size as stored, orientation, depth, frames, resolution and metadata."""
    saved(tmp_path / "in" / "a.jpg", STORED[6](letter_f()), exif=exif(6), icc_profile=SRGB, dpi=(300, 300))
    cv2.imwrite(str(tmp_path / "in" / "b.png"), letter_f(16))
    frames = [Image.fromarray(letter_f(channels=1)), Image.fromarray(letter_f(channels=1)[::-1])]
    frames[0].save(tmp_path / "in" / "c.gif", save_all=True, append_images=frames[1:])
    Image.fromarray(letter_f(channels=1).astype(np.float32)).save(tmp_path / "in" / "d.tif")
    cv2.imwrite(str(tmp_path / "in" / "e.hdr"), letter_f().astype(np.float32))
    ran = run("image", "info", "in")
    assert ran.code == 0, ran.err
    head, *lines = ran.out.splitlines()
    assert head.split() == ["file", "format", "size", "orient", "pixels", "frames", "DPI", "meta", "bytes"]
    sizes = [str(path.stat().st_size) for path in sorted(Path("in").iterdir())]
    assert [line.split() for line in lines] == [
        ["in/a.jpg", "JPEG", "80x60", "6", "8", "RGB", "1", "300", "EXIF+ICC", sizes[0]],
        ["in/b.png", "PNG", "60x80", "1", "16", "RGB", "1", "-", "-", sizes[1]],
        ["in/c.gif", "GIF", "60x80", "1", "8", "gray", "2", "-", "-", sizes[2]],
        ["in/d.tif", "TIFF", "60x80", "1", "float32", "gray", "1", "-", "-", sizes[3]],
        ["in/e.hdr", "HDR", "60x80", "1", "float32", "RGB", "1", "-", "-", sizes[4]],
    ]


def test_info_of_broken_files(run: Run, tmp_path: Path) -> None:
    """A broken file is one line on stderr and exit code 1; the others are listed."""
    take(tmp_path, "rocket.jpg")
    Path("bad.png").write_bytes(photograph("coins.png").read_bytes()[:-5])
    Path("text.jpg").write_text("no image")
    ran = run("image", "info", "rocket.jpg", "bad.png", "text.jpg")
    assert ran.code == 1
    assert [line.split()[0] for line in ran.out.splitlines()] == ["file", "rocket.jpg"]
    assert ran.err.splitlines()[0] == "2 images failed:"
    assert [line.split(":")[0].strip() for line in ran.err.splitlines()[1:]] == ["bad.png", "text.jpg"]
    ran = run("image", "info", "rocket.jpg", "bad.png", "--json")
    report = json.loads(ran.out)
    assert (ran.code, report["failed"]) == (1, 1)
    good, bad = report["files"]
    assert (good["format"], good["size"], good["depth"], good["exif"]) == ("JPEG", [640, 427], "8", False)
    assert "truncated" in bad["error"]


def test_info_fits_the_terminal(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal of 80 columns, long names are cut at their beginning."""
    take(tmp_path / ("long" * 30), "hubble_deep_field.jpg", "rocket.jpg")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    ran = run("image", "info", "long" * 30)
    assert max(map(len, ran.out.splitlines())) == 80
    assert "…" in ran.out
    assert ".jpg  JPEG" in ran.out


WRONG = {
    "no angle": ("rotate a.png -o b.png", "--angle"),
    "endless angle": ("rotate a.png -o b.png --angle inf", "The angle must be a number"),
    "unknown interpolation": ("rotate a.png -o b.png --angle 5 --interpolation bilinaer", "Did you mean 'bilinear'?"),
    "unknown interpolation of resize": ("resize a.png -o b.png --scale 2 --interpolation autto", "Did you mean 'auto'?"),
    "unknown direction": ("flip a.png -o b.png --direction diagnal", "Did you mean 'diagonal'?"),
    "unknown mode": ("pad a.png -o b.png --padding 1 --mode egde", "Did you mean 'edge'?"),
    "unknown colour": ("pad a.png -o b.png --padding 1 --fill wite", "Did you mean 'white'"),
    "colour above 255": ("pad a.png -o b.png --padding 1 --fill 256", "from 0 to 255"),
    "colour without effect": ("pad a.png -o b.png --padding 1 --mode edge --fill red", "uses no color"),
    "no padding": ("pad a.png -o b.png", "Give exactly one of"),
    "two paddings": ("pad a.png -o b.png --padding 1 --to-multiple 4", "Give exactly one of"),
    "negative padding": ("pad a.png -o b.png --padding=-1,0,0,0", "four numbers"),
    "three paddings": ("pad a.png -o b.png --padding 1,2,3", "four numbers"),
    "multiple of nothing": ("pad a.png -o b.png --to-multiple 0", "--to-multiple"),
    "no box": ("crop a.png -o b.png", "Give exactly one of"),
    "box of nothing": ("crop a.png -o b.png --box 1,2,0,4", "at least one pixel"),
    "box without height": ("crop a.png -o b.png --box 1,2,3", "four numbers"),
    "unknown format": ("convert a.png -o out --format jgp", "Did you mean 'jpg'"),
    "two formats": ("convert a.png -o b.png --format jpg", "is not a jpg file"),
    "no format": ("convert a.png -o out", "Give --format"),
    "nothing to list": ("info nothing.png", "There is no file or folder"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "text"), WRONG.values(), ids=WRONG.keys())
def test_wrong_usage(words: str, text: str, run: Run, tmp_path: Path) -> None:
    """Wrong usage is exit code 2, with what would be right, and nothing is written."""
    saved(tmp_path / "a.png", letter_f())
    ran = run("image", *words.split())
    assert ran.code == 2, ran.err
    shown = " ".join(ran.err.replace("│", " ").split())
    assert text in shown
    assert "is not one of" not in shown
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("number", ["EACCES", "EROFS", "ENOSPC"])
def test_an_output_folder_that_cannot_be_written_is_one_failure(
    number: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only folder or a full disk ends the command with one message, which names the folder."""
    import errno

    for i in range(30):
        saved(tmp_path / "in" / f"{i}.png", letter_f())

    def fail(path: Path, *_: object, **__: object) -> None:
        raise OSError(getattr(errno, number), os.strerror(getattr(errno, number)), str(path))

    monkeypatch.setattr("cfgtrain_cli.image.batch.atomic_write", fail)
    ran = run("image", "flip", "in", "-o", "out")
    assert ran.code == 1
    assert ran.out == ""
    assert ran.err.splitlines()[0] == (
        f"Error: Cannot write to the folder 'out': {os.strerror(getattr(errno, number))}."
    )
    assert "0 of 30 images were written" in ran.err
    assert len(ran.err.splitlines()) == 2


def test_libraries_print_nothing(tmp_path: Path) -> None:
    """Neither OpenCV, libpng, libtiff nor Pillow prints messages of its own; those of the command are printed."""
    broken = bytearray(SRGB)
    broken[64:68] = b"\1\0\0\0"  # a rendering intent that libpng warns about
    saved(tmp_path / "in" / "a.png", letter_f(), icc_profile=bytes(broken))
    saved(tmp_path / "in" / "b.jpg", letter_f(), exif=exif()[:60])
    content = saved(tmp_path / "c.tif", letter_f()).read_bytes()
    (tmp_path / "in" / "c.tif").write_bytes(content[:5000])

    def err(*words: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        return done.stderr.splitlines()

    read = "import cv2; [cv2.imread('in/' + name, -1) for name in ('a.png', 'c.tif')]"
    assert err("-c", read) != []  # they do have something to say
    for command in (["flip", "in", "-o", "out"], ["info", "in", "nothing.jpg"], ["info", "in"]):
        for line in err("-m", "cfgtrain", "image", *command):
            assert "in/c.tif" in line or "failed:" in line or "'nothing.jpg'" in line
    assert len(err("-m", "cfgtrain", "image", "flip", "in", "-o", "again")) == 2
