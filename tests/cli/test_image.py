"""``cfgtrain image``: sizes, outputs and reports."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from photos import letter_f, photograph, saved, take

Run = Callable[..., "object"]


def size(path: Path) -> tuple[int, int]:
    img = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert img is not None
    return img.shape[1], img.shape[0]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--size", "100x50"], (100, 50)),
        (["--size", "100x100", "--keep-ratio"], (100, 67)),
        (["--scale", "0.5"], (320, 214)),
        (["--scale", "1.25"], (800, 534)),
        (["--long-edge", "160"], (160, 107)),
        (["--short-edge", "107"], (160, 107)),
        (["--long-edge", "160", "--short-edge", "50"], (75, 50)),
        (["--long-edge", "1", "--interpolation", "nearest"], (1, 1)),
        (["--long-edge", "2000", "--shrink-only"], (640, 427)),
        (["--size", "700x100", "--shrink-only"], (640, 427)),
    ],
)
def test_sizes(words: list[str], expected: tuple[int, int], run: Run, tmp_path: Path) -> None:
    """Each size option gives the expected size, rounded half up, and it is printed."""
    ran = run("image", "resize", photograph("rocket.jpg"), "-o", "small.jpg", *words)
    assert ran.code == 0, ran.err
    assert size(tmp_path / "small.jpg") == expected
    assert f"small.jpg  640x427 -> {expected[0]}x{expected[1]}" in ran.out


@pytest.mark.parametrize(
    ("direction", "flipped"),
    [("horizontal", np.fliplr), ("vertical", np.flipud), ("diagonal", lambda a: np.flipud(np.fliplr(a)))],
)
def test_flips(direction: str, flipped: Callable[..., object], run: Run, tmp_path: Path) -> None:
    """Each direction flips the pixels, exactly in a lossless format."""
    ran = run("image", "flip", photograph("coffee.png"), "-o", tmp_path / "f.png", "--direction", direction)
    assert ran.code == 0, ran.err
    assert np.array_equal(
        cv2.imread(str(tmp_path / "f.png")), flipped(cv2.imread(str(photograph("coffee.png"))))
    )


def test_a_folder_is_mirrored(run: Run, tmp_path: Path) -> None:
    """The output mirrors the folders of the input; other files, hidden files and the output are skipped."""
    take(tmp_path / "in", "rocket.jpg", "a/coffee.png", "a/b/coins.png", ".hidden/moon.png")
    (tmp_path / "in" / "notes.txt").write_text("not an image")
    for _ in range(2):  # the second time, the input contains the output
        ran = run("image", "resize", "in", "-o", "in/small", "--long-edge", "64", "--overwrite")
        assert ran.code == 0, ran.err
        assert "Resized 3 images into in/small" in ran.out
        assert "Skipped: 1 file that is not an image." in ran.out
        found = {str(p.relative_to(tmp_path / "in/small")) for p in (tmp_path / "in/small").rglob("*.*g")}
        assert found == {"rocket.jpg", "a/coffee.png", "a/b/coins.png"}


def test_patterns_are_mirrored_below_their_fixed_part(run: Run, tmp_path: Path) -> None:
    """The output mirrors the folders that a pattern matches, with images only."""
    take(tmp_path / "in", "rocket.jpg", "a/rocket.jpg", "a/coins.png")
    ran = run("image", "resize", "in/**/*.jpg", "-o", "out", "--scale", "0.1")
    assert ran.code == 0, ran.err
    assert sorted(str(p.relative_to("out")) for p in Path("out").rglob("*.*")) == [
        "a/rocket.jpg",
        "rocket.jpg",
    ]


def test_files_go_into_a_folder(run: Run, tmp_path: Path) -> None:
    """Several files, or one file and a name that ends with a slash, are written to a new folder."""
    take(tmp_path, "rocket.jpg", "coins.png")
    assert run("image", "resize", "rocket.jpg", "coins.png", "-o", "two", "--scale", "0.1").code == 0
    assert run("image", "resize", "rocket.jpg", "-o", "deep/one/", "--scale", "0.1").code == 0
    assert sorted(p.name for p in Path("two").iterdir()) == ["coins.png", "rocket.jpg"]
    assert [p.name for p in Path("deep/one").iterdir()] == ["rocket.jpg"]


def test_repeated_inputs_are_processed_once(run: Run, tmp_path: Path) -> None:
    """A file that is given several times is one job."""
    take(tmp_path, "rocket.jpg")
    ran = run("image", "resize", "rocket.jpg", "rocket.jpg", "*.jpg", "-o", "out", "--scale", "0.1")
    assert ran.code == 0, ran.err
    assert ran.out == "rocket.jpg -> out/rocket.jpg  640x427 -> 64x43\n"


def test_unusual_file_names(run: Run, tmp_path: Path) -> None:
    """Spaces, brackets, other scripts, a leading dash and upper-case suffixes work."""
    names = ["a b.JPG", "[1].jpg", "写真 ü.jpg", "-x.jpg"]
    for name in names:
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(photograph("rocket.jpg").read_bytes())
    assert run("image", "resize", "in", "-o", "out", "--scale", "0.1").code == 0
    assert run("image", "resize", "in/[1].jpg", "-o", "one.jpg", "--scale", "0.1").code == 0
    assert sorted(p.name for p in Path("out").iterdir()) == sorted(names)


def test_json(run: Run, tmp_path: Path) -> None:
    """``--json`` prints one object with the counts and the details of each file, and nothing else."""
    take(tmp_path / "in", "rocket.jpg")
    (tmp_path / "in" / "bad.png").write_bytes(b"")
    ran = run("image", "resize", "in", "-o", "out", "--size", "64x48", "--json")
    report = json.loads(ran.out)
    assert (ran.code, ran.err, report["done"], report["failed"], report["skipped"]) == (1, "", 1, 1, 0)
    bad, good = report["files"]
    assert "0 bytes" in bad["error"]
    assert good == {
        "input": "in/rocket.jpg",
        "output": "out/rocket.jpg",
        "from": [640, 427],
        "to": [64, 48],
        "losses": [],
        "error": None,
    }


def test_dry_run(run: Run, tmp_path: Path) -> None:
    """``--dry-run`` prints the result of each job, reports broken files, and writes nothing."""
    take(tmp_path / "in", "rocket.jpg", "horse.png")
    (tmp_path / "in" / "bad.png").write_bytes(b"")
    ran = run("image", "resize", "in", "-o", "out", "--scale", "0.5", "--dry-run")
    assert ran.code == 1
    assert "in/rocket.jpg -> out/rocket.jpg  640x427 -> 320x214" in ran.out
    assert "in/horse.png -> out/horse.png  400x328 -> 200x164" in ran.out
    assert "Dry run: 2 images would be written." in ran.out
    assert "in/bad.png: The file is empty" in ran.err
    assert not Path("out").exists()


def test_existing_outputs(run: Run, tmp_path: Path) -> None:
    """Existing outputs are an error, unless ``--skip-existing`` or ``--overwrite`` is given."""
    take(tmp_path / "in", "rocket.jpg", "coins.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "coins.png").write_bytes(b"precious")
    ran = run("image", "resize", "in", "-o", "out", "--scale", "0.1")
    assert ran.code == 2
    assert all(text in ran.err for text in ("out/coins.png", "--overwrite", "--skip-existing"))
    assert [p.name for p in Path("out").iterdir()] == ["coins.png"]
    ran = run("image", "resize", "in", "-o", "out", "--scale", "0.1", "--skip-existing")
    assert ran.code == 0
    assert "Resized 1 image into out" in ran.out
    assert "Skipped: 1 image with an existing output." in ran.out
    assert (tmp_path / "out" / "coins.png").read_bytes() == b"precious"
    assert run("image", "resize", "in", "-o", "out", "--scale", "0.1", "--overwrite").code == 0
    assert size(tmp_path / "out" / "coins.png") == (38, 30)


def test_number_of_threads_does_not_change_the_result(run: Run, tmp_path: Path) -> None:
    """One thread and four threads write the same bytes."""
    take(tmp_path / "in", "rocket.jpg", "hubble_deep_field.jpg", "astronaut.png", "horse.png", "page.png")
    for jobs in (1, 4):
        assert run("image", "resize", "in", "-o", f"out{jobs}", "--long-edge", "100", "-j", jobs).code == 0
    for path in Path("out1").iterdir():
        assert path.read_bytes() == (Path("out4") / path.name).read_bytes()


def test_permissions_and_temporary_files(run: Run, tmp_path: Path) -> None:
    """Outputs have the permissions of new files, and no temporary files remain."""
    take(tmp_path, "rocket.jpg")
    (tmp_path / "plain").write_bytes(b"")
    assert run("image", "flip", "rocket.jpg", "-o", "out/").code == 0
    assert [p.name for p in Path("out").iterdir()] == ["rocket.jpg"]
    assert Path("out/rocket.jpg").stat().st_mode == Path("plain").stat().st_mode


def test_progress_bar(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A terminal shows a progress bar, a pipe does not."""
    take(tmp_path / "in", "rocket.jpg", "coins.png")
    assert run("image", "resize", "in", "-o", "piped", "--scale", "0.1").err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "2/2" in run("image", "resize", "in", "-o", "shown", "--scale", "0.1").err


def test_torch_is_not_imported(tmp_path: Path) -> None:
    """Resizing images imports neither torch nor the progress bar of rich."""
    saved(tmp_path / "f.png", letter_f())
    words = ["image", "resize", "f.png", "-o", "g.png", "--scale", "2"]
    code = (
        f"import sys\nfrom cfgtrain_cli.app import main\ntry: main({words!r})\nexcept SystemExit: pass\n"
        "print(*({'torch', 'rich.progress'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""
    assert size(tmp_path / "g.png") == (120, 160)
