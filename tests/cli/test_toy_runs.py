"""Runs of a small custom project whose data, scores or loader settings are wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PARTS = """
import torch
from torch import nn
from torch.utils.data import IterableDataset

from cfgtrain.cnn import MODELS
from cfgtrain.data import DATASETS


@DATASETS.register_module()
class Toy:
    def __init__(self, n=20):
        self.x = torch.randn(n, 4, generator=torch.Generator().manual_seed(3))

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return dict(img=self.x[i], gt_label=int(i % 2))

    def evaluate(self, results, metric="acc", logger=None):
        return {scores}


@DATASETS.register_module()
class ToyStream(IterableDataset):
    def __init__(self, n=20):
        self.toy = Toy(n)
        self.evaluate = self.toy.evaluate

    def __iter__(self):
        return (self.toy[i] for i in range(len(self.toy)))


@MODELS.register_module()
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def forward(self, img, gt_label=None, return_loss=True):
        scores = self.fc(img)
        return nn.functional.cross_entropy(scores, gt_label) if return_loss else scores

    def train_step(self, data, optimizer=None, **kwargs):
        loss = self(**data)
        return dict(loss=loss, log_vars=dict(loss=loss.detach()), num_samples=len(data["img"]))

    val_step = train_step
"""

CONFIG = """\
custom_imports = dict(imports=["parts"])
model = dict(type="Net")
data = dict(
    samples_per_gpu=4,
    workers_per_gpu=0,
    train=dict(type="Toy"),
    val=dict(type="Toy", n=6),
    test=dict(type="Toy", n=6))
optimizer = dict(type="SGD", lr=0.1)
runner = {runner}
evaluation = dict(interval=1, save_best="acc")
checkpoint_config = dict(interval=1)
seed = 1
"""

RUNNERS = {
    "epoch": 'dict(type="EpochBasedRunner", max_epochs=2)',
    "iter": 'dict(type="IterBasedRunner", max_iters=2)',
}

Project = Callable[..., Path]


@pytest.fixture(params=list(RUNNERS))
def project(request: pytest.FixtureRequest, write: Callable[[str, str], Path]) -> Project:
    """Write the project for a runner, and return its config."""

    def call(scores: str = '{"acc": float(len(results))}', *replacements: tuple[str, str]) -> Path:
        text = CONFIG.replace("{runner}", RUNNERS[request.param])
        for old, new in replacements:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        write("parts.py", PARTS.replace("{scores}", scores))
        return write("toy.py", text)

    return call


def lines_of(mode: str) -> list[dict[str, Any]]:
    (log,) = Path("work_dirs/toy").glob("*.log.json")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [line for line in lines if line.get("mode") == mode]


def test_the_project_trains(project: Project, run: Callable[..., Any]) -> None:
    """Without a mistake the run ends well."""
    done = run("train", project())
    assert done.code == 0, done.err
    assert "Test: acc 6.0000 on 6 samples, with best_acc_" in done.out


@pytest.mark.parametrize(
    ("old", "new", "key", "line"),
    [
        ('train=dict(type="Toy")', 'train=dict(type="Toy", n=0)', "data.train", 6),
        ('val=dict(type="Toy", n=6)', 'val=dict(type="Toy", n=0)', "data.val", 7),
        ('test=dict(type="Toy", n=6)', 'test=dict(type="Toy", n=0)', "data.test", 8),
    ],
)
def test_empty_dataset_is_an_error_before_the_run(
    project: Project, run: Callable[..., Any], old: str, new: str, key: str, line: int
) -> None:
    """A dataset without samples is found before the first iteration, with its place."""
    done = run("train", project('{"acc": 0.0}', (old, new)))
    assert done.code == 2
    assert f"{key} is empty" in done.err
    assert f"at {key} (toy.py:{line})" in done.err.replace(f"{Path.cwd()}/", "")
    assert not list(Path("work_dirs/toy").glob("*.pth"))


def test_empty_val_flow_is_an_error_before_the_run(project: Project, run: Callable[..., Any]) -> None:
    """A val flow without samples has no averages to log."""
    without = ('evaluation = dict(interval=1, save_best="acc")', "workflow = [('train', 1), ('val', 1)]")
    done = run(
        "train", project('{"acc": 0.0}', ('val=dict(type="Toy", n=6)', 'val=dict(type="Toy", n=0)'), without)
    )
    assert done.code == 2
    assert "data.val is empty" in done.err


def test_dataset_that_is_not_used_may_be_empty(project: Project, run: Callable[..., Any]) -> None:
    """A validation dataset that neither an evaluation nor a flow uses does no harm."""
    without = ('evaluation = dict(interval=1, save_best="acc")', "")
    assert (
        run(
            "train",
            project('{"acc": 0.0}', ('val=dict(type="Toy", n=6)', 'val=dict(type="Toy", n=0)'), without),
        ).code
        == 0
    )


@pytest.mark.parametrize("part", ["val", "test"])
def test_empty_stream_is_an_error(project: Project, run: Callable[..., Any], part: str) -> None:
    """The length of a stream is only known after reading it; without samples there is no score."""
    change = (f'{part}=dict(type="Toy", n=6)', f'{part}=dict(type="ToyStream", n=0)')
    done = run("train", project('{"acc": 0.0}', change))
    assert done.code != 0
    assert "yields no batches" in done.err
    assert "acc 0.0" not in done.out


def test_empty_stream_of_a_val_flow_is_an_error(project: Project, run: Callable[..., Any]) -> None:
    """A val flow that reads no samples has no averages."""
    without = ('evaluation = dict(interval=1, save_best="acc")', "workflow = [('train', 1), ('val', 1)]")
    change = ('val=dict(type="Toy", n=6)', 'val=dict(type="ToyStream", n=0)')
    done = run("train", project('{"acc": 0.0}', change, without))
    assert done.code != 0
    assert "yields no batches" in done.err


NOT_NUMBERS = [
    ('{"acc": None}', "which is None"),
    ('{"acc": "high"}', "which is 'high'"),
    ('{"acc": torch.ones(2)}', "which is [1.0, 1.0]"),
    ('{"acc": {"top1": 1.0}}', "which is {'top1': 1.0}"),
    ('{"acc": 1j}', "which is 1j"),
    ('{"accuracy": 1.0}', "and the scores are accuracy"),
    ("{1: 1.0}", "and the scores are 1."),
]


@pytest.mark.parametrize(("scores", "text"), NOT_NUMBERS)
def test_score_that_is_not_a_number_fails_the_run(
    project: Project, run: Callable[..., Any], scores: str, text: str
) -> None:
    """The message names the score and its value; the training had begun, so the exit code is 1."""
    done = run("train", project(scores))
    assert done.code == 1
    assert "save_best uses the score 'acc', " in done.err
    assert text in done.err


@pytest.mark.parametrize("scores", ["None", "0.5", "[1]", '{1: 0.5, "1": 0.5}'])
def test_scores_that_are_not_a_dict_of_names_fail_the_run(
    project: Project, run: Callable[..., Any], scores: str
) -> None:
    """The same is true if there is no dict, or two scores have one name."""
    done = run("train", project(scores))
    assert done.code == 1
    assert "Error: evaluate() of a dataset return" in done.err


@pytest.mark.parametrize("scores", ["None", "0.5", "[1]", '{1: 0.5, "1": 0.5}'])
def test_test_scores_are_checked_too(project: Project, run: Callable[..., Any], scores: str) -> None:
    """An error after the last iteration also has exit code 1, and the run was saved."""
    done = run("train", project(scores, ('evaluation = dict(interval=1, save_best="acc")', "")))
    assert done.code == 1
    assert "Error: evaluate() of a dataset return" in done.err
    assert Path("work_dirs/toy/latest.pth").exists()


def test_other_values_are_logged(project: Project, run: Callable[..., Any]) -> None:
    """Values that no hook uses may be anything, and names are converted to str."""
    scores = (
        '{"note": "fine", None: None, 3: torch.tensor([[0.5]]), "list": [1, 2], "acc": torch.tensor([0.25])}'
    )
    done = run("train", project(scores))
    assert done.code == 0, done.err
    (line, *_) = lines_of("val")
    assert {key: line[key] for key in ("note", "None", "3", "list", "acc")} == {
        "note": "fine", "None": None, "3": 0.5, "list": [1, 2], "acc": 0.25,
    }  # fmt: skip


AUTO = ('save_best="acc"', 'save_best="auto"')


def test_automatic_score_is_the_first_number(project: Project, run: Callable[..., Any]) -> None:
    """``save_best="auto"`` ignores what is not a number."""
    assert run("train", project('{"note": "fine", "acc": 1.0}', AUTO)).code == 0
    assert len(list(Path("work_dirs/toy").glob("best_acc_*.pth"))) == 1


def test_automatic_score_needs_a_number(project: Project, run: Callable[..., Any]) -> None:
    """If nothing is a number, the message names the first value."""
    done = run("train", project('{"note": "fine"}', AUTO))
    assert done.code == 1
    assert "save_best uses the score 'note', which is 'fine': it must be a number" in done.err


@pytest.mark.parametrize("score", ["nan", "inf", "-inf"])
def test_score_that_is_not_finite_is_never_the_best(
    project: Project, run: Callable[..., Any], score: str
) -> None:
    """It causes a warning, and a finite score is better."""
    scores = f'{{"acc": float("{score}") if not Path("seen").exists() and not Path("seen").touch() else 1.0}}'
    cfg = project(scores, ("interval=1, save_best", "interval=1, rule='less', save_best"))
    parts = Path("parts.py")
    parts.write_text("from pathlib import Path\n" + parts.read_text())
    done = run("train", cfg, "--cfg-options", "+evaluation.start=1")
    assert done.code == 0, done.err
    assert f"The score 'acc' is {score}: it is never the best one." in done.err
    assert len(list(Path("work_dirs/toy").glob("best_acc_*_2.pth"))) == 1


HOOK = """
custom_hooks = [dict(type="EarlyStoppingHook", monitor="acc")]
"""


def test_monitored_score_that_is_not_a_number_fails_the_run(
    project: Project, run: Callable[..., Any]
) -> None:
    """A hook that uses the score says the same."""
    cfg = project('{"acc": None}', (', save_best="acc")', ")" + HOOK))
    done = run("train", cfg)
    assert done.code == 1
    assert "EarlyStoppingHook uses the score 'acc', which is None" in done.err


@pytest.mark.parametrize(
    "error", ["raise SystemExit(2)", "from cfgtrain import errors; raise errors.ConfigValueError('x')"]
)
def test_exit_code_2_never_comes_from_a_training_that_began(
    project: Project, run: Callable[..., Any], error: str
) -> None:
    """Any error of custom code in a training has exit code 1; before the training, in the dry run, it has exit code 2."""
    cfg = project()
    parts = Path("parts.py")
    parts.write_text(parts.read_text().replace("        loss = self(**data)\n", f"        {error}\n"))
    assert run("train", cfg, "--no-dry-run").code == 1
    assert run("train", cfg).code == 2


SAMPLER = "+data.sampler={type: torch.utils.data.SequentialSampler, data_source: []}"
SETTINGS = [
    (["+data.prefetch_factor=0"], "prefetch_factor must be at least 1, not 0"),
    (["data.workers_per_gpu=-1"], "workers_per_gpu must be at least 0, not -1"),
    (["+data.val_dataloader={prefetch_factor: 0}"], "prefetch_factor must be at least 1, not 0"),
    (["+data.pin_memory=3"], "pin_memory of build_dataloader must be a bool or None, not 3"),
    ([SAMPLER], "it has no draws"),
    (
        ["data.train.type=ToyStream", "+data.sampler={type: EpochSampler}"],
        "is a stream: it cannot have a sampler",
    ),
]


@pytest.mark.parametrize(("options", "text"), SETTINGS)
def test_wrong_loader_setting_is_an_error_before_the_run(
    project: Project, run: Callable[..., Any], options: list[str], text: str
) -> None:
    """The message has the place where the setting was made."""
    done = run("train", project(), "--cfg-options", *options)
    assert done.code == 2
    assert text in done.err
    key = options[-1].partition("=")[0]
    assert f"at {key.removeprefix('+')}" in done.err
    assert f"(--cfg-options {key}=" in done.err
    assert not list(Path("work_dirs").glob("toy/*.pth"))


@pytest.mark.parametrize("part", ["val", "test"])
def test_dataset_without_scores_is_an_error_before_the_run(
    project: Project, run: Callable[..., Any], part: str
) -> None:
    """A dataset that is evaluated needs an ``evaluate`` method."""
    cfg = project()
    parts = Path("parts.py")
    parts.write_text(parts.read_text().replace("self.evaluate = self.toy.evaluate", "pass"))
    done = run("train", cfg, "--cfg-options", f"data.{part}.type=ToyStream")
    assert done.code == 2
    assert f"data.{part} has no evaluate(results, logger=...)" in done.err
    assert not list(Path("work_dirs").glob("toy/*.pth"))
