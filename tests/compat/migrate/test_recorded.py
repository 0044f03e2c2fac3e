"""Conversions compared with what MMEngine itself does; see ``scripts/record_mmengine.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cfgtrain import Config
from cfgtrain.compat.migrate.lazy_configs import Named, load_lazy
from cfgtrain.compat.migrate.project import migrate
from cfgtrain.preview import preview_schedule

FOLDER = Path(__file__).parents[2] / "data" / "mmengine"
RECORDED = json.loads((FOLDER / "recorded.json").read_text())


def plain(value: Any) -> Any:
    """Return settings as they are recorded: classes by their import paths, tuples as lists."""
    if isinstance(value, Named):
        return value.path
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize("name", RECORDED["configs"])
def test_lazy_configs(name: str) -> None:
    """A config that imports its bases has the settings that MMEngine reads from it."""
    assert plain(load_lazy(str(FOLDER / "configs" / name)).settings()) == RECORDED["configs"][name]


def _name(run: dict[str, Any]) -> str:
    return "+".join(
        "-".join(f"{key}={value}" for key, value in each.items()) for each in run["param_scheduler"]
    )


@pytest.mark.parametrize("run", RECORDED["runs"], ids=_name)
def test_learning_rates(tmp_path: Path, run: dict[str, Any]) -> None:
    """A converted schedule gives the learning rate that MMEngine has in each iteration, or a note says that it differs.

    One that is not converted is left by hand.
    """
    length = "by_epoch=True, max_epochs=4" if run["by_epoch"] else "by_epoch=False, max_iters=20"
    (tmp_path / "cfg.py").write_text(
        "model = dict(type='ImageClassifier', backbone=dict(type='LeNet5', num_classes=10))\n"
        "optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))\n"
        "train_dataloader = dict(batch_size=1, num_workers=0, dataset=dict(type='Digits', split='train', pipeline=[\n"
        "    dict(type='ImageToTensor', keys=['img']), dict(type='Collect', keys=['img', 'gt_label'])]))\n"
        f"train_cfg = dict({length})\nparam_scheduler = {run['param_scheduler']!r}\n"
    )
    (report,) = migrate([tmp_path / "cfg.py"], write=True, check=False)
    if report.todos:
        assert all(todo.message.startswith("param_scheduler") for todo in report.todos)
        assert "lr_config" not in report.new.partition("#")[0]
        return
    cfg = Config.fromfile(tmp_path / "cfg.py")
    cfg.device = "cpu"
    (line,) = preview_schedule(cfg, 5 if run["by_epoch"] else None).lr
    differs = any("lr differs" in note.message for note in report.notes)
    assert (line.values == pytest.approx(run["lr"], rel=1e-9, abs=1e-12)) is not differs
