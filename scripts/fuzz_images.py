"""Decode damaged images: ``make fuzz``.

Small JPEG, PNG, WebP, TIFF and GIF files are damaged at random: bytes are changed, removed, repeated or inserted, and
files are cut or joined. Each must give an image or one of cfgtrain's errors, and must neither crash nor hang the
process. The images are decoded in a process of its own, so that a crash is found and the next image goes on.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from cfgtrain.errors import CfgTrainError
from cfgtrain.image import imfrombytes
from cfgtrain.image.array import Array

FLAGS = ("color", "grayscale", "unchanged", "color_ignore_orientation", "grayscale_ignore_orientation")
MEMORY = 6 << 30  # bytes; a damaged header may claim a billion pixels


def main() -> int:
    """Decode the images and print the result; return 0 if all checks pass."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000, help="number of images [%(default)s]")
    parser.add_argument("--seed", type=int, help="seed of the damage; random by default")
    # A damaged header of a JPEG may claim a billion pixels, which OpenCV decodes in 20 seconds.
    parser.add_argument("--seconds", type=float, default=90, help="longest time for one image [%(default)s]")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    seed = random.randrange(1 << 30) if args.seed is None else args.seed
    if args.worker:
        work(seed, int(args.worker[0]), args.count, Path(args.worker[1]))
        return 0
    failures, first, images = 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        while first < args.count:
            reason = run_worker(seed, first, args.count, log, args.seconds)
            lines = log.read_text().splitlines()
            images += sum(line.endswith("image") for line in lines)
            for line in lines:
                if "unexpected" in line:
                    failures += 1
                    print(f"seed {seed}, image {line}")
            first += len(lines)
            if reason:
                failures += 1
                print(f"seed {seed}, image {first}: {reason}")
                first += 1
    print(
        f"{args.count} damaged images: {images} were decoded, {args.count - images - failures} gave an error, {failures} failed."
    )
    return 1 if failures else 0


def run_worker(seed: int, first: int, count: int, log: Path, seconds: float) -> str:
    """Run a worker from one image on, and return why it ended early, or an empty str."""
    log.write_text("")
    words = [
        sys.executable,
        __file__,
        "--seed",
        str(seed),
        "--count",
        str(count),
        "--worker",
        str(first),
        str(log),
    ]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as worker:
        size, since = -1, time.monotonic()
        while worker.poll() is None:
            time.sleep(0.05)
            now = log.stat().st_size
            if now != size:
                size, since = now, time.monotonic()
            elif time.monotonic() - since > seconds + 10 * (size == 0):  # it starts first
                worker.kill()
                return f"not decoded after {seconds:g} seconds"
        return "" if worker.returncode == 0 else f"the process ended with code {worker.returncode}"


def work(seed: int, first: int, count: int, log: Path) -> None:
    """Decode images from ``first`` on, and write one line for each to the log."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    bases = samples()
    with log.open("w", buffering=1) as lines:
        for index in range(first, count):
            lines.write(f"{index}: {outcome(random.Random(f'{seed} {index}'), bases)}\n")
    os._exit(0)  # the libraries may crash at exit after reading damaged files; what counts is done


def outcome(rng: random.Random, bases: list[bytes]) -> str:
    """Damage a file, decode it, and return what happened."""
    content = damaged(rng, bases)
    backend = rng.choice(("cv2", "cv2", "pillow", "tifffile" if content[:2] in (b"II", b"MM") else "cv2"))
    flag = rng.choice(FLAGS)
    try:
        img = imfrombytes(
            content, flag, rng.choice(("bgr", "rgb")), backend, max_side=rng.choice((None, None, 20))
        )  # type: ignore[arg-type]
    except CfgTrainError as error:
        return "error" if str(error) else "unexpected empty message"
    except Exception as error:
        return f"unexpected {type(error).__name__}: {error} ({backend}, {flag})".replace("\n", " ")
    return "image" if isinstance(img, np.ndarray) and img.size else f"unexpected {img!r}"


def samples() -> list[bytes]:
    """Return undamaged files of all formats and kinds."""
    y, x = np.mgrid[:24, :32]
    rgb = np.stack([8 * x, 10 * y, 255 - 4 * x - 4 * y], -1).clip(0, 255).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    files = []
    gray, rgba = rgb[..., 0], np.dstack([rgb, rgb[..., :1]])
    deep = gray.astype(np.uint16) * 257
    for kind, imgs, options in (
        ("JPEG", (rgb, gray), ({"exif": exif}, {"progressive": True}, {"icc_profile": b"x" * 200})),
        ("PNG", (rgb, gray, rgba, deep), ({"exif": exif}, {"dpi": (300, 300)})),
        ("WEBP", (rgb, rgba), ({"exif": exif}, {"lossless": True})),
        ("TIFF", (rgb, gray, rgba, deep), ({"tiffinfo": {274: 6}}, {"compression": "tiff_lzw"})),
        ("GIF", (rgb, gray), ({}, {"interlace": 1})),
    ):
        files += [encode(img, kind, each) for img in imgs for each in options]
    return files


def encode(img: Array, kind: str, options: object) -> bytes:
    """Return an image file made by Pillow."""
    file = BytesIO()
    Image.fromarray(img).save(file, kind, **dict(options))  # type: ignore[call-overload]
    return file.getvalue()


def damaged(rng: random.Random, bases: list[bytes]) -> bytes:
    """Return one of the files with one or more damages."""
    content = bytearray(rng.choice(bases))
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(content)) if rng.random() < 0.5 else rng.randrange(min(len(content), 64))
        length = rng.choice((1, 1, 2, 4, 16, 100))
        kind = rng.choice(("change", "change", "change", "bit", "remove", "insert", "repeat", "cut", "join"))
        if kind == "change":
            content[at : at + length] = rng.choice((rng.randbytes(length), b"\xff" * length, b"\0" * length))
        elif kind == "bit":
            content[at] ^= 1 << rng.randrange(8)
        elif kind == "remove":
            del content[at : at + length]
        elif kind == "insert":
            content[at:at] = rng.randbytes(length)
        elif kind == "repeat":
            content[at:at] = content[at : at + length]
        elif kind == "cut":
            del content[max(at, 1) :]
        else:
            content[at:] = rng.choice(bases)[at:]
        if not content:
            content += b"\0"
    return bytes(content)


if __name__ == "__main__":
    sys.exit(main())
