"""Wrong input is one message with the problem, its place and a suggestion; nothing is written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

# Lines that are added to the small config, further arguments, and parts of the message.
CASES = {
    "unknown type": ("model = dict(backbone=dict(type='LeNet6'))", "", ["model.backbone.type", "small.py:5", "'LeNet5'"]),
    "unknown argument": ("optimizer = dict(\n    lrr=0.1)", "", ["optimizer.lrr", "small.py:6", "takes no argument 'lrr'"]),
    "misspelt argument": (
        "optimizer = dict(momentun=0.1)", "", ["optimizer.momentun", "small.py:5", "Did you mean 'momentum'?"],
    ),
    "misspelt type in a child": (
        "model = dict(backbone=dict(tyep='LeNet5'))", "", ["model.backbone.tyep", "small.py:5", "Did you mean 'type'?"],
    ),
    "misspelt type of an optimizer in a child": (
        "optimizer = dict(typ='Adam')", "", ["optimizer.typ ", "small.py:5", "Did you mean 'type'?"],
    ),
    "misspelt type of a dataset in a child": (
        "data = dict(val=dict(tpye='Digits'))", "", ["data.val.tpye", "small.py:5", "Did you mean 'type'?"],
    ),
    "misspelt policy in a child": (
        "lr_config = dict(polciy='step')", "", ["lr_config.polciy", "small.py:5", "Did you mean 'policy'?"],
    ),
    "invalid loss scale": (
        "optimizer_config = dict(grad_clip=None)\nfp16 = dict(\n    loss_scale='dynamc')", "",
        ["fp16.loss_scale (", "small.py:7", "'dynamic'"],
    ),
    "no iterations in a step": (
        "optimizer_config = dict(\n    cumulative_iters=0)", "", ["optimizer_config.cumulative_iters", "small.py:6"],
    ),
    "missing argument": (
        "runner = dict(_delete_=True, type='EpochBasedRunner')\nlr_config = dict(_delete_=True, policy='step')",
        "", ["StepLrUpdaterHook needs the argument 'step'", "lr_config", "small.py:6"],
    ),
    "unknown policy": ("lr_config = dict(policy='cosin')", "", ["'CosineAnnealing'", "lr_config.policy", "small.py:5"]),
    "misspelt top-level key": ("log_confg = dict(interval=1)", "", ["'log_config'", "log_confg", "small.py:5"]),
    "wrong type of value": ("seed = 'three'", "", ["seed must be an integer, not 'three'", "small.py:5"]),
    "syntax error": ("a = (", "", ["syntax errors in config file", "'(' was never closed", "small.py:5"]),
    "error while it runs": ("b = 1\na = 1 / 0", "", ["ZeroDivisionError", "small.py:6"]),
    "failing custom import": (
        "custom_imports = dict(imports=['not_there_at_all'])", "",
        ["No module named 'not_there_at_all'", "custom_imports.imports", "small.py:5"],
    ),
    "merging a dict into a number": ("seed = dict(a=1)", "", ["_delete_=True", "seed", "small.py:5"]),
    "empty batches": ("data = dict(samples_per_gpu=0)", "", ["at least 1", "data.samples_per_gpu", "small.py:5"]),
    "no epochs": ("runner = dict(max_epochs=0)", "", ["at least 1", "runner.max_epochs", "small.py:5"]),
    "unknown flow": ("workflow = [('train', 1), ('vall', 1)]", "", ["'vall'", "Did you mean 'val'?", "small.py:5"]),
    "endless workflow": ("workflow = [('val', 1)]", "", ["never end", "small.py:5"]),
    "invalid value for a transform": (
        "data = dict(train=dict(pipeline=[dict(type='Normalize', mean=0, std=0)]))", "",
        ["std must be positive", "data.train.pipeline[0]", "small.py:5"],
    ),
    "invalid value for a hook": ("lr_config = dict(warmup_ratio=2)", "", ["warmup_ratio", "lr_config", "small.py:5"]),
    "misspelt import path": (
        "model = dict(loss=dict(type='torch.nn.CrosEntropyLoss'))", "",
        ["Did you mean 'torch.nn.CrossEntropyLoss'", "model.loss.type", "small.py:5"],
    ),
    "argument of an import path": ("model = dict(loss=dict(weigth=1))", "", ["Did you mean 'weight'", "small.py:5"]),
    "unknown sampler": ("data = dict(sampler=dict(type='Epoch'))", "", ["'EpochSampler'", "data.sampler.type"]),
    "not a hook": ("custom_hooks = [dict(type='torch.nn.ReLU')]", "", ["ReLU is not a Hook", "custom_hooks[0].type"]),
    "hooks that are not a list": ("log_config = dict(hooks=3)", "", ["log_config.hooks", "small.py:5"]),
    "hook that counts epochs in a run of iterations": (
        "runner = dict(_delete_=True, type='IterBasedRunner', max_iters=3)\nlr_config = dict(by_epoch=True)", "",
        ["counts iterations", "lr_config.by_epoch", "small.py:6"],
    ),
    "hook with a misspelt stage": (
        "import sys\nfrom cfgtrain.runner import HOOKS, Hook\n"
        "Late = type('Late', (Hook,), dict(after_train_itr=lambda self, runner: None))\n"
        "custom_hooks = [dict(type=HOOKS.register_module(name='Late', module=Late, force=True) and 'Late')]", "",
        ["after_train_itr", "Did you mean 'after_train_iter'", "custom_hooks[0].type", "small.py:8"],
    ),
    "unknown override": ("", "--cfg-options optimzer.lr=1", ["Did you mean 'optimizer.lr'?", "'+optimzer.lr=...'"]),
    "missing index": (
        "", "--cfg-options data.train.pipeline.9.size=3", ["data.train.pipeline has no item 9", "0 to 4"],
    ),
    "unreadable override": ("", "--cfg-options optimizer.betas=[1,2", ["optimizer.betas=[1,2"]),
    "override of the wrong type": ("", "--cfg-options optimizer.lr=fast", ["lr of SGD", "'fast'", "optimizer.lr=fast"]),
    "unknown device": ("", "--device gpu", ["'gpu'", "--device"]),
    "value of the wrong type in a list": (
        "", "--cfg-options data.train.pipeline.0.scale=32,a", ["scale of Resize", "[32, 'a']", "pipeline[0].scale"],
    ),
    "size of too few sides": (
        "data = dict(train=dict(pipeline=[dict(\n    type='Resize', scale=[32])]))", "",
        ["(width, height)", "data.train.pipeline[0].scale (", "small.py:6"],
    ),
    "negative size": (
        "data = dict(train=dict(pipeline=[dict(type='RandomCrop',\n    size=-1)]))", "",
        ["size must be at least 1", "data.train.pipeline[0].size (", "small.py:6"],
    ),
    "text for a number": (
        "data = dict(val=dict(pipeline=[dict(type='Normalize',\n    mean='grey', std=1)]))", "",
        ["mean of Normalize must be a float or a Sequence", "data.val.pipeline[0].mean (", "small.py:6"],
    ),
    "name for a list of names": (
        "data = dict(val=dict(pipeline=[dict(type='Collect',\n    keys='img')]))", "",
        ["such as ['img'], not 'img'", "data.val.pipeline[0].keys (", "small.py:6"],
    ),
    "value of the wrong type": (
        "", "--cfg-options model.backbone.num_classes='4'", ["num_classes of LeNet5 must be an int, not '4'"],
    ),
    "dict over an inherited list": (
        "log_config = dict(hooks=dict(type='TextLoggerHook'))", "",
        ["replace it, hooks=[dict(...)]", "hooks={{_base_.log_config.hooks}} + [dict(...)]", "log_config.hooks (", "small.py:5"],
    ),
    "dict over a list on the command line": (
        "", "--cfg-options workflow={a:1}", ["workflow=[...]", "workflow.0=..."],
    ),
    "empty work directory": ("", "--work-dir=", ["work_dir is empty", "--work-dir"]),
    "empty work directory in a config": ("work_dir = ''", "", ["work_dir is empty", "small.py:5"]),
    "empty out_dir": (
        "checkpoint_config = dict(\n    out_dir='')", "", ["out_dir is empty", "checkpoint_config.out_dir", "small.py:6"],
    ),
    "empty path of weights": ("", "--load-from=", ["'' is not there", "--load-from"]),
    "empty path to resume from": ("", "--resume=", ["'' is not there", "--resume"]),
    "folder for weights": ("", "--load-from /", ["'/' is a folder", "--load-from"]),
    "folder to resume from": ("", "--resume /", ["'/' is a folder", "--resume"]),
    "folder for initial weights": (
        "model = dict(init_cfg=dict(type='Pretrained',\n    checkpoint='/'))", "",
        ["'/' is a folder", "model.init_cfg.checkpoint", "small.py:6"],
    ),
    "missing weights": ("", "--load-from no.pth", ["'no.pth' is not there", "--load-from"]),
}  # fmt: skip


@pytest.mark.parametrize(("added", "words", "texts"), CASES.values(), ids=CASES.keys())
def test_bad_input_is_one_message_and_writes_nothing(
    added: str, words: str, texts: list[str], small: Path, run: Callable[..., object], tmp_path: Path
) -> None:
    """The message has the problem, its place and a suggestion; exit code 2, and nothing is written."""
    small.write_text(small.read_text().rstrip() + "\n" + added + "\n")
    ran = run("train", small, *words.split())
    assert ran.code == 2
    assert ran.out == ""
    assert [text for text in texts if text not in ran.err.replace("\n", " ")] == []
    assert "Traceback" not in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["small.py"]


@pytest.mark.parametrize(
    ("files", "texts"),
    [
        ({}, ["'a.py' does not exist", "Did you mean 'ab.py'?"]),
        (
            {"a.py": "_base_ = 'b.py'", "b.py": "_base_ = 'a.py'"},
            ["in a cycle", "a.py -> b.py -> a.py", "b.py:1"],
        ),
        (
            {"a.py": "x = 1\n_base_ = 'abc.py'"},
            ["'abc.py' does not exist", "Did you mean 'ab.py'?", "a.py:2"],
        ),
        ({"a.py": ""}, ["There are 4 problems", "'model'", "'data'", "'optimizer'", "'runner'"]),
    ],
    ids=["missing config", "circle of bases", "missing base", "empty config"],
)
def test_bad_files_are_named(
    files: dict[str, str],
    texts: list[str],
    write: Callable[[str, str], Path],
    run: Callable[..., object],
    tmp_path: Path,
) -> None:
    """A config that is missing, inherits from itself or is empty is named; exit code 2."""
    write("ab.py", "")
    for name, text in files.items():
        write(name, text)
    ran = run("train", "a.py")
    assert ran.code == 2
    assert [text for text in texts if text not in ran.err] == []
    assert not (tmp_path / "work_dirs").exists()


def test_all_problems_are_reported_at_once(small: Path, run: Callable[..., object]) -> None:
    """Several mistakes are reported in one list."""
    small.write_text(
        small.read_text() + "optimizer = dict(type='Adm')\nlr_config = dict(warmpu=1)\nseed = -1\n"
    )
    ran = run("train", small)
    assert ran.code == 2
    assert "There are 3 problems" in ran.err
    assert [n for n in ("'Adam'", "'warmup'", "seed must be from 0") if n not in ran.err] == []


def test_several_wrong_options_are_reported_at_once(small: Path, run: Callable[..., object]) -> None:
    """Each override of an unknown key is named."""
    ran = run("train", small, "--cfg-options", "optimzer.lr=1", "runer.max_epochs=2")
    assert ran.code == 2
    assert [
        text for text in ("2 problems", "'optimizer.lr'", "'runner.max_epochs'") if text not in ran.err
    ] == []


def test_a_work_dir_that_cannot_be_written_is_exit_code_1(
    small: Path, run: Callable[..., object], tmp_path: Path
) -> None:
    """A folder that cannot be created is not a usage error: exit code 1, and the folder is named."""
    (tmp_path / "file").write_text("")
    ran = run("train", small, "--work-dir", tmp_path / "file" / "run")
    assert ran.code == 1
    assert str(tmp_path / "file" / "run") in ran.err.replace("\n", "")


def test_debug_shows_the_traceback(small: Path, run: Callable[..., object]) -> None:
    """With --debug the exception of a wrong config is raised, with its traceback."""
    from cfgtrain.errors import ConfigNotFoundError

    with pytest.raises(ConfigNotFoundError):
        run("--debug", "train", "missing.py")


@pytest.mark.parametrize(
    "words", [["--cfg-options"], ["--cfg-options", "lr"], ["--sed", "3"], ["--seed", "-1"], ["--seed", "x"]]
)
def test_wrong_arguments_are_wrong_usage(
    words: list[str], small: Path, run: Callable[..., object], tmp_path: Path
) -> None:
    """Arguments that the command does not accept are exit code 2."""
    assert run("train", small, *words).code == 2
    assert not (tmp_path / "work_dirs").exists()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
@pytest.mark.parametrize("option", ["--load-from", "--resume"])
def test_damaged_checkpoint_is_found_before_anything_is_written(
    option: str, share: float, small: Path, run: Callable[..., object], tmp_path: Path
) -> None:
    """A truncated checkpoint is an error with its place; there is no work directory yet."""
    torch.save({"state_dict": {"weight": torch.ones(100)}}, "w.pth")
    os.truncate("w.pth", int(Path("w.pth").stat().st_size * share))
    ran = run("train", small, option, "w.pth")
    assert ran.code == 1
    assert "The checkpoint w.pth cannot be read: it" in ran.err
    assert f"({option} w.pth)" in ran.err.replace("\n", " ")
    assert "miniz" not in ran.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.py", "w.pth"]


def test_damaged_initial_weights_of_a_part(small: Path, run: Callable[..., object], tmp_path: Path) -> None:
    """The same holds for the checkpoint of a Pretrained initializer."""
    Path("w.pth").write_bytes(b"PK\x03\x04")
    small.write_text(
        small.read_text() + "model = dict(init_cfg=dict(type='Pretrained', checkpoint='w.pth'))\n"
    )
    ran = run("train", small)
    assert ran.code == 1
    assert "its end is missing" in ran.err
    assert "model.init_cfg.checkpoint" in ran.err
    assert not (tmp_path / "work_dirs").exists()


def test_weights_in_the_old_format_are_accepted(small: Path, run: Callable[..., object]) -> None:
    """A checkpoint that is not a zip file, as torch wrote it before 1.6, can be loaded."""
    weights = {"backbone.classifier.2.bias": torch.ones(10)}
    torch.save(weights, "w.pth", _use_new_zipfile_serialization=False)
    ran = run("train", small, "--load-from", "w.pth")
    assert ran.code == 0
    assert "1 of 10 tensors loaded; 9 left as initialized:" in ran.err


def test_weights_of_which_nothing_fits_are_an_error(small: Path, run: Callable[..., object]) -> None:
    """``--load-from`` of other weights is an error with a table and a suggestion, not a run from scratch."""
    torch.save({"net.weight": torch.ones(2)}, "w.pth")
    ran = run("train", small, "--load-from", "w.pth")
    assert ran.code == 1
    assert "0 of 10 tensors loaded; 10 left as initialized, 1 of the file not used:" in ran.err
    assert "net.weight" in ran.err
    assert "Traceback" not in ran.err


def test_load_from_takes_a_url(small: Path, run: Callable[..., object]) -> None:
    """The slashes of a URL are kept, and a file that is not there is an error."""
    ran = run("train", small, "--load-from", "memory://weights/w.pth")
    assert ran.code == 1
    assert "memory://weights/w.pth cannot be downloaded" in " ".join(ran.err.split())


def test_weights_that_a_resumed_run_does_not_read_may_be_missing(
    small: Path, run: Callable[..., object]
) -> None:
    """They are checked only where they are read: if there is nothing to resume."""
    words = ["train", small, "--work-dir", "a", "--load-from", "gone.pth"]
    assert run(*words, "--resume", "auto").code == 2
    assert run("train", small, "--work-dir", "a").code == 0
    for start in ("auto", "a/epoch_1.pth"):
        assert run(*words, "--resume", start, "--cfg-options", "runner.max_epochs=2").code == 0
        Path("a/epoch_2.pth").unlink(missing_ok=True)
