"""Trainings that are broken in one place: the message, its length and the exit code."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cfgtrain.exit_codes import ExitCode
from cfgtrain_cli import start

Run = Callable[..., Any]

MAX_LINES = 15
WIDTH = 80

CONFIG = """
custom_imports = dict(imports=["parts"])
model = dict(type="SupervisedModel", net=dict(type="torch.nn.Linear", in_features=2, out_features=3),
    loss="CrossEntropyLoss")
pipeline = [dict(type="Shift", by=0.5), dict(type="Collect", keys=["x", "gt_label"])]
data = dict(samples_per_gpu=4, workers_per_gpu=0,
    train=dict(type="Points", pipeline=pipeline),
    val=dict(type="Points", pipeline=pipeline))
evaluation = dict(interval=1, metrics=[dict(type="Accuracy"), dict(type="parts.Own")], save_best="accuracy")
optimizer = dict(type="SGD", lr=0.1)
runner = dict(type="EpochBasedRunner", max_epochs=2)
checkpoint_config = dict(interval=1)
log_config = dict(interval=1, hooks=[dict(type="TextLoggerHook")])
custom_hooks = [dict(type="Quiet")]
"""
PARTS = """
import numpy as np
from cfgtrain.data import DATASETS, PIPELINES, build_pipeline
from cfgtrain.runner import HOOKS, Hook


@DATASETS.register_module(force=True)
class Points:
    CLASSES = ("a", "b", "c")

    def __init__(self, pipeline):
        self.pipeline = build_pipeline(pipeline)

    def __len__(self):
        return 12

    def __getitem__(self, index):
        return self.pipeline({"x": np.float32([index, 1]), "gt_label": index % 3})


@PIPELINES.register_module(force=True)
class Shift:
    def __init__(self, by):
        self.by = by

    def __call__(self, results):
        results["x"] += np.float32(self.by)
        return results


@HOOKS.register_module(force=True)
class Quiet(Hook):
    def after_epoch(self, runner):
        pass
"""


class Case(NamedTuple):
    """A broken training.

    Attributes:
        old: A text in the config or in the module.
        new: What it is replaced by.
        fragments: What the message contains.
        code: The exit code.
    """

    old: str
    new: str
    fragments: tuple[str, ...]
    code: ExitCode = ExitCode.USAGE


CASES = {
    # wrong values: what was probably meant
    "number as text": Case(
        "out_features=3",
        "out_features='3'",
        ("not '3'. Did you mean 3, without quotes?", "at model.net.out_features"),
    ),
    "float for an int": Case(
        "max_epochs=2", "max_epochs=2.0", ("not 2.0. Did you mean 2?", "at runner.max_epochs")
    ),
    "int for a bool": Case("workers_per_gpu=0", "workers_per_gpu=0, drop_last=1", ("Did you mean True?",)),
    "scientific notation as text": Case("lr=0.1", "lr='1e-3'", ("Did you mean 0.001, without quotes?",)),
    "None for a number": Case(
        "lr=0.1",
        "lr=None",
        ("SGD does not accept lr=None. Leave it out for the default, 0.001.", "at optimizer.lr"),
    ),
    "pipeline as text": Case(
        'train=dict(type="Points", pipeline=pipeline)',
        "train=dict(type='Points', pipeline='Shift')",
        ("not 'Shift'. Did you mean [dict(type='Shift')]?", "at data.train.pipeline"),
    ),
    "memory": Case(
        "out_features=3",
        "out_features=10**13",
        (
            "Out of memory: a tensor of 80 TB cannot be allocated",
            "model.net (",
            "out_features=10000000000000",
        ),
    ),
    "negative size": Case(
        "out_features=3", "out_features=-3", ("A size is -3, and must be positive.", "model.net (")
    ),
    # one cause of several problems is one problem
    "same mistake in two parts": Case(
        "by=0.5",
        "bi=0.5",
        (
            "Error: Shift takes no argument 'bi'",
            "at data.train.pipeline[0].bi, data.val.pipeline[0].bi (cfg.py:5)",
        ),
    ),
    # the model and the batch
    "features": Case(
        "in_features=2",
        "in_features=5",
        ("set in_features=2.", "forward pass of net (Linear)", "at model.net (cfg.py:3)"),
    ),
    "float64": Case(
        "np.float32([index, 1])", "np.float64([index, 1])", (".astype(np.float32)", "x (4, 2) float64")
    ),
    "texts as labels": Case(
        "index % 3}",
        "str(index)}",
        ("needs the targets as a tensor, not as list. Labels of classes are ints",),
    ),
    "order of transforms": Case(
        'dict(type="Collect", keys=["x", "gt_label"])',
        'dict(type="Collect", keys=["y", "gt_label"])',
        ("Collect (pipeline[1]) failed: KeyError: 'y'", "at data.train.pipeline[1] (cfg.py:5)"),
    ),
    "one class": Case(
        "index % 3}",
        "np.float32([index])}",
        ("CrossEntropyLoss needs targets that are integer class indices",),
    ),
    "no such score": Case(
        'save_best="accuracy"',
        'save_best="own_scor"',
        ("save_best uses the score 'own_scor'", "Did you mean 'own_score'?", "at evaluation.save_best"),
    ),
    "no dict of scores": Case(
        'return {"own_score": 0.5}',
        "return 0.5",
        ("compute() of Own must return a dict of scores by name, not 0.5.", "at evaluation.metrics"),
    ),
    # custom code
    "exit in a constructor": Case(
        "self.by = by", "raise SystemExit('enough')", ("ended by sys.exit('enough')", "parts.py:")
    ),
    "exit in an import": Case(
        "import numpy as np", "raise SystemExit(0)", ("'parts' cannot be imported: SystemExit: 0",)
    ),
    "exit in a transform": Case(
        'results["x"] += np.float32(self.by)',
        "raise SystemExit(4)",
        ("SystemExit: 4", "of Points", "parts.py:"),
    ),
    "constructor raises": Case(
        "self.by = by", "self.by = by / 0", ("ZeroDivisionError", "while building Shift from data.train")
    ),
    "None of a pipeline": Case("        return results\n", "", ("a transform ends with `return results`",)),
    # during the run
    "divergence": Case(
        "lr=0.1", "lr=1e38", ("The loss is", "lower the learning rate, which is 1e+38"), ExitCode.FAILED
    ),
    "hook at a generic stage": Case(
        "        pass\n",
        "        raise ValueError('Broken.')\n",
        (
            "Raised by after_epoch of Quiet",
            "at custom_hooks[0] (",
            "--resume auto",
            "epoch_1.pth",
            "parts.py:",
        ),
        ExitCode.FAILED,
    ),
    "exit of a hook": Case(
        "        pass\n",
        "        raise SystemExit(3)\n",
        ("The run was ended by sys.exit(3).", "after_epoch of Quiet", "--resume auto", "parts.py:"),
    ),
}

OWN_METRIC = """

from cfgtrain.metrics import Metric


class Own(Metric):
    def reset(self):
        return

    def update(self, predictions, batch):
        return

    def compute(self):
        return {"own_score": 0.5}

    def merge(self, others):
        return
"""


@pytest.mark.parametrize("name", CASES)
def test_a_broken_training(name: str, run: Run, write: Callable[[str, str], Path], tmp_path: Path) -> None:
    """Each message is short, says what is wrong, where and what to do; nothing is written before a run begins."""
    case = CASES[name]
    assert case.old in CONFIG + PARTS + OWN_METRIC
    write("parts.py", (PARTS + OWN_METRIC).replace(case.old, case.new))
    write("cfg.py", CONFIG.replace(case.old, case.new))
    ran = run("train", "cfg.py")
    text = ran.err[ran.err.index("Error: ") :]
    for fragment in case.fragments:
        assert fragment in text
    began = case.code == ExitCode.FAILED or name == "exit of a hook"
    assert ran.code == (3 if name == "exit of a hook" else case.code)
    assert sum(math.ceil(len(line) / WIDTH) for line in text.splitlines()) <= MAX_LINES
    assert "Traceback" not in text
    assert (tmp_path / "work_dirs").exists() == began


@pytest.mark.parametrize("workers", [0, 1])
def test_damaged_picture(workers: int, run: Run, write: Callable[[str, str], Path], tmp_path: Path) -> None:
    """A file that cannot be decoded is named once, with what can be done about it."""
    for split in ("train", "test"):
        for name in ("a", "b"):
            write(f"pictures/{split}/{name}/1.png", "no picture")
    pipeline = "[dict(type='LoadImageFromFile'), dict(type='Collect', keys=['img', 'gt_label'])]"
    dataset = f"dict(type='ImageFolder', root='pictures/train', pipeline={pipeline})"
    config = CONFIG[: CONFIG.index("pipeline")] + CONFIG[CONFIG.index("optimizer") :]
    data = f"data = dict(samples_per_gpu=2, workers_per_gpu={workers}, train={dataset})\n"
    write("parts.py", PARTS)
    write("cfg.py", config + data)
    ran = run("train", "cfg.py")
    text = ran.err[ran.err.index("Error: ") :]
    assert ran.code == ExitCode.USAGE
    assert "it begins with b'no picture'" in text
    assert "on_error='skip'" in text
    assert "ImageDecodeError" not in text
    assert not (tmp_path / "work_dirs").exists()


def test_yaml_with_a_tab(run: Run, write: Callable[[str, str], Path]) -> None:
    """A tab in a YAML config is named."""
    write("cfg.yaml", "model:\n\ttype: LeNet5\n")
    ran = run("train", "cfg.yaml")
    assert ran.code == ExitCode.USAGE
    assert "indented with a tab, and YAML allows only spaces there" in ran.err
    assert "cfg.yaml:2" in ran.err


def test_interrupt_while_the_command_line_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the first moment ends the command with its exit code, and no traceback."""

    class Interrupting:
        def find_spec(self, name: str, *args: object) -> None:
            if name == "cfgtrain_cli.app":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "cfgtrain_cli.app", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    with pytest.raises(SystemExit) as caught:
        start.main()
    assert caught.value.code == ExitCode.INTERRUPTED


def test_interrupt_before_the_run_begins(run: Run, write: Callable[[str, str], Path], tmp_path: Path) -> None:
    """Ctrl-C in the dry run ends the command, and leaves nothing behind."""
    write(
        "parts.py",
        (PARTS + OWN_METRIC).replace(
            "        return self.pipeline({",
            "        raise KeyboardInterrupt\n        return self.pipeline({",
        ),
    )
    write("cfg.py", CONFIG)
    assert run("train", "cfg.py").code == ExitCode.INTERRUPTED
    assert not (tmp_path / "work_dirs").exists()
