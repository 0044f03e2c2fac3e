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
    trace = ran.err[ran.err.index("Traceback") :]
    assert trace.count('  File "') == 2
    assert trace.count("parts.py") == 2
    assert "NameError: name 'undefined' is not defined" in trace
    assert trace.endswith("ValueError: Broken.\nFor the full traceback, run cfgtrain --debug.\n")


def check_message(lines: list[str]) -> None:
    """Check that an error names the transform, the exception, the place in the config, and the sample."""
    message, place, sample = lines
    assert message.startswith("Error: The transform Broken (pipeline[0]) failed: KeyError: 'image'.")
    assert place.startswith("  at data.train.pipeline[0] (") and place.endswith("cfg.py:3)")
    assert sample.startswith("  while loading Sample ") and " of Digits (digits.npz, image " in sample


def test_exception_in_a_custom_transform(project: Callable[..., Path], run: Callable[..., Any]) -> None:
    """A sample that cannot be loaded is reported with the frame of the custom transform."""
    ran = run("train", project(TRANSFORM, WITH_TRANSFORM.format(workers=0)))
    assert ran.code == ExitCode.FAILED
    trace = ran.err[ran.err.index("Traceback") :]
    assert trace.count('  File "') == trace.count("parts.py") == 1
    check_message(trace.splitlines()[-3:])


def test_exception_in_a_worker_process(project: Callable[..., Path], run: Callable[..., Any]) -> None:
    """An error in a worker process is one message, without the traceback of the worker."""
    ran = run("train", project(TRANSFORM, WITH_TRANSFORM.format(workers=1)))
    assert ran.code == ExitCode.FAILED
    assert "Traceback" not in ran.err
    check_message(ran.err.splitlines()[-3:])


def test_debug_shows_the_traceback_of_a_worker(project: Callable[..., Path], run: Callable[..., Any]) -> None:
    """With ``--debug``, the cause of an error in a worker is the traceback there, with the frame that raised."""
    with pytest.raises(SampleError) as caught:
        run("--debug", "train", project(TRANSFORM, WITH_TRANSFORM.format(workers=1)))
    assert 'parts.py", line ' in str(caught.value.__cause__)
    assert "KeyError: 'image'" in str(caught.value.__cause__)


def test_debug_raises_the_exception(project: Callable[..., Path], run: Callable[..., Any]) -> None:
    """``--debug`` raises any exception, which prints the full traceback."""
    with pytest.raises(ValueError, match="Broken"):
        run("--debug", "train", project(HOOK, "custom_hooks = [dict(type='Broken')]"))


def test_error_of_the_operating_system(run: Callable[..., Any], configs: Path) -> None:
    """A file that cannot be written is one message."""
    name = "x" * 300 + ".png"
    ran = run("schedule", configs / "digits" / "lenet5.py", "-o", name)
    assert (ran.code, ran.err) == (ExitCode.FAILED, f"Error: File name too long: {name}.\n")


# A class of a library, and one that reads a file: what is wrong in the config, the exception, the place.
BUILDS = [
    ("model = dict(_delete_=True, type='torch.nn.Linear', in_features=-4, out_features=2)",
     "Error: RuntimeError: Trying to create tensor with negative dimension -4", "building Linear from model ("),
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
    assert ran.code == ExitCode.FAILED
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
    assert ran.code == ExitCode.FAILED
    assert ran.err.count('  File "') == 1
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
