"""Compare the loading of JPEG files with a bare loop over OpenCV, and with a pipeline of torch and Pillow.

    python benchmarks/data.py [--pairs 20] [--images 3000] [--workers 0 2]
    python benchmarks/data.py --quick      # 200 images per pass

The files have 500 x 375 pixels, and are parts of scikit-image's photographs. Each is decoded, cropped at random and
resized to 224 x 224, flipped with a probability of 0.5, normalized, and collated into a batch of 32.

- ``bare loop`` makes the same calls of OpenCV without transforms, results and seeds of samples. Without workers it is a
  loop over the files, and with workers a dataset in torch's DataLoader.
- ``Pillow`` is the usual pipeline of torch: Pillow decodes, crops, resizes and flips, torch normalizes.

The passes run alternately, on one thread, and their CPU times are compared, with those of the workers. Before, the
batches are compared: those of cfgtrain and of the bare loop are the same bit for bit.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import resource
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
import torch
from image_cli import PHOTOGRAPHS
from paired import compare
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from cfgtrain.data import build_dataloader, build_pipeline
from cfgtrain.random_state import derive_seed, seed_sample

WIDTH, HEIGHT, SIZE, BATCH = 500, 375, 224, 32
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]  # RGB, from 0 to 255
AREA, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
BARE_TARGET = 1.1
PILLOW_TARGETS = {0: 0.65, 2: 0.75}  # by the number of workers

PIPELINE = [
    {"type": "LoadImageFromFile"},
    {"type": "RandomResizedCrop", "size": SIZE, "area": AREA, "ratio": RATIO},
    {"type": "RandomFlip", "prob": 0.5},
    {"type": "Normalize", "mean": MEAN, "std": STD, "to_rgb": True},
    {"type": "ImageToTensor", "keys": ["img"]},
    {"type": "Collect", "keys": ["img", "gt_label"]},
]
# What Normalize gives for each value, (3, 256)
TABLES = ((np.arange(256, dtype=np.float32)[:, None] - np.float32(MEAN)) / np.float32(STD)).T.copy()


class Ours(Dataset[Any]):
    """Files through a pipeline of cfgtrain."""

    def __init__(self, paths: list[str]) -> None:
        self.paths = paths
        self.pipeline = build_pipeline(PIPELINE)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        return self.pipeline({"img_path": self.paths[index], "gt_label": index})


class Bare(Dataset[Any]):
    """Files through the same calls of OpenCV."""

    def __init__(self, paths: list[str]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        img = cv2.imdecode(np.fromfile(self.paths[index], np.uint8), cv2.IMREAD_COLOR)
        top, left, height, width = random_box(*img.shape[:2])
        img = cv2.resize(img[top : top + height, left : left + width], (SIZE, SIZE))
        if np.random.random() < 0.5:
            img = cv2.flip(img, 1)
        planes = np.empty((3, SIZE, SIZE), np.float32)
        for channel, plane in enumerate(cv2.split(img)[::-1]):
            cv2.LUT(plane, TABLES[channel : channel + 1], planes[channel])
        return {"img": torch.from_numpy(planes), "gt_label": index}


class WithPillow(Dataset[Any]):
    """Files through Pillow and torch, as torchvision's transforms do it."""

    def __init__(self, paths: list[str]) -> None:
        self.paths = paths
        self.mean = torch.tensor(MEAN)[:, None, None] / 255
        self.std = torch.tensor(STD)[:, None, None] / 255

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        with Image.open(self.paths[index]) as file:
            img = file.convert("RGB")
        top, left, height, width = random_box(img.height, img.width)
        img = img.crop((left, top, left + width, top + height))
        img = img.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
        if np.random.random() < 0.5:
            img = img.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        tensor = torch.from_numpy(np.array(img)).permute(2, 0, 1).contiguous()
        tensor = tensor.to(torch.float32).div(255).sub_(self.mean).div_(self.std)
        return {"img": tensor, "gt_label": index}


def random_box(height: int, width: int) -> tuple[int, int, int, int]:
    """Draw a part (top, left, height, width) as RandomResizedCrop does."""
    while True:
        pixels = height * width * np.random.uniform(*AREA)
        ratio = math.exp(np.random.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        box_width, box_height = round(math.sqrt(pixels * ratio)), round(math.sqrt(pixels / ratio))
        if box_width <= width and box_height <= height:
            top = np.random.randint(height - box_height + 1)
            return top, np.random.randint(width - box_width + 1), box_height, box_width


def our_batches(paths: list[str], workers: int) -> Iterable[Any]:
    """Return a loader of cfgtrain."""
    return build_dataloader(Ours(paths), BATCH, workers, shuffle=False, persistent_workers=False)


def bare_batches(paths: list[str], workers: int) -> Iterable[Any]:
    """Return a loop over the files, or a loader of torch if there are workers."""
    if workers:
        return torch_batches(Bare(paths), workers)
    return _bare_loop(Bare(paths))


def _bare_loop(samples: Bare) -> Iterator[Any]:
    for first in range(0, len(samples), BATCH):
        batch = [samples[i] for i in range(first, min(first + BATCH, len(samples)))]
        images = torch.stack([sample["img"] for sample in batch])
        yield {"img": images, "gt_label": torch.tensor([sample["gt_label"] for sample in batch])}


def torch_batches(dataset: Dataset[Any], workers: int) -> Iterable[Any]:
    """Return a loader of torch."""
    return DataLoader(dataset, BATCH, num_workers=workers, worker_init_fn=_limit_threads)


def _limit_threads(_: int) -> None:
    cv2.setNumThreads(0)


def measure(batches: Callable[[], Iterable[Any]]) -> float:
    """Load all batches, and return the CPU seconds of this process and of the workers, which end then."""
    before = cpu_seconds()
    for _ in batches():
        pass
    return cpu_seconds() - before


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its child processes that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def make_images(folder: Path, count: int) -> list[str]:
    """Write parts of photographs as JPEG files, and return their paths."""
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        sys.exit("Not installed: scikit-image, whose photographs are used.")
    photographs = [cv2.imread(str(Path(spec.origin).parent / "data" / name)) for name in PHOTOGRAPHS]
    draw = random.Random(0)
    paths = []
    for i in range(count):
        img = photographs[i % len(photographs)]
        scale = draw.uniform(0.5, 1) * min(img.shape[1] / WIDTH, img.shape[0] / HEIGHT)
        width, height = int(WIDTH * scale), int(HEIGHT * scale)
        left, top = draw.randint(0, img.shape[1] - width), draw.randint(0, img.shape[0] - height)
        part = cv2.resize(
            img[top : top + height, left : left + width], (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC
        )
        paths.append(str(folder / f"{i}.jpg"))
        cv2.imwrite(paths[-1], part, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return paths


def check(paths: list[str]) -> None:
    """Raise if the samples of cfgtrain differ from those of the bare loop, or much from those of Pillow."""
    ours = next(iter(our_batches(paths, 0)))["img"]
    for position in range(len(ours)):
        others = []
        for dataset in (Bare(paths), WithPillow(paths)):
            seed_sample(derive_seed(0, 0, position))
            others.append(dataset[position]["img"])
        bare, pillow = others
        if not torch.equal(ours[position], bare):
            raise ValueError(f"Sample {position} differs from that of the bare loop.")
        if (ours[position] - pillow).abs().mean() > 0.25:  # Pillow smooths what it reduces
            raise ValueError(f"Sample {position} is another one than that of Pillow.")


def main() -> int:
    """Print the ratios; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20, help="pairs of passes [%(default)s]")
    parser.add_argument("--images", type=int, default=3000, help="files of a pass [%(default)s]")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2], help="numbers of workers [0 2]")
    parser.add_argument("--quick", action="store_true", help="the same as --images 200")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        paths = make_images(Path(folder), 200 if args.quick else args.images)
        check(paths)
        print(f"{len(paths)} files of {WIDTH} x {HEIGHT}, CPU time, median of {args.pairs} pairs")
        for workers in args.workers:
            ours = partial(measure, partial(our_batches, paths, workers))
            pillow = PILLOW_TARGETS.get(workers, PILLOW_TARGETS[2])
            for name, batches, target in (
                ("bare loop", partial(bare_batches, paths, workers), BARE_TARGET),
                ("Pillow", partial(torch_batches, WithPillow(paths), workers), pillow),
            ):
                result = compare(ours, partial(measure, batches), args.pairs)
                met = result.ratio <= target
                missed += not met
                print(
                    f"{workers} workers: {result.a / len(paths) * 1e3:.2f} ms per image, of {name} {result}, "
                    f"target at most {target:g}: {'met' if met else 'MISSED'}",
                    flush=True,
                )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
