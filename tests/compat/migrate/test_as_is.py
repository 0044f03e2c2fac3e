"""What ``cfgtrain migrate`` says about configs and code that run as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from cfgtrain.compat.migrate.project import migrate
from cfgtrain.compat.migrate.report import FileReport

PIPELINE = """
pipeline = [
    dict(type='Resize', scale=(32, 32)),
    dict(type='Normalize', mean=78, std=96),
    dict(type='ImageToTensor', keys=['img']),
    dict(type='Collect', keys=['img', 'gt_label']),
]
data = dict(
    samples_per_gpu=64,
    workers_per_gpu=0,
    train=dict(type='Digits', split='train', pipeline=pipeline),
    val=dict(type='Digits', split='val', pipeline=pipeline))
"""
MODEL = """
model = dict(type='ImageClassifier', backbone=dict(type='LeNet5', num_classes=10))
optimizer = dict(type='SGD', lr=0.1, momentum=0.9)
total_epochs = 2
dist_params = dict(backend='nccl')
"""


def report_of(folder: Path, text: str, name: str = "cfg.py", check: bool = True) -> FileReport:
    """Write a file and return the report for it."""
    (folder / name).write_text(text)
    (report,) = migrate([folder / name], check=check)
    return report


def test_config(tmp_path: Path) -> None:
    """A config with older keys runs as it is, and nothing is left to do; without a check nothing is said."""
    report = report_of(tmp_path, PIPELINE + MODEL)
    assert (report.runs, report.verdict, report.style) == (True, "runs as it is", "config")
    assert report.todos == []
    assert not report.is_changed
    assert report_of(tmp_path, PIPELINE + MODEL, check=False).verdict == ""


def test_parts_and_bases(tmp_path: Path) -> None:
    """Parts of configs are named as such, and the config that inherits from them runs as it is."""
    (tmp_path / "data.py").write_text(PIPELINE)
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "cfg.py").write_text("_base_ = ['data.py', 'model.py']\n")
    reports = migrate([tmp_path / "data.py", tmp_path / "model.py", tmp_path / "cfg.py"])
    assert [report.verdict for report in reports] == [
        "part of a config, runs as it is", "part of a config, runs as it is", "runs as it is",
    ]  # fmt: skip


def test_part_with_mistakes(tmp_path: Path) -> None:
    """What is wrong with a part of a config is said, but is not left by hand: another part may complete it."""
    report = report_of(tmp_path, "model = dict(backbone=dict(type='LeNet5'))\n")
    assert report.runs is None
    assert report.verdict.startswith("part of a config, not checked alone: model")
    assert report.todos == []


def test_data_config(tmp_path: Path) -> None:
    """A YAML config is checked too; other YAML files are not."""
    text = "lr_config: {policy: step, step: 3}\noptimizer: {type: SGD, lr: 0.1}\n"
    assert report_of(tmp_path, text, "a.yaml").verdict == "part of a config, runs as it is"
    assert report_of(tmp_path, "on: push\njobs: {test: {}}\n", "b.yaml").verdict == ""


def test_mistakes(tmp_path: Path) -> None:
    """What is wrong with a config is listed with its line and the suggestion."""
    report = report_of(tmp_path, PIPELINE + MODEL.replace("momentum", "momentun"))
    assert report.runs is False
    (todo,) = report.todos
    assert todo.line == 15
    assert "momentun" in todo.message
    assert "momentum" in todo.hint


def test_unknown_types(tmp_path: Path) -> None:
    """Types that only the project registers are named, and nothing is left by hand, not even arguments."""
    model = MODEL.replace("ImageClassifier", "PlateNet").replace("num_classes", "classes")
    report = report_of(tmp_path, PIPELINE + model)
    assert report.runs is None
    assert "'PlateNet' is not registered" in report.verdict
    assert report.todos == []


def test_modules_that_cannot_be_imported(tmp_path: Path) -> None:
    """A config whose modules cannot be imported here is said to be unchecked, with the reason."""
    report = report_of(tmp_path, PIPELINE + MODEL + "custom_imports = dict(imports=['no_such_project'])\n")
    assert report.runs is None
    assert "custom_imports cannot be imported here" in report.verdict
    assert "no_such_project" in report.verdict
    assert report.todos == []


def test_imported_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Types of ``custom_imports`` are known, for the parts of the config too."""
    module = "migrated_plates"
    (tmp_path / f"{module}.py").write_text(
        "from cfgtrain.registries import MODELS\n"
        "print('imported')\n"
        "@MODELS.register_module()\n"
        "class MigratedPlateNet:\n"
        "    def __init__(self, size): ...\n"
        "    def train_step(self, batch, optimizer): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "a.py").write_text("model = dict(type='MigratedPlateNet', size=3)\n")
    (tmp_path / "b.py").write_text(
        f"_base_ = 'a.py'\n{PIPELINE}optimizer = dict(type='SGD', lr=0.1)\ntotal_epochs = 1\n"
        f"custom_imports = dict(imports=['{module}'])\n"
    )
    reports = migrate([tmp_path / "a.py", tmp_path / "b.py"])
    assert [report.verdict for report in reports] == ["part of a config, runs as it is", "runs as it is"]


def test_broken_config(tmp_path: Path) -> None:
    """A config that cannot be loaded does not run, with the reason."""
    report = report_of(tmp_path, "_base_ = 'missing.py'\nmodel = dict(type='LeNet5')\n")
    assert report.runs is False
    assert "missing.py" in report.todos[0].message


@pytest.mark.parametrize(
    ("text", "runs", "verdict"),
    [
        ("import os\n", True, "does not use mmcv"),
        ("# mmcv was here\n", True, "does not use mmcv"),
        ("import mmcv\nmmcv.imread('a')\n", None, "runs as it is with the alias of mmcv"),
        ("import mmcv\nprint(mmcv.__version__)\n", None, "runs as it is with the alias of mmcv"),
        ("from mmcv.ops import RoIAlign\n", False, "runs with the alias of mmcv until it uses 'mmcv.ops.RoIAlign'"),
    ],
)  # fmt: skip
def test_code(tmp_path: Path, text: str, runs: bool | None, verdict: str) -> None:
    """Code runs without changes, under the alias, or until it uses what is missing."""
    report = report_of(tmp_path, text)
    assert (report.runs, report.verdict) == (runs, verdict)


@pytest.mark.parametrize(
    "text",
    [
        "import os\nmodel = dict(type='LeNet5')\nos.remove('x')\n",
        "model = dict(type='LeNet5')\nmain()\n",
        "model = load('x')\n",
        "def model(): ...\n",
    ],
)
def test_code_is_not_executed(tmp_path: Path, text: str) -> None:
    """A file that does more than set variables is not a config, and is not executed."""
    report = report_of(tmp_path, text)
    assert (report.style, report.verdict, report.findings) == ("code", "does not use mmcv", [])


def test_names_that_only_mmcv_has(tmp_path: Path) -> None:
    """A type of MMCV that cfgtrain does not have is left by hand, with what to do."""
    report = report_of(tmp_path, "custom_hooks = [\n    dict(type='RFSearchHook')]\n")
    assert report.runs is False
    (todo,) = report.todos
    assert todo.line == 2
    assert "receptive fields" in todo.hint


def test_environment_variable(tmp_path: Path) -> None:
    """A config with an environment variable, which is not valid Python, is checked like others."""
    report = report_of(tmp_path, "optimizer = dict(type='SGD', lr={{$LR:0.1}})\n")
    assert (report.runs, report.verdict) == (True, "part of a config, runs as it is")
    report = report_of(tmp_path, "optim_wrapper = dict(optimizer=dict(type='SGD', lr={{$LR:0.1}}))\n")
    assert "is not converted" in report.todos[0].message
    report = report_of(tmp_path, "optimizer = dict(type='SGD', lr={{$LR:0.1}}\n")
    assert "cannot be loaded" in report.todos[0].message
