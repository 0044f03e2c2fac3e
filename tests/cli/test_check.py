"""``cfgtrain check``: everything that is wrong, for people, editors and CI."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cfgtrain.check import check_run
from cfgtrain.config import Config
from cfgtrain.errors import DryRunError
from cfgtrain.random_state import RandomState

Run = Callable[..., Any]


@pytest.fixture
def child(write: Callable[[str, str], Path], configs: Path) -> Callable[[str], Path]:
    """Write a config that inherits from the one that trains LeNet-5 on the digits."""

    def call(text: str) -> Path:
        base = str(configs / "digits" / "lenet5.py")
        write("cfg.py", f"_base_ = {base!r}\n{text}\n")
        return Path("cfg.py")

    return call


def files() -> set[str]:
    """Return all files and folders below the current folder, without the caches of Python."""
    return {str(path) for path in Path().rglob("*") if "__pycache__" not in str(path)}


def document(run: Run, *words: Any) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit code and the JSON of a check."""
    ran = run("check", *words, "--json")
    return ran.code, json.loads(ran.out)


def test_a_correct_config(run: Run, child: Callable[[str], Path]) -> None:
    """The last line says what was checked, the exit code is 0, and nothing is written."""
    cfg = child("")
    before = files()
    ran = run("check", cfg)
    assert (ran.code, ran.err) == (0, "")
    assert " ".join(ran.out.split()).startswith(
        "OK: 3 datasets (train, val, test), ImageClassifier with 61,706 parameters, loss 2."
    )
    assert document(run, cfg) == (0, [])
    assert files() == before


def test_modules_that_fsdp_does_not_find(run: Run, child: Callable[[str], Path]) -> None:
    """A name in ``parallel.wrap`` that no module of the model has is found without starting several processes."""
    child("parallel = dict(type='FSDP', wrap=['backbone.featurs'])")
    code, (found,) = document(run, "cfg.py")
    assert (code, found["line"], found["key"]) == (2, 2, "parallel.wrap")
    assert "'backbone.featurs' is neither the name nor the class of a module" in found["message"]


def test_without_data(run: Run, child: Callable[[str], Path]) -> None:
    """With --no-data, the files that the config names do not have to exist, and nothing is built."""
    cfg = child("load_from = 'none.pth'\nmodel = dict(backbone=dict(num_classes=3))")
    ran = run("check", cfg, "--no-data")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "OK: nothing is wrong with the config; the model and the data were not tried.\n"
    assert run("check", cfg).code == 2


def test_without_a_dry_run(run: Run, child: Callable[[str], Path]) -> None:
    """With dry_run=False everything is built, and that no batch is tried is said."""
    cfg = child("dry_run = False\nmodel = dict(backbone=dict(num_classes=3))")
    code, entries = document(run, cfg)
    assert (code, [entry["severity"] for entry in entries]) == (0, ["note"])
    assert run("check", cfg).out.splitlines() == [
        "cfg.py: note: No batch is tried, because of dry_run=False.",
        "OK: 3 datasets (train, val, test), ImageClassifier.",
    ]


WRONG = """
optimizer = dict(lr=-1)
data = dict(train=dict(type='Digit'))
log_confg = dict(interval=2)
checkpoint_config = dict(interva=2)
"""


def test_all_problems_at_once(run: Run, child: Callable[[str], Path]) -> None:
    """Each problem has its file, line, key, message and hint, in 80 columns; a warning about the same is left out."""
    ran = run("check", child(WRONG), "--cfg-options", "runner.max_epochs=0")
    assert (ran.code, ran.err) == (2, "")
    lines = ran.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "cfg.py:3: error: SGD does not accept lr=-1: Invalid learning rate: -1." in lines
    assert lines[lines.index("cfg.py:6: error: CheckpointHook takes no argument 'interva'.") + 1] == (
        "  key: checkpoint_config.interva"
    )
    assert "  Did you mean 'interval'?" in lines
    assert "  set by --cfg-options runner.max_epochs=0" in lines
    assert lines[-1] == "5 errors."


def test_json(run: Run, child: Callable[[str], Path]) -> None:
    """The document is a list of objects with the same fields."""
    code, entries = document(run, child("data = dict(train=dict(type='Digit'))"))
    assert code == 2
    assert entries[0] == {
        "file": "cfg.py",
        "line": 2,
        "key": "data.train.type",
        "message": "'Digit' is not in the dataset registry.",
        "hint": "Did you mean 'Digits'?",
        "severity": "error",
        "details": [],
    }
    assert [(entry["severity"], set(entry)) for entry in entries[1:]] == [("note", set(entries[0]))]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a = = 2", 2, "syntax"),
        ("a = 1 / 0", 2, "The config raised ZeroDivisionError"),
        ("custom_imports = dict(imports=['nothing_here'])", 2, "nothing_here"),
    ],
)
def test_a_config_that_cannot_be_loaded(
    text: str, line: int, message: str, run: Run, child: Callable[[str], Path]
) -> None:
    """It is one problem in the same forms."""
    code, entries = document(run, child(text))
    assert code == 2
    assert [(entry["file"], entry["line"], entry["severity"]) for entry in entries] == [
        ("cfg.py", line, "error")
    ]
    assert message in entries[0]["message"]
    assert run("check", "cfg.py").out.startswith(f"cfg.py:{line}: error: ")


def test_a_missing_config_and_a_wrong_option(run: Run, child: Callable[[str], Path]) -> None:
    """Their place is the path and the option."""
    assert run("check", "none.py").out == "none.py: error: The config 'none.py' does not exist.\n1 error.\n"
    _, entries = document(run, child(""), "--cfg-options", "optimizer.l=1")
    assert entries[0]["message"] == "There is no key 'l' in optimizer to override."
    assert entries[0]["file"] is None


PARTS = """
import warnings

import torch
from torch import nn

from cfgtrain.cnn import MODELS

print("imported")


@MODELS.register_module(force=True)
class Net(nn.Module):
    def __init__(self, mode):
        super().__init__()
        if mode == "warn":
            warnings.warn("An old habit.")
        if mode == "build":
            raise KeyError("no such thing")
        self.fc = nn.Linear(1024, 10)
        self.mode = mode

    def forward(self, x):
        if self.mode == "forward":
            x = x[:, :, 1:]
        return self.fc(x.flatten(1))
"""


@pytest.fixture
def custom(write: Callable[[str, str], Path], child: Callable[[str], Path]) -> Callable[[str], Path]:
    """Write a config with a custom network that does something wrong."""

    def call(mode: str) -> Path:
        write("parts.py", PARTS)
        return child(
            "custom_imports = dict(imports=['parts'])\n"
            f"model = dict(backbone=dict(_delete_=True, type='Net',\n    mode={mode!r}))"
        )

    return call


@pytest.mark.filterwarnings("default")
def test_warnings(run: Run, custom: Callable[[str], Path]) -> None:
    """They are listed with their place and are errors with --strict; what custom code prints is not in the report."""
    cfg = custom("warn")
    code, entries = document(run, cfg)
    assert code == 0
    assert [(entry["file"], entry["severity"], entry["message"]) for entry in entries] == [
        ("parts.py", "warning", "UserWarning: An old habit.")
    ]
    ran = run("check", cfg, "--strict")
    assert (ran.code, ran.err) == (2, "")
    assert ran.out.splitlines() == ["parts.py:17: error: UserWarning: An old habit.", "1 error."]
    lines = run("check", cfg).out.splitlines()
    assert lines[0] == "parts.py:17: warning: UserWarning: An old habit."
    assert lines[1].startswith("OK (1 warning): ")


def test_a_probable_mistake_is_a_warning(
    run: Run, child: Callable[[str], Path], write: Callable[[str, str], Path]
) -> None:
    """A new key one letter away from another one is a warning with its line."""
    child("own_width = 3")
    write("grandchild.py", "_base_ = 'cfg.py'\nown_widht = 3\n")
    assert document(run, "grandchild.py", "--no-data") == (
        0,
        [
            {
                "file": "grandchild.py",
                "line": 2,
                "key": "own_widht",
                "message": "'own_widht' is a new key, one letter away from 'own_width', which is set at cfg.py:2. "
                "Did you mean 'own_width'?",
                "hint": "",
                "severity": "warning",
                "details": [],
            }
        ],
    )
    assert document(run, "grandchild.py", "--no-data", "--strict")[0] == 2


def test_custom_code_that_fails(run: Run, custom: Callable[[str], Path]) -> None:
    """An exception has the place in the config, what was being done, and the line of custom code."""
    code, (entry,) = document(run, custom("build"))
    assert (code, entry["file"], entry["key"]) == (2, "cfg.py", "model.backbone")
    assert entry["message"] == "KeyError: 'no such thing'."
    assert entry["details"][0].startswith("while building Net from model.backbone (")
    assert entry["details"][1:] == ["parts.py:19, in __init__", '    raise KeyError("no such thing")']
    code, (entry,) = document(run, custom("forward"))
    assert (code, entry["file"], entry["key"]) == (2, "cfg.py", "model.backbone")
    assert "shapes cannot be multiplied" in entry["message"]
    assert entry["hint"].startswith("The layer is built for 1024 features, and gets 992.")
    assert entry["details"][:2] == [
        "Raised by the forward pass of backbone.fc (Linear)",
        "The batch has img (64, 1, 32, 32) float32, gt_label (64,) int64 of 0 to 9.",
    ]
    assert entry["details"][-2:] == ["parts.py:26, in forward", "    return self.fc(x.flatten(1))"]
    ran = run("check", "cfg.py")
    assert len(ran.out.splitlines()) <= 15
    assert ran.err == "" or ran.err == "imported\n"


def test_from_python(child: Callable[[str], Path]) -> None:
    """``check_run`` returns the problems, and changes neither the config nor the random states."""
    cfg = Config.fromfile(child("model = dict(backbone=dict(num_classes=3))"))
    text, state = cfg.pretty_text, RandomState.capture()
    result = check_run(cfg)
    (problem,) = result.problems
    assert isinstance(problem, DryRunError)
    assert (Path(problem.file or "").name, problem.line, problem.key) == (
        "cfg.py",
        2,
        "model.backbone.num_classes",
    )
    assert cfg.pretty_text == text
    assert RandomState.capture()["python"][1].equal(state["python"][1])
    assert not Path("work_dirs").exists()


def test_a_score_that_a_dataset_does_not_have(run: Run, write: Callable[[str, str], Path]) -> None:
    """The place of the metric is named, also if only the dataset that was built knows its scores."""
    write("kinds.csv", "size,kind\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(60)))
    table = '{"type": "Table", "path": "kinds.csv", "targets": "kind"'
    write(
        "kinds.py",
        f"""data = dict(train={table}, "split": "train"}}, val={table}, "split": "val"}})
model = dict(
    type="SupervisedModel",
    net=dict(type="torch.nn.Linear", in_features=1, out_features=2),
    loss="CrossEntropyLoss",
)
optimizer = dict(type="SGD", lr=0.1)
runner = dict(type="EpochBasedRunner", max_epochs=1)
evaluation = dict(metric="mae", save_best="mae")
""",
    )
    code, (found,) = document(run, "kinds.py")
    assert (code, found["line"], found["key"]) == (2, 9, "evaluation")
    assert "metric of a classification must be 'accuracy', not 'mae'" in found["message"]
