"""What the command line prints when a command fails."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cfgtrain.errors import SampleError
from cfgtrain.exit_codes import ExitCode
from cfgtrain_cli import env

TRANSFORM = """
from cfgtrain.data import PIPELINES


@PIPELINES.register_module()
class Broken:
    def __call__(self, results):
        return results["image"]
"""
HOOK = """
from cfgtrain.runner import HOOKS, Hook


@HOOKS.register_module()
class Broken(Hook):
    def before_run(self, runner):
        try:
            undefined
        except NameError as error:
            raise ValueError("Broken.") from error
"""
CONFIG = "_base_ = {base!r}\ncustom_imports = dict(imports=['parts'])\n{rest}\n"
WITH_TRANSFORM = "data = dict(train=dict(pipeline=[dict(type='Broken')]), workers_per_gpu={workers})"


@pytest.fixture
def project(write: Callable[[str, str], Path], configs: Path) -> Callable[[str, str], Path]:
    """Write a project with custom code and a config that uses it."""

    def call(code: str, rest: str) -> Path:
        write("parts.py", code)
        return write("cfg.py", CONFIG.format(base=str(configs / "digits" / "lenet5.py"), rest=rest))

    return call


def test_exception_in_custom_code(project: Callable[..., Path], run: Callable[..., Any]) -> None:
    """An exception and its cause are printed with the frames of the custom code alone."""
    ran = run("train", project(HOOK, "custom_hooks = [dict(type='Broken')]"))
    assert ran.code == ExitCode.FAILED
    lines = ran.err.splitlines()
    text = lines[lines.index("Error: ValueError: Broken.") :]
    assert text[1] == "  Raised by before_run of Broken"
    assert text[2].startswith("  at custom_hooks[0] (")
    assert [line.strip() for line in text[3:]] == [
        "parts.py:11, in before_run",
        'raise ValueError("Broken.") from error',
        "caused by NameError: name 'undefined' is not defined.",
        "parts.py:9, in before_run",
        "undefined",
        "For the full traceback, add --debug to the command.",
    ]


@pytest.mark.parametrize("workers", [0, 2])
def test_exception_in_a_custom_transform(
    workers: int, project: Callable[..., Path], run: Callable[..., Any]
) -> None:
    """A transform that fails is named with its place and the line of its code, with and without worker processes."""
    ran = run("train", project(TRANSFORM, WITH_TRANSFORM.format(workers=workers)))
    assert ran.code == ExitCode.USAGE
    message, place, sample, *code = ran.err[ran.err.index("Error: ") :].splitlines()
    assert message == (
        "Error: The transform Broken (pipeline[0]) failed: KeyError: 'image'. The keys of the results are img, gt_label. "
        "Did you mean 'img'?"
    )
    assert place.startswith("  at data.train.pipeline[0] (")
    assert sample.startswith("  while loading Sample 942 of Digits")
    assert code == [
        "  parts.py:8, in __call__",
        '    return results["image"]',
        "For the full traceback, add --debug to the command.",
    ]


def test_debug_shows_the_traceback_of_a_worker(project: Callable[..., Path], run: Callable[..., Any]) -> None:
    """With ``--debug``, the cause of an error in a worker is the traceback there, with the frame that raised."""
    with pytest.raises(SampleError) as caught:
        run("--debug", "train", project(TRANSFORM, WITH_TRANSFORM.format(workers=1)))
    assert 'parts.py", line ' in str(caught.value.__cause__)
    assert "KeyError: 'image'" in str(caught.value.__cause__)


def test_debug_raises_the_exception(project: Callable[..., Path], run: Callable[..., Any]) -> None:
    """``--debug``, anywhere in the command, raises any exception, which prints the full traceback."""
    for words in (("--debug", "train"), ("train", "--debug")):
        with pytest.raises(ValueError, match="Broken"):
            run(*words, project(HOOK, "custom_hooks = [dict(type='Broken')]"))


NET = """
from torch import nn

from cfgtrain.cnn import MODELS


@MODELS.register_module(force=True)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, stride=4)
        self.fc = nn.Linear(100, 10)

    def forward(self, x):
        return self.fc(self.conv(x).flatten(1))
"""


@pytest.mark.parametrize("words", [(), ("--no-dry-run",)])
def test_wrong_shape_in_a_custom_network(
    words: tuple[str, ...], project: Callable[..., Path], run: Callable[..., Any]
) -> None:
    """An exception of torch is reported with the layer, its place in the config, the batch and the line of code."""
    ran = run("train", project(NET, "model = dict(backbone=dict(_delete_=True, type='Net'))"), *words)
    text = ran.err[ran.err.index("Error: ") :]
    assert ran.code == (ExitCode.FAILED if words else ExitCode.USAGE)
    assert "RuntimeError: mat1 and mat2 shapes cannot be multiplied (64x256 and 100x10)" in text
    assert "the forward pass of backbone.fc (Linear)" in text
    assert "at model.backbone (" in text
    assert "cfg.py:3)" in text
    assert "The batch has img (64, 1, 32, 32) float32, gt_label (64,) int64 of 0 to 9." in text
    assert "For a Linear, set in_features=256." in text
    assert "    return self.fc(self.conv(x).flatten(1))" in text
    assert len(text.splitlines()) <= 10
    assert Path("work_dirs").exists() == bool(words)  # nothing is written before the dry run is over


LATE = """
from cfgtrain.runner import HOOKS, Hook


@HOOKS.register_module(force=True)
class Late(Hook):
    def after_train_epoch(self, runner):
        if runner.epoch == 1:
            raise LookupError("Late.")
"""


def test_the_way_on_is_named(project: Callable[..., Path], run: Callable[..., Any]) -> None:
    """An exception during a run names the newest checkpoint, and the command that resumes the run."""
    ran = run("train", project(LATE, "custom_hooks = [dict(type='Late')]"))
    text = ran.err[ran.err.index("Error: ") :]
    assert "Raised by after_train_epoch of Late, in iteration 34 (epoch 2, batch 17)" in text
    assert "epoch_2.pth" in text
    assert "--resume auto" in text


def test_error_of_the_operating_system(run: Callable[..., Any], configs: Path) -> None:
    """A file that cannot be written is one message."""
    name = "x" * 300 + ".png"
    ran = run("schedule", configs / "digits" / "lenet5.py", "-o", name)
    assert (ran.code, ran.err) == (ExitCode.FAILED, f"Error: File name too long: {name}.\n")


# A class of a library, and one that reads a file: what is wrong in the config, the exception, the place.
BUILDS = [
    ("model = dict(backbone=dict(_delete_=True, type='torch.nn.Linear', in_features=-4, out_features=2))",
     "Error: RuntimeError: Trying to create tensor with negative dimension -4", "building Linear from model.backbone ("),
    ("model = dict(backbone=dict(_delete_=True, type='torch.nn.Dropout', p=3))",
     "Error: ValueError: dropout probability has to be between 0 and 1, but got 3.", "building Dropout from model.backbone ("),
    ("data = dict(train=dict(_delete_=True, type='gzip.open', filename='none.gz'))",
     "Error: No such file or directory: none.gz.", "building open from data.train ("),
]  # fmt: skip


@pytest.mark.parametrize(("rest", "error", "place"), BUILDS)
def test_value_that_a_library_rejects(
    rest: str, error: str, place: str, run: Callable[..., Any], project: Callable[..., Path]
) -> None:
    """What a class of a library raises is one message with the place in the config, and no traceback."""
    ran = run("train", project("", rest))
    text = ran.err.replace("\n", " ")
    assert ran.code == ExitCode.USAGE  # nothing was started
    assert error in text
    assert f"while {place}" in text
    assert "cfg.py:3)" in text
    assert "Traceback" not in ran.err
    with pytest.raises(Exception, match=r"negative|between|No such"):
        run("--debug", "train", project("", rest))


def test_value_that_custom_code_rejects(run: Callable[..., Any], project: Callable[..., Path]) -> None:
    """Of an exception in a custom constructor, the frames of the custom code and the place are shown."""
    code = (
        "from torch import nn\nfrom cfgtrain.cnn import MODELS\n\n\n@MODELS.register_module(force=True)\n"
        "class Net(nn.Module):\n    def __init__(self, num_classes):\n        super().__init__()\n"
        "        self.fc = nn.Linear(4, num_classes)\n"
    )
    rest = "model = dict(backbone=dict(_delete_=True, type='Net',\n    num_classes='4'))"
    ran = run("train", project(code, rest))
    assert ran.code == ExitCode.USAGE
    assert ran.err.count("parts.py:") == 1
    assert "self.fc = nn.Linear(4, num_classes)" in ran.err
    assert "TypeError: " in ran.err
    assert "while building Net from model.backbone (" in ran.err


def test_bugs_are_raised(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception in which no custom code is involved is a bug, and keeps its full traceback."""

    def bug(content: object) -> None:
        int("x")

    monkeypatch.setattr(bug, "__code__", bug.__code__.replace(co_filename=env.__file__))
    monkeypatch.setattr(env, "print_json", bug)
    with pytest.raises(ValueError, match="invalid literal"):
        run("env", "--json")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such file names")
def test_file_names_that_are_not_text(run: Callable[..., Any], tmp_path: Path) -> None:
    """A file name that is not valid UTF-8 can be printed."""
    name = os.fsdecode(b"caf\xe9.jpg")
    (tmp_path / name).write_bytes(b"")
    ran = run("image", "flip", name, "-o", "out.jpg")
    assert ran.code == ExitCode.FAILED
    assert "caf\\udce9.jpg: The file is empty" in ran.err


def test_exit_codes() -> None:
    """The exit codes are part of the public contract."""
    assert {code.name: code.value for code in ExitCode} == {
        "DONE": 0,
        "FAILED": 1,
        "USAGE": 2,
        "STOPPED": 75,
        "INTERRUPTED": 130,
    }
