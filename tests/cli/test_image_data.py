"""A folder of pictures becomes a trained model with one config, and what is wrong with it is told."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from cfgtrain import Config

CONFIG = """\
steps = [
    dict(type='LoadImageFromFile', color_type='grayscale'),
    dict(type='Normalize', mean=128, std=64),
    dict(type='ImageToTensor', keys=['img']),
    dict(type='Collect', keys=['img', 'gt_label'])]
data = dict(
    samples_per_gpu=4,
    train=dict(type='ImageFolder', root='pets/train', pipeline=steps),
    val=dict(type='ImageFolder', root='pets/val', pipeline=steps))
model = dict(type='SupervisedModel', loss='CrossEntropyLoss', net=[
    dict(type='torch.nn.Flatten'), dict(type='torch.nn.Linear', in_features=36, out_features=2)])
optimizer = dict(type='SGD', lr=0.05)
runner = dict(type='EpochBasedRunner', max_epochs=3)
evaluation = dict(interval=1, metric='accuracy', save_best='accuracy')
checkpoint_config = dict(interval=1)
log_config = dict(interval=2, hooks=[dict(type='TextLoggerHook')])
seed = 0
device = 'cpu'
work_dir = 'run'
"""

Run = Callable[..., Any]


@pytest.fixture
def config(write: Any) -> Path:
    """Write dark cats and light dogs, and a config next to their folder, which is not the current folder."""
    generator = np.random.default_rng(0)
    for part, count in (("train", 6), ("val", 3)):
        for name, level in (("cat", 60), ("dog", 200)):
            folder = Path("project/pets") / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                noise = generator.integers(0, 40, (6, 6), np.uint8)
                cv2.imwrite(str(folder / f"{i}.png"), level + noise)
    return write("project/cfg.py", CONFIG)


def test_it_trains(config: Path, run: Run) -> None:
    """The run scores well, logs its data, and the merged config in its folder works from anywhere."""
    ran = run("train", config)
    assert ran.code == 0, ran.err
    log = next(Path("run").glob("*.log")).read_text()
    assert "train 12, val 6 samples, fingerprints " in log
    assert "; 2 classes: cat, dog" in log
    merged = Path("run/cfg.py")
    assert Config.fromfile(merged).data.train.root == str(Path("project/pets/train").absolute())
    shutil.move(merged, "moved.py")
    assert run("train", "moved.py", "--work-dir", "again", "--cfg-options", "runner.max_epochs=1").code == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("root='pets/trian'", ["data.train.root", "cfg.py:8", "Did you mean 'pets/train'"]),
        ("root='/nowhere'", ["root is '/nowhere', which does not exist.", "data.train.root"]),
        ("root='pets'", ["contains the parts of a dataset, not its classes: use root=", "data.train.root"]),
    ],
)
def test_a_wrong_folder(change: str, told: list[str], config: Path, run: Run) -> None:
    """The message names the folder, the key and the line, before the run."""
    config.write_text(CONFIG.replace("root='pets/train'", change))
    ran = run("train", config)
    assert ran.code == 2
    assert all(each in " ".join(ran.err.split()) for each in told), ran.err


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("shutil.move(TRAIN, 'whole')", "/project/pets/train/"),
        (
            "shutil.copytree(TRAIN, 'whole'); os.truncate(TRAIN + '/dog/3.png', 50)",
            "/pets/train/dog/3.png",
        ),
    ],
)
def test_data_that_is_damaged_during_the_run(
    damage: str, named: str, config: Path, run: Run, write: Any
) -> None:
    """A folder that disappears, or a corrupt image, is named, and the run can be resumed when it is there again."""
    write(
        "damage.py",
        "import os, shutil\nfrom cfgtrain.runner import HOOKS, Hook\nTRAIN = 'project/pets/train'\n"
        "@HOOKS.register_module()\nclass Damage(Hook):\n"
        "    def before_train_epoch(self, runner):\n"
        f"        if runner.epoch == 1:\n            {damage}\n",
    )
    config.write_text(
        CONFIG + "custom_imports = dict(imports=['damage'])\ncustom_hooks = [dict(type='Damage')]\n"
    )
    ran = run("train", config)
    text = " ".join(ran.err.split())
    assert ran.code == 1
    assert "of ImageFolder (" in text
    assert named in text.replace(" ", "")
    shutil.rmtree("project/pets/train", ignore_errors=True)
    shutil.move("whole", "project/pets/train")
    config.write_text(CONFIG)
    ran = run("train", config, "--resume", "auto")
    assert ran.code == 0, ran.err
    assert "has changed" not in ran.err


def test_changed_data_is_told_on_resuming(config: Path, run: Run) -> None:
    """A new image is a warning; a class with another name is an error."""
    assert run("train", config, "--cfg-options", "runner.max_epochs=1").code == 0
    pets = Path("project/pets")
    shutil.copy(pets / "train/cat/0.png", pets / "train/cat/new.png")
    ran = run("train", config, "--resume", "auto", "--cfg-options", "runner.max_epochs=2")
    assert ran.code == 0, ran.err
    assert "data.train has changed since" in " ".join(ran.err.split())
    for part in ("train", "val"):
        (pets / part / "dog").rename(pets / part / "wolf")
    ran = run("train", config, "--resume", "auto")
    assert ran.code == 1
    assert "other classes: 'dog' are gone and 'wolf' are new" in " ".join(ran.err.split())
