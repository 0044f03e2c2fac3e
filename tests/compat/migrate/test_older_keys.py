"""The newer spellings that ``cfgtrain migrate`` offers for keys of MMCV configs."""

from __future__ import annotations

from pathlib import Path

import pytest

from cfgtrain.compat.migrate.project import migrate

SPELLINGS = [
    ("total_epochs = 12  # x\n", "runner = dict(type='EpochBasedRunner', max_epochs=12)  # x\n"),
    ("total_iters = 90\n", "runner = dict(type='IterBasedRunner', max_iters=90)\n"),
    ("auto_resume = True\n", "resume_from = 'auto'\n"),
    ("fp16 = dict(loss_scale='dynamic')\n", "precision = 'fp16'\n"),
    ("fp16 = dict(loss_scale=512.)\n", "precision = 'fp16'\noptimizer_config = dict(loss_scale=512.0)\n"),
    ("gpu_ids = [0]  # one\nseed = 1\n", "seed = 1\n"),
    ("find_unused_parameters = True\n", "parallel = dict(type='DDP', find_unused_parameters=True)\n"),
    (
        "optimizer_config = dict(type='GradientCumulativeOptimizerHook', cumulative_iters=4)\n",
        "optimizer_config = dict(cumulative_iters=4)\n",
    ),
]
REST = "model = dict(type='ImageClassifier', backbone=dict(type='LeNet5', num_classes=10))\n"


@pytest.mark.parametrize(("old", "new"), SPELLINGS)
def test_offered_and_rewritten(tmp_path: Path, old: str, new: str) -> None:
    """A spelling is offered and is no work that is left; it is written only if that is asked for."""
    file = tmp_path / "cfg.py"
    file.write_text(REST + old)
    (report,) = migrate([file], write=True)
    assert not report.is_changed
    assert report.todos == []
    (option,) = report.options
    assert option.line == 2
    (report,) = migrate([file], write=True, newer_keys=True, check=False)
    assert file.read_text() == REST + new
    assert report.options == []
    (again,) = migrate([file], newer_keys=True)
    assert not again.is_changed


@pytest.mark.parametrize(
    "text",
    [
        "total_epochs = 12\nlr_config = dict(policy='step', step=[total_epochs - 2])\n",  # also a variable
        "total_epochs = 12\nrunner = dict(type='EpochBasedRunner', max_epochs=12)\n",
        "total_epochs = 6\ntotal_epochs = 12\n",
        "total_epochs = 6 * 2\n",
        "fp16 = None\n",
        "auto_resume = False\n",
        "optimizer_config = dict(type='MyOptimizerHook', cumulative_iters=4)\n",
    ],
)
def test_not_offered(tmp_path: Path, text: str) -> None:
    """A key that is used in another way is left alone."""
    (tmp_path / "cfg.py").write_text(REST + text)
    (report,) = migrate([tmp_path / "cfg.py"], newer_keys=True)
    assert report.options == []
    assert not report.is_changed


def test_used_by_code(tmp_path: Path) -> None:
    """A key that a script reads is left alone."""
    (tmp_path / "cfg.py").write_text("total_epochs = 12\n")
    (tmp_path / "train.py").write_text("import x\nx.run(cfg.total_epochs)\n")
    report, _ = migrate([tmp_path / "cfg.py", tmp_path / "train.py"])
    assert report.options == []


def test_with_bases(tmp_path: Path) -> None:
    """A base and the config that overrides its key are rewritten together, with the same settings."""
    (tmp_path / "base.py").write_text(REST + "total_epochs = 12\n")
    (tmp_path / "cfg.py").write_text("_base_ = 'base.py'\ntotal_epochs = 24\n")
    reports = migrate([tmp_path / "base.py", tmp_path / "cfg.py"], newer_keys=True)
    assert all(report.is_changed for report in reports)


@pytest.mark.parametrize("child", ["total_epochs = 10 + 14\n", "length = {{ _base_.total_epochs }}\n"])
def test_used_by_other_config(tmp_path: Path, child: str) -> None:
    """A key of a base is left alone if a config that inherits it would have other settings."""
    (tmp_path / "base.py").write_text(REST + "total_epochs = 12\n")
    (tmp_path / "cfg.py").write_text("_base_ = 'base.py'\n" + child)
    reports = migrate([tmp_path / "base.py", tmp_path / "cfg.py"], newer_keys=True)
    assert not any(report.is_changed or report.options for report in reports)
