"""Classes of a project that have the name of one of cfgtrain's."""

from __future__ import annotations

from pathlib import Path

import pytest

from cfgtrain.compat.migrate.project import find_files, migrate

MODEL = "model = dict(type='ImageClassifier', backbone=dict(type='LeNet5', num_classes=10))\n"


@pytest.mark.parametrize(
    ("decorator", "is_listed"),
    [
        ("@HOOKS.register_module()", True),
        ("@HOOKS.register_module(name=['Mine', 'EMAHook'])", True),
        ("@HOOKS.register_module(force=True)", False),
        ("@HOOKS.register_module('Mine')", False),
        ("@OTHER.register_module()", False),
    ],
)
def test_taken_name(tmp_path: Path, decorator: str, is_listed: bool) -> None:
    """A class that cfgtrain's registry would refuse is listed."""
    (tmp_path / "a.py").write_text(f"from mmcv.runner import HOOKS\n{decorator}\nclass EMAHook: ...\n")
    (report,) = migrate(find_files([tmp_path]))
    assert [todo.line for todo in report.todos] == ([3] if is_listed else [])
    if is_listed:
        assert "force=True" in report.todos[0].hint


@pytest.mark.parametrize(
    ("config", "key"),
    [
        (MODEL, "model.type"),
        (MODEL.replace("'Im", "'plates.Im"), ""),
        ("custom_hooks = [dict(type='EMAHook')]\n", "custom_hooks[0].type"),
        ("data = dict(train=dict(type='Repeat', times=2, dataset=dict(type='Digits')))\n", "data.train.dataset.type"),
        ("model = dict(type='LeNet5')\n", ""),
    ],
)  # fmt: skip
def test_type_of_cfgtrain(tmp_path: Path, config: str, key: str) -> None:
    """A type that is cfgtrain's, although the project has another one, is listed in the config."""
    (tmp_path / "code.py").write_text(
        "".join(
            f"@PLATES.register_module()\nclass {name}: ...\n"
            for name in ("ImageClassifier", "EMAHook", "Digits")
        )
    )
    (tmp_path / "cfg.py").write_text(config)
    report, _ = migrate(find_files([tmp_path]))
    todos = [todo for todo in report.todos if "is cfgtrain's own" in todo.message]
    assert [todo.message.partition(":")[0] for todo in todos] == ([key] if key else [])
    if key:
        assert todos[0].line == 1
        assert "code.py:" in todos[0].message
        assert "scope" in todos[0].hint
