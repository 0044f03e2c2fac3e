"""Runs whose samples cannot be loaded, or are loaded by custom samplers and collate functions."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from tiny import same

Run = Callable[..., Any]

CONFIG = """\
custom_imports = dict(imports=["breaking"])
loading = [
    dict(type="LoadImageFromFile", color_type="grayscale"),
    dict(type="RandomFlip", prob=0.5),
    dict(type="Normalize", mean=[127.5], std=[50.0]),
    dict(type="ImageToTensor", keys=["img"]),
    dict(type="Collect", keys=["img", "gt_label"])]
data = dict(
    batch_size=4,
    train=dict(type="ImageFolder", root="shapes", pipeline=loading))
model = dict(
    type="SupervisedModel",
    net=[dict(type="torch.nn.Flatten"), dict(type="torch.nn.Linear", in_features=36, out_features=3)],
    loss="CrossEntropyLoss")
optimizer = dict(type="SGD", lr=0.1)
runner = dict(type="EpochBasedRunner", max_epochs=4)
seed = 1
device = "cpu"
"""

BREAKING = """
import shutil
from pathlib import Path

from cfgtrain.runner import HOOKS, Hook


@HOOKS.register_module()
class Corrupt(Hook):
    def after_train_epoch(self, runner):
        if runner.epoch == 1:
            path = Path("shapes/b/1.png")
            path.write_bytes(path.read_bytes()[:40])


@HOOKS.register_module()
class Delete(Hook):
    def after_train_epoch(self, runner):
        if runner.epoch == 1:
            shutil.rmtree("shapes")
"""


@pytest.fixture
def config(write: Callable[[str, str], Path]) -> Path:
    """A config, and a folder with 21 images of three classes: 14, 5 and 2."""
    generator = np.random.default_rng(0)
    for name, count in (("a", 14), ("b", 5), ("c", 2)):
        for i in range(count):
            path = Path("shapes") / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), generator.integers(0, 256, (6, 6), dtype=np.uint8))
    write("breaking.py", BREAKING)
    return write("small.py", CONFIG)


def weights(work_dir: str) -> Any:
    return torch.load(Path(work_dir) / "latest.pth")["state_dict"]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("hook", "reason"),
    [
        ("Corrupt", "shapes/b/1.png) cannot be loaded: OpenCV cannot decode it"),
        ("Delete", ".png) cannot be loaded: FileNotFoundError: "),
    ],
)
def test_data_that_breaks_during_a_run(hook: str, reason: str, workers: int, config: Path, run: Run) -> None:
    """One message names file, dataset and checkpoint; when the data is repaired, the run resumes with the same bits."""
    options = ["--cfg-options", f"+data.num_workers={workers}"]
    assert run("train", config, "--work-dir", "whole", *options).code == 0
    shutil.copytree("shapes", "copy")
    failed = run("train", config, *options, f"+custom_hooks=[{{type: {hook}}}]")
    assert failed.code == 1
    message, place, newest, resuming = failed.err.splitlines()[-4:]
    assert message.startswith("Error: Sample ")
    assert reason in message
    assert place.startswith("  at data.train (") and place.endswith("small.py:10)")
    assert newest.endswith("epoch_2.pth.")
    assert "--resume auto" in resuming
    assert "Traceback" not in failed.err
    shutil.rmtree("shapes", ignore_errors=True)
    shutil.move("copy", "shapes")
    resumed = run("train", config, "--resume", "auto", *options)
    assert resumed.code == 0, resumed.err
    assert same(weights("work_dirs/small"), weights("whole"))


def test_broken_images_are_skipped(config: Path, run: Run) -> None:
    """With ``on_error="skip"`` a broken image is replaced, listed and logged once, whatever the number of workers."""
    Path("shapes/b/1.png").write_bytes(b"no image")
    skipping = ["--cfg-options", "+data.on_error=skip"]
    for workers in (0, 2):
        done = run("train", config, "--work-dir", f"w{workers}", *skipping, f"+data.num_workers={workers}")
        assert done.code == 0, done.err
        assert done.err.count("shapes/b/1.png) is skipped: ImageDecodeError: ") == 1
        (line,) = Path(f"w{workers}/skipped_samples.jsonl").read_text().splitlines()
        assert (json.loads(line)["dataset"], json.loads(line)["index"]) == ("data.train", 15)
    assert same(weights("w0"), weights("w2"))
    resumed = run("train", config, "--work-dir", "again", "--resume", "w0/epoch_2.pth", *skipping)
    assert resumed.code == 0, resumed.err
    assert same(weights("again"), weights("w0"))


@pytest.mark.parametrize(("command", "workers"), [("train", 0), ("train", 1), ("check", 0)])
def test_libraries_do_not_write_about_broken_images(command: str, workers: int, config: Path) -> None:
    """OpenCV's own warning, which names no file, does not appear beside our message, from no process."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    content = cv2.imencode(".png", noise)[1].tobytes()
    for path in Path("shapes").rglob("*.png"):
        path.write_bytes(content[: len(content) // 2])
    words = [sys.executable, "-m", "cfgtrain", command, str(config), "--cfg-options"]
    options = [f"+data.num_workers={workers}", *(["+dry_run=False"] if command == "train" else [])]
    done = subprocess.run([*words, *options], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "OpenCV cannot decode it as an image" in done.stdout + done.stderr
    assert "WARN" not in done.stderr.replace("WARNING", "")


def test_a_new_run_begins_a_new_list(config: Path, run: Run) -> None:
    """The list of skipped samples is that of the run; a new run in the folder removes that of an earlier one."""
    path = Path("shapes/b/1.png")
    content = path.read_bytes()
    path.write_bytes(b"no image")
    skipping = ["--cfg-options", "+data.on_error=skip", "runner.max_epochs=1"]
    assert run("train", config, *skipping).code == 0
    assert Path("work_dirs/small/skipped_samples.jsonl").exists()
    path.write_bytes(content)
    assert run("train", config, *skipping).code == 0
    assert not Path("work_dirs/small/skipped_samples.jsonl").exists()


def test_too_many_broken_images(config: Path, run: Run) -> None:
    """More broken images than ``max_skipped`` end the run."""
    for number in range(3):
        Path(f"shapes/a/{number}.png").write_bytes(b"no image")
    failed = run("train", config, "--cfg-options", "+data.on_error=skip", "+data.max_skipped=2")
    assert failed.code == 1
    assert "3 samples cannot be loaded, but only 2 may be skipped (max_skipped)" in failed.err
    assert len(Path("work_dirs/small/skipped_samples.jsonl").read_text().splitlines()) == 3


def test_images_of_different_sizes(config: Path, run: Run) -> None:
    """Images of different sizes in a batch are one error that names them and the transforms that help."""
    cv2.imwrite("shapes/a/0.png", np.zeros((6, 8), np.uint8))
    failed = run("train", config)
    assert failed.code == 1
    (message, place) = failed.err.splitlines()[-2:]
    assert "Values of 'img' in a batch have different shapes (" in message
    assert "(1, 6, 8): Sample 0 of ImageFolder (" in message
    assert "Add Resize with keep_ratio=False, CenterCrop or Pad" in message
    assert place.startswith("  at data.train (")


ITERATIONS = "runner={_delete_: true, type: IterBasedRunner, max_iters: 13}"
INFINITE = "+data.train_dataloader={sampler: {type: InfiniteSampler}}"
BALANCED = "+data.train_dataloader={sampler: {type: ClassBalancedSampler}}"


@pytest.mark.parametrize("sampler", [INFINITE, BALANCED])
def test_samplers_resume_exactly(sampler: str, config: Path, run: Run) -> None:
    """A run of iterations that is resumed with workers in its second order ends with the same bits."""
    options = ["--cfg-options", ITERATIONS, sampler, "+checkpoint_config.interval=7"]
    assert run("train", config, "--work-dir", "whole", *options).code == 0
    resumed = run(
        "train", config, "--work-dir", "again", "--resume", "whole/iter_7.pth", *options,
        "+data.num_workers=2",
    )  # fmt: skip
    assert resumed.code == 0, resumed.err
    assert same(weights("again"), weights("whole"))


def test_infinite_sampler_needs_iterations(config: Path, run: Run) -> None:
    """A run of epochs cannot use the infinite sampler."""
    failed = run("train", config, "--cfg-options", INFINITE)
    assert failed.code == 2
    assert (
        "InfiniteSampler draws without end, so there are no epochs: use it with IterBasedRunner" in failed.err
    )


def test_samplers_for_training_cannot_score(config: Path, run: Run) -> None:
    """A sampler that repeats samples is an error for a dataset that is scored, at the place of the sampler."""
    failed = run(
        "train", config, "--cfg-options", "+data.sampler={type: ClassBalancedSampler}",
        "+data.val={type: ImageFolder, root: shapes, pipeline: []}", "+evaluation={}",
    )  # fmt: skip
    assert failed.code == 2
    assert "ClassBalancedSampler is for training: scores are of each sample once" in failed.err
    assert "at data.sampler (" in failed.err


CONTAINERS = """
import torch
from torch import nn

from cfgtrain.cnn import MODELS
from cfgtrain.data import PIPELINES
from cfgtrain.parallel import DataContainer


@PIPELINES.register_module()
class Containers:
    def __call__(self, results):
        img = results["img"][:, : 3 + results["gt_label"]]
        return dict(
            img=DataContainer(img, stack=True),
            img_metas=DataContainer(dict(path=results["img_path"], label=results["gt_label"]), cpu_only=True))


@MODELS.register_module()
class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 3)

    def train_step(self, data, optimizer=None):
        return dict(loss=self(**data))

    def forward(self, img, img_metas, return_loss=True):
        assert img.shape[:2] == (len(img_metas), 1) and img.shape[2] <= 5
        labels = torch.tensor([meta["label"] for meta in img_metas])
        return nn.functional.cross_entropy(self.fc(img.mean((1, 2))), labels)
"""


@pytest.mark.parametrize("workers", [0, 1])
def test_data_containers(workers: int, config: Path, write: Callable[[str, str], Path], run: Run) -> None:
    """With ``collate_fn="collate"`` a model on the CPU gets stacked images and a list of dicts, as with MMCV."""
    write("containers.py", CONTAINERS)
    text = CONFIG.replace('"breaking"', '"containers"').replace(
        'dict(type="Collect", keys=["img", "gt_label"])', 'dict(type="Containers")'
    )
    head, _, rest = text.partition("model = dict(")
    text = f'{head}model = dict(type="Detector")\noptimizer{rest.partition("optimizer")[2]}'
    path = write("containers_cfg.py", text)
    done = run("train", path, "--cfg-options", "+data.collate_fn=collate", f"+data.num_workers={workers}")
    assert done.code == 0, done.err
