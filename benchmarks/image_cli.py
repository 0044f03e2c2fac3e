"""Compare ``cfgtrain image resize`` with vipsthumbnail and ImageMagick's mogrify: 12 megapixels to 512 pixels.

The pictures are enlarged photographs of scikit-image with simulated camera noise. The start-up time is included.
vipsthumbnail runs on two cores with ``xargs -P 2``, and cfgtrain with ``-j 2``. All of them write JPEG with quality 90.
Debian's libvips-tools and imagemagick must be installed. The CPU time is compared; the wall time and the peak memory
are printed too. A minimal loop over OpenCV in two threads, which decodes at a quarter of the size and checks nothing,
is measured for comparison.

    python benchmarks/image_cli.py [--pairs 20] [--pictures 200] [--slow-pairs 20]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from paired import summary, user_environment

PHOTOGRAPHS = ["astronaut.png", "chelsea.png", "coffee.png", "hubble_deep_field.jpg", "ihc.png", "motorcycle_left.png",
               "retina.jpg", "rocket.jpg"]  # fmt: skip
SIZE = (4000, 3000)
PER_PROCESS = 25  # pictures for each vipsthumbnail process that xargs starts
TARGETS = {"vipsthumbnail": 0.8, "mogrify": 0.1}
MAX_MEMORY = 400  # MB

MINIMAL = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2

folder, out = map(Path, sys.argv[1:])


def shrink(file):
    img = cv2.imread(str(file), cv2.IMREAD_REDUCED_COLOR_4)
    small = cv2.resize(img, (512, 512 * img.shape[0] // img.shape[1]), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(out / file.name), small, [cv2.IMWRITE_JPEG_QUALITY, 90])


cv2.setNumThreads(1)
with ThreadPoolExecutor(2) as pool:
    list(pool.map(shrink, sorted(folder.iterdir())))
"""


class Use(NamedTuple):
    """CPU seconds and wall seconds of a command."""

    cpu: float
    wall: float


def main() -> None:
    """Run the benchmark and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument(
        "--slow-pairs", type=int, default=20, help="pairs with mogrify, which take over a minute each"
    )
    options = parser.parse_args()
    missing = [tool for tool in TARGETS if shutil.which(tool) is None]
    if missing:
        sys.exit(f"Not installed: {', '.join(missing)}. Run: apt-get install libvips-tools imagemagick")
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        make_pictures(top / "all", options.pictures)
        out = top / "out"
        out.mkdir()
        compare("vipsthumbnail", ours(top / "all", out), vips(top / "all", out), options.pairs)
        compare("mogrify", ours(top / "all", out), mogrify(top / "all", out), options.slow_pairs)
        compare(
            "a minimal loop over OpenCV", ours(top / "all", out), minimal(top / "all", out), options.pairs
        )
        memory = peak_memory(ours(top / "all", out))
        print(f"peak memory {memory:.0f} MB, target at most {MAX_MEMORY}: {verdict(memory <= MAX_MEMORY)}")


def make_pictures(folder: Path, number: int) -> None:
    """Write eight pictures, and hard links to them, up to the given number of files."""
    folder.mkdir()
    spec = find_spec("skimage")
    if spec is None or spec.submodule_search_locations is None:
        sys.exit("scikit-image, which contains the photographs, is not installed.")
    random = np.random.default_rng(0)
    for i, name in enumerate(PHOTOGRAPHS):
        photo = cv2.imread(str(Path(spec.submodule_search_locations[0]) / "data" / name))
        large = cv2.resize(photo, SIZE, interpolation=cv2.INTER_CUBIC)
        noise = cv2.GaussianBlur(random.normal(0, 9, large.shape).astype(np.float32), (0, 0), 0.7)
        noisy = np.clip(large + noise, 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{i}_0.jpg"), noisy, [cv2.IMWRITE_JPEG_QUALITY, 92])
    for i in range(len(PHOTOGRAPHS), number):
        of, copy = i % len(PHOTOGRAPHS), i // len(PHOTOGRAPHS)
        (folder / f"{of}_{copy}.jpg").hardlink_to(folder / f"{of}_0.jpg")


def ours(folder: Path, out: Path) -> str:
    """Return the command of cfgtrain."""
    return (
        f"{sys.executable} -m cfgtrain image resize {folder} -o {out} --long-edge 512 -q 90 -j 2 --overwrite"
    )


def vips(folder: Path, out: Path) -> str:
    """Return the command of vipsthumbnail on two cores."""
    thumbnail = f"vipsthumbnail --size 512x512 -o '{out}/%s.jpg[Q=90]'"
    return f"ls {folder}/*.jpg | xargs -P 2 -n {PER_PROCESS} {thumbnail}"


def mogrify(folder: Path, out: Path) -> str:
    """Return the command of ImageMagick."""
    return f"mogrify -path {out} -resize 512x512 -quality 90 {folder}/*.jpg"


def minimal(folder: Path, out: Path) -> str:
    """Return the command of a minimal program that reads, resizes and writes the pictures."""
    file = out.parent / "minimal.py"
    file.write_text(MINIMAL)
    return f"{sys.executable} {file} {folder} {out}"


def compare(name: str, us: str, them: str, pairs: int) -> None:
    """Run two commands alternately and print their ratio."""
    use(us)
    use(them)
    times = [(use(us), use(them)) for _ in range(pairs)]
    result = summary([(a.cpu, b.cpu) for a, b in times])
    wall = [statistics.median(use.wall for use in column) for column in zip(*times, strict=True)]
    print(
        f"CPU time: cfgtrain {result.a:.1f} s, {name} {result.b:.1f} s; wall time: {wall[0]:.1f} s and {wall[1]:.1f} s"
    )
    target = TARGETS.get(name)
    wall_ratio = summary([(a.wall, b.wall) for a, b in times])
    print(f"ratio of wall time {wall_ratio}, affected by other load on the machine")
    aim = "" if target is None else f", target at most {target}: {verdict(result.ratio <= target)}"
    print(f"ratio of CPU time {result}{aim}", flush=True)


def use(command: str) -> Use:
    """Run a shell command and return its use of time, child processes included."""
    before, begin = os.times(), time.perf_counter()
    subprocess.run(["/bin/sh", "-c", command], check=True, stdout=subprocess.DEVNULL, env=user_environment())
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Use(cpu, time.perf_counter() - begin)


def peak_memory(command: str) -> float:
    """Return the peak memory of a command in MB.

    The command is started from a small Python process, since a process inherits the peak of its parent.
    """
    code = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1], shell=True, check=True, stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code, command], check=True, capture_output=True, text=True)
    return int(done.stdout) / (1024 if sys.platform == "linux" else 1 << 20)


def verdict(good: bool) -> str:
    """Return whether a target is met, as a word."""
    return "met" if good else "MISSED"


if __name__ == "__main__":
    main()
