"""A project in the habit of MMCV 1.x runs under the alias, and trains as ``cfgtrain train`` does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.compat.legacy_runs import COMMAND, SCRIPT, SIZES, TORCHRUN, logged, run

# Added to a config, so that nothing is random after the weights: no shuffling and no augmentation.
PLAIN = """_base_ = '{base}.py'
train_pipeline = [
    dict(type='LoadGlyphFromFile'), dict(type='GlyphResize', size=(8, 8)),
    dict(type='GlyphNormalize', mean=[78.], std=[96.]), dict(type='DefaultFormatBundle'),
    dict(type='Collect', keys=['img', 'gt_label'])
]
data = dict(train=dict(pipeline=train_pipeline), train_dataloader=dict(shuffle=False))
seed = 7
"""


def train(project: Path, config: str, name: str, *args: str) -> list[dict[str, Any]]:
    """Run tools/train.py under the alias; return the lines of its log, without times."""
    run(project, *SCRIPT, "tools/train.py", f"configs/digits/{config}.py", "--work-dir", name, *args)
    return logged(project / name)


def command(project: Path, config: str, name: str, *args: str) -> list[dict[str, Any]]:
    """Run ``cfgtrain train`` with the alias; return the lines of its log, without times."""
    words = ("train", f"configs/digits/{config}.py", "--compat", "mmcv", "--work-dir", name)
    run(project, *COMMAND, *words, *args)
    return logged(project / name)


def assert_same_weights(project: Path, *names: str) -> None:
    first, *others = (torch.load(project / name / "latest.pth")["state_dict"] for name in names)
    for other in others:
        assert [name for name, weight in first.items() if not torch.equal(weight, other[name])] == []


def test_the_script_trains_as_the_command_does(project: Path) -> None:
    """All losses, scores and weights are those of ``cfgtrain train`` with the same config."""
    script = train(project, "glyph_net_plain_2e", "script")
    assert script == command(project, "glyph_net_plain_2e", "command")
    assert [line["mode"] for line in script] == ["train", "val", "train", "val"]
    assert_same_weights(project, "script", "command")


def test_a_resumed_run_is_the_unbroken_one(project: Path) -> None:
    """With shuffling and augmentation, resumed from the end of the first epoch; then it is tested."""
    whole = train(project, "glyph_net_2e", "whole", "--seed", "3")
    first = ("--resume-from", "whole/epoch_1.pth")
    assert train(project, "glyph_net_2e", "rest", "--seed", "3", *first) == whole[2:]
    assert_same_weights(project, "whole", "rest")
    test = (
        "tools/test.py",
        "configs/digits/glyph_net_2e.py",
        "rest/latest.pth",
        "--metrics",
        "accuracy",
        "confusion",
    )
    run(project, *SCRIPT, *test, "--out", "out.json", "--fuse-conv-bn", "--show-dir", "shown")
    out = json.loads((project / "out.json").read_text())
    assert len(out["pred_class"]) == SIZES["test"] == len(list((project / "shown").iterdir()))
    assert {"accuracy_top-1", "accuracy_top-2", "mean_recall"} < {*out}


@pytest.mark.slow
@pytest.mark.parametrize("config", ["glyph_net_adam_poly", "glyph_net_iter_cyclic", "glyph_net_fp16"])
def test_the_other_configs_train(project: Path, config: str) -> None:
    """Accumulated gradients, total_epochs, custom hooks and schedules, iterations, and fp16."""
    lines = train(project, config, "run", "--seed", "3")
    assert [line["mode"] for line in lines].count("val") == 2
    assert all(line["loss"] < 3 for line in lines if line["mode"] == "train")


@pytest.mark.slow
@pytest.mark.parametrize("config", ["glyph_net_adam_poly", "glyph_net_iter_cyclic", "glyph_net_fp16"])
def test_the_command_trains_the_other_configs_alike(project: Path, config: str) -> None:
    """Without randomness, the script and the command end with the same losses, scores and weights."""
    (project / "configs/digits/plain.py").write_text(PLAIN.format(base=config), encoding="utf-8")
    assert train(project, "plain", "script") == command(project, "plain", "command")
    assert_same_weights(project, "script", "command")


@pytest.mark.slow
def test_two_processes_train(project: Path) -> None:
    """With ``--launcher pytorch``: the samples are divided, and the main process evaluates all."""
    words = ("tools/train.py", "configs/digits/glyph_net_2e.py", "--work-dir", "two", "--seed", "3")
    run(project, *TORCHRUN, *SCRIPT, *words, "--launcher", "pytorch")
    lines = logged(project / "two")
    assert [line["mode"] for line in lines].count("val") == 2
    assert {"accuracy_top-1", "accuracy_top-2"} < {*lines[-1]}


@pytest.mark.slow
def test_two_processes_of_the_command(project: Path) -> None:
    """The script and the command under torchrun, and ``--nproc 2``, train with the same losses and weights."""
    words = ("configs/digits/glyph_net_plain_2e.py", "--work-dir")
    run(project, *TORCHRUN, *SCRIPT, "tools/train.py", *words, "script", "--launcher", "pytorch")
    run(project, *TORCHRUN, *COMMAND, "train", *words, "torchrun", "--compat", "mmcv")
    nproc = command(project, "glyph_net_plain_2e", "nproc", "--nproc", "2")
    assert nproc == logged(project / "torchrun") == logged(project / "script")
    assert [line["iter"] for line in nproc if line["mode"] == "train"] == [3, 3]
    assert_same_weights(project, "script", "torchrun", "nproc")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_load_the_same(project: Path, method: str) -> None:
    """With workers, also spawned ones, which import the project again, the losses and weights are the same."""
    one = ("--seed", "3", "--cfg-options", "runner.max_epochs=1")
    options = (*one, "data.workers_per_gpu=2", f"mp_start_method={method}")
    expected = command(project, "glyph_net_2e", "none", *one)
    assert command(project, "glyph_net_2e", "workers", *options) == expected
    assert_same_weights(project, "none", "workers")
    assert [line["mode"] for line in train(project, "glyph_net_2e", "script", *options)] == ["train", "val"]


@pytest.mark.slow
def test_commands_use_the_trained_model(project: Path) -> None:
    """A model that the script trained is tested as by the script, and predicts as in the test; check finds no error."""
    config = "configs/digits/glyph_net_plain_2e.py"
    train(project, "glyph_net_plain_2e", "run")
    test = ("tools/test.py", config, "run/latest.pth", "--metrics", "accuracy", "--out", "out.json")
    run(project, *SCRIPT, *test)
    expected = json.loads((project / "out.json").read_text())
    run(project, *COMMAND, "test", config, "run/latest.pth", "--compat", "mmcv", "--out", "scores.json")
    scores = json.loads((project / "scores.json").read_text())["scores"]
    assert scores == {
        name: pytest.approx(expected[name], rel=1e-4) for name in ("accuracy_top-1", "accuracy_top-2")
    }
    words = ("predict", config, "run/latest.pth", "data/digits/test", "--compat", "mmcv", "--out", "found")
    run(project, *COMMAND, *words)
    found = json.loads((project / "found/predictions.json").read_text())
    assert [each["class"] for each in found["predictions"]] == expected["pred_class"]
    assert "OK: 3 datasets" in run(project, *COMMAND, "check", config, "--compat", "mmcv")


def test_print_config_shows_the_config(project: Path) -> None:
    """The merged config is printed, with the variables of its bases replaced."""
    printed = run(
        project, *COMMAND, "print-config", "configs/digits/glyph_net_adam_poly.py", "--compat", "mmcv"
    )
    assert "total_epochs = 2" in printed
    assert "experiment = 'glyph_net_adam_poly'" in printed
