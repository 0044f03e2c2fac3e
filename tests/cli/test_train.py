"""``cfgtrain train``, from the command line to the trained model."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cfgtrain import Config
from cfgtrain.checkpoint import read_checkpoint
from cfgtrain.checkpoint.digest import append_digest

QUICK = ["--cfg-options", "optimizer.lr=0.02", "runner.max_epochs=2"]


@pytest.mark.parametrize("name", ["lenet5.py", "lenet5.yaml", "lenet5.json"])
def test_the_configs_train(name: str, configs: Path, run: Callable[..., object], tmp_path: Path) -> None:
    """A config in each format trains; checkpoints, logs and the merged config are in the default work_dir."""
    ran = run("train", configs / "digits" / name, *QUICK)
    assert ran.code == 0, ran.err
    work_dir = tmp_path / "work_dirs" / "lenet5"
    assert {"epoch_1.pth", "epoch_2.pth", "latest.pth", "lenet5.py"} <= {
        path.name for path in work_dir.iterdir()
    }
    assert (work_dir / "latest.pth").resolve().name == "epoch_2.pth"
    assert Config.fromfile(work_dir / "lenet5.py").optimizer.lr == 0.02
    assert len(list(work_dir.glob("*.log"))) == len(list(work_dir.glob("*.log.json"))) == 1
    assert len(list(work_dir.glob("best_accuracy_epoch_*.pth"))) == 1
    assert "Test: accuracy 0." in ran.out
    assert "355 samples" in ran.out
    assert "tensors loaded" not in ran.err  # the best weights of the run itself need no report


def test_the_iteration_config_trains(configs: Path, run: Callable[..., object], tmp_path: Path) -> None:
    """Under an IterBasedRunner, checkpoints and log lines are named by iteration."""
    words = [
        "--cfg-options",
        "optimizer.lr=0.02",
        "runner.max_iters=50",
        "checkpoint_config.interval=20",
        "evaluation.interval=25",
    ]
    ran = run("train", configs / "digits" / "lenet5_iter.py", *words)
    assert ran.code == 0, ran.err
    names = {path.name for path in (tmp_path / "work_dirs" / "lenet5_iter").glob("iter_*.pth")}
    assert names == {"iter_20.pth", "iter_40.pth", "iter_50.pth"}
    assert "Iter [17/50]" in ran.err
    assert "Iter(val) [6]" in ran.err


def test_the_digits_are_learned(configs: Path, run: Callable[..., object], tmp_path: Path) -> None:
    """The whole experiment reaches at least 97 % on the test dataset."""
    ran = run("train", configs / "digits" / "lenet5.py")
    accuracy = float(ran.out.split("accuracy ")[1].split()[0])
    assert accuracy >= 0.97


def _weights(file: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(file)["state_dict"]


def _equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    "other", [["data.workers_per_gpu=2"], ["+data.val_dataloader.workers_per_gpu=1", "log_config.interval=5"]]
)
def test_the_number_of_workers_makes_no_difference(
    other: list[str], small: Path, run: Callable[..., object], tmp_path: Path
) -> None:
    """With another number of workers the final weights are bitwise identical."""
    dropout = ["+model.dropout=0.1", "runner.max_epochs=2"]
    assert run("train", small, "--work-dir", "none", "--cfg-options", *dropout).code == 0
    assert (
        run(
            "train",
            small,
            "--work-dir",
            "some",
            "--cfg-options",
            *dropout,
            *other,
            "+data.val_dataloader.shuffle=False",
        ).code
        == 0
    )
    assert _equal(_weights(Path("none/epoch_2.pth")), _weights(Path("some/epoch_2.pth")))


def test_the_seed_determines_the_run(small: Path, run: Callable[..., object]) -> None:
    """The same seed gives the same weights, another seed others."""
    for folder, seed in [("a", 1), ("b", 1), ("c", 2)]:
        assert run("train", small, "--work-dir", folder, "--seed", seed, "--deterministic").code == 0
    a, b, c = (_weights(Path(folder, "epoch_1.pth")) for folder in "abc")
    assert _equal(a, b)
    assert not _equal(a, c)


def test_the_saved_config_repeats_a_run_without_a_seed(small: Path, run: Callable[..., object]) -> None:
    """A random seed is written into the saved config, which repeats the run."""
    assert run("train", small, "--work-dir", "a", "--cfg-options", "seed=None").code == 0
    assert isinstance(Config.fromfile("a/small.py").seed, int)
    assert run("train", "a/small.py", "--work-dir", "b").code == 0
    assert _equal(_weights(Path("a/epoch_1.pth")), _weights(Path("b/epoch_1.pth")))


def test_training_can_start_from_given_weights(small: Path, run: Callable[..., object]) -> None:
    """--load-from loads the weights and nothing else."""
    assert run("train", small, "--work-dir", "a").code == 0
    still = ["optimizer.lr=0.0", "optimizer.weight_decay=0.0", "lr_config=None"]
    assert (
        run("train", small, "--work-dir", "b", "--load-from", "a/epoch_1.pth", "--cfg-options", *still).code
        == 0
    )
    assert _equal(_weights(Path("a/epoch_1.pth")), _weights(Path("b/epoch_1.pth")))
    assert read_checkpoint("b/epoch_1.pth")["meta"]["epoch"] == 1


def test_the_json_log_has_the_keys_of_mmcv(small: Path, run: Callable[..., object]) -> None:
    """First the meta, then one object per line, train and val, with MMCV's keys."""
    assert run("train", small, "--work-dir", "a").code == 0
    lines = [json.loads(line) for line in next(Path("a").glob("*.log.json")).read_text().splitlines()]
    assert lines[0]["exp_name"] == "small"
    first = next(line for line in lines if "epoch" in line)
    assert list(first)[:4] == ["mode", "epoch", "iter", "lr"]
    assert {"time", "data_time", "loss"} <= set(first)
    assert [line["mode"] for line in lines[1:] if "epoch" in line] == ["train", "train", "val"]
    assert [line["mode"] for line in lines[1:] if "epoch" not in line] == ["warning", "test", "end"]
    assert [line["accuracy"] > 0.3 for line in lines if line.get("mode") in ("val", "test")] == [True, True]


def test_a_config_in_the_work_dir_is_not_overwritten(small: Path, run: Callable[..., object]) -> None:
    """If the work_dir is the folder of the config, the merged config has another name."""
    before = small.read_text()
    assert run("train", small, "--work-dir", ".").code == 0
    assert small.read_text() == before
    assert Config.fromfile("small.merged.py").runner.max_epochs == 1


PROJECT = {
    "shop/__init__.py": "",
    "shop/parts.py": '''
import numpy as np
import torch
from cfgtrain.cnn import MODELS
from cfgtrain.data import PIPELINES
from cfgtrain.runner import HOOKS, Hook


@MODELS.register_module()
class Linear(torch.nn.Module):
    """One layer."""

    def __init__(self, num_classes, pixels=1024):
        super().__init__()
        self.layer = torch.nn.Linear(pixels, num_classes)

    def forward(self, img):
        return self.layer(img.flatten(1))


@PIPELINES.register_module()
class Noise:
    """Random noise on the image."""

    def __init__(self, std):
        self.std = std

    def __call__(self, results):
        results["img"] = results["img"] + np.random.randn(*results["img"].shape).astype("float32") * self.std
        return results


@HOOKS.register_module()
class Counter(Hook):
    """Counts iterations into a file."""

    def __init__(self, file, word="done"):
        self.file, self.word, self.count = file, word, 0

    def after_train_iter(self, runner):
        self.count += 1

    def after_run(self, runner):
        with open(self.file, "w") as out:
            out.write(f"{self.word} {self.count}")
''',
    "shop/other.py": "from shop.parts import Linear\nfrom cfgtrain.cnn import MODELS\n\n"
    "@MODELS.register_module()\nclass Second(Linear):\n    '''Another.'''\n",
    "configs/shop.py": """
_base_ = {base!r}
custom_imports = dict(imports=['shop.parts'])
custom_hooks = [dict(type='Counter', file='count.txt', priority='LOW')]
model = dict(backbone=dict(_delete_=True, type='Linear', num_classes=10))
train_pipeline = [
    dict(type='Resize', scale=(32, 32)),
    dict(type='Normalize', mean=78, std=96),
    dict(type='Noise', std=0.1),
    dict(type='ImageToTensor', keys=['img']),
    dict(type='Collect', keys=['img', 'gt_label'])]
data = dict(train=dict(pipeline=train_pipeline))
runner = dict(max_epochs=1)
""",
}


@pytest.fixture
def project(write: Callable[[str, str], Path], configs: Path) -> Path:
    """A folder outside the repository with a custom module."""
    for name, text in PROJECT.items():
        write(name, text.replace("{base!r}", repr(str(configs / "digits" / "lenet5.py"))))
    return Path("configs/shop.py")


def test_a_custom_project_trains(project: Path, run: Callable[..., object]) -> None:
    """A custom model, transform and hook are imported by custom_imports."""
    ran = run("train", project)
    assert ran.code == 0, ran.err
    assert Path("count.txt").read_text() == "done 17"
    assert _weights(Path("work_dirs/shop/latest.pth"))["backbone.layer.weight"].shape == (10, 1024)


def test_overrides_reach_custom_imports_and_custom_hooks(project: Path, run: Callable[..., object]) -> None:
    """--cfg-options can change the imported modules and the arguments of a custom hook."""
    words = [
        "custom_imports.imports=[shop.parts,shop.other]",
        "model.backbone.type=Second",
        "+custom_hooks.0.word=counted",
    ]
    ran = run("train", project, "--cfg-options", *words)
    assert ran.code == 0, ran.err
    assert Path("count.txt").read_text() == "counted 17"


def test_the_module_form_is_the_same_command() -> None:
    """``python -m cfgtrain`` is the command line."""
    done = subprocess.run(
        [sys.executable, "-m", "cfgtrain", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("cfgtrain ")


@pytest.mark.parametrize(
    "words",
    [["--load-from", "a.pth"], ["--resume", "a.pth"], ["--resume", "auto"]],
    ids=["load_from", "resume", "auto"],
)
def test_checkpoints_can_be_trusted(
    words: list[str], configs: Path, run: Callable[..., Any], tmp_path: Path
) -> None:
    """A checkpoint with more than plain data is loaded with --trust-checkpoint alone, which is not in the config."""
    config = configs / "digits" / "lenet5.py"
    short = ["--cfg-options", "runner.max_epochs=1", "data.samples_per_gpu=256"]
    assert run("train", config, "--work-dir", "again", *short).code == 0
    file = Path("again/epoch_1.pth")
    checkpoint = read_checkpoint(file)
    checkpoint["meta"]["origin"] = Path("x")
    for best in Path("again").glob("*.pth"):
        best.unlink()
    with file.open("w+b") as out:
        torch.save(checkpoint, out)
        append_digest(out)
    Path("a.pth").write_bytes(file.read_bytes())

    longer = ["--work-dir", "again", "--cfg-options", "runner.max_epochs=2", "data.samples_per_gpu=256"]
    refused = run("train", config, *words, *longer)
    assert "--trust-checkpoint" in refused.err
    assert "PosixPath" in refused.err
    assert "Resumed from" not in refused.err
    if words[-1] == "auto":
        assert "Skipping epoch_1.pth: it contains more than weights" in refused.err
        file.write_bytes(Path("a.pth").read_bytes())
        for other in Path("again").glob("*.pth"):
            other.unlink() if other != file else None
    else:
        assert refused.code == 1
    trusted = run("train", config, *words, "--trust-checkpoint", *longer)
    assert trusted.code == 0, trusted.err
    assert ("Resumed from" in trusted.err) is (words[0] == "--resume")
    kind = f"{type(Path()).__module__}.PosixPath"  # its module depends on the version of Python
    assert (f"which is dropped: origin ({kind})" in trusted.err) is (words[0] == "--resume")
    assert "origin" not in read_checkpoint("again/epoch_2.pth")["meta"]
    assert "trust" not in Path("again/lenet5.py").read_text()


def test_resumed_run_does_not_read_the_initial_weights(
    small: Path, run: Callable[..., object], tmp_path: Path
) -> None:
    """--load-from applies to a run that begins; one that resumes says that it does not read it."""
    assert run("train", small, "--work-dir", "a").code == 0
    still = ["optimizer.lr=0.0", "optimizer.weight_decay=0.0", "lr_config=None"]
    words = ["train", small, "--work-dir", "b", "--load-from", "a/epoch_1.pth", "--resume", "auto"]
    begun = run(*words, "--cfg-options", *still)  # there is nothing to resume
    assert begun.code == 0
    assert "is not read" not in begun.err
    assert _equal(_weights(Path("a/epoch_1.pth")), _weights(Path("b/epoch_1.pth")))
    assert run("train", small, "--work-dir", "c", "--seed", 9).code == 0
    words[5] = "c/epoch_1.pth"
    for start in (["--resume", "auto"], ["--resume", "b/epoch_1.pth"]):
        resumed = run(*words[:-2], *start, "--cfg-options", *still, "runner.max_epochs=2")
        assert resumed.code == 0, resumed.err
        text = resumed.err.replace("\n", " ")
        assert "load_from='c/epoch_1.pth' is not read, because the run resumes from" in text
        assert _equal(_weights(Path("b/epoch_2.pth")), _weights(Path("b/epoch_1.pth")))
        Path("b/epoch_2.pth").unlink()


def test_settings_beyond_the_end_are_warnings(
    small: Path, run: Callable[..., object], write: Callable[[str, str], Path]
) -> None:
    """A config of a longer run still runs with fewer epochs; each setting is named with its line."""
    config = write(
        "short.py",
        f"_base_ = {str(small)!r}\n"
        "lr_config = dict(_delete_=True, policy='step',\n    step=[8, 12])\n"
        "log_config = dict(\n    interval=0)\n"
        "checkpoint_config = dict(\n    interval=0)\n",
    )
    ran = run("train", config, "--cfg-options", "runner.max_epochs=1")
    assert ran.code == 0, ran.err
    (log,) = Path("work_dirs/short").glob("*.log")
    for text in (ran.err.replace("\n", " "), log.read_text()):
        assert f"lr_config.step ({config}:3): the policy Step does not reach the steps 8 and 12" in text
        assert f"log_config.interval ({config}:5): with interval=0" in text
        assert f"checkpoint_config.interval ({config}:7): with interval=0" in text
