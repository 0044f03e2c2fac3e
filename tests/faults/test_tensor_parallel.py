"""A run whose processes compute layers together is that of one process, goes on exactly, and can be read by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from faults.experiment import Forker, end_of, iterations, newest, write_experiment
from faults.ranks import end_ranks, run_ranks, start_ranks
from tiny import same

TOKENS = '''
"""Sequences of tokens."""

import torch

from cfgtrain.data import DATASETS


@DATASETS.register_module()
class Tokens:
    """Sequences in which each token follows from the one before, with noise of the generator of the sample."""

    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        tokens = (torch.arange(9) * 2 + index + torch.randint(2, ())) % 7
        return {"inputs": tokens[:-1], "targets": tokens[1:]}
'''

CONFIG = """
custom_imports = dict(imports=['parts', 'tokens'])
model = dict(
    type='TinyTransformer', vocab_size=7, block_size=8, embed_dims=8, num_layers=2, num_heads=2, dropout=0.1)
data = dict(
    samples_per_gpu=4,
    workers_per_gpu=0,
    train=dict(type='Tokens', size=22),
    val=dict(type='Tokens', size=9),
    test=dict(type='Tokens', size=7))
optimizer = dict(type='SGD', lr=0.25, momentum=0.9)
auto_scale_lr = dict(base_batch_size=4)
optimizer_config = dict(cumulative_iters=2, grad_clip=dict(max_norm=0.5))
lr_config = dict(policy='CosineAnnealing', min_lr=0, warmup='linear', warmup_iters=5)
runner = dict(type='EpochBasedRunner', max_epochs=4)
checkpoint_config = dict(interval=7, by_epoch=False)
log_config = dict(interval=2, hooks=[dict(type='TextLoggerHook')])
evaluation = dict(interval=1, metrics=['Perplexity'], save_best='perplexity')
custom_hooks = [dict(type='EMAHook', momentum=0.7, warm_up=0), dict(type='Probe', priority='LOWEST')]
parallel = dict(type='FSDP', tensor_parallel=2)
device = 'cpu'
seed = 3
"""
TRAIN = ("train", "tokens_config.py", "--work-dir", "run")


def write_files(folder: Path) -> None:
    """Write the config ``tokens_config.py`` with its modules."""
    write_experiment(folder)
    (folder / "tokens.py").write_text(TOKENS, encoding="utf-8")
    (folder / "tokens_config.py").write_text(CONFIG, encoding="utf-8")


@pytest.fixture(autouse=True)
def files(experiment: None, tmp_path: Path) -> None:
    """Write the config with its modules into the folder of the test."""
    write_files(tmp_path)


@pytest.fixture(scope="module")
def unbroken(forker: Forker, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the folder of an uninterrupted run of two processes."""
    folder = tmp_path_factory.mktemp("unbroken-tensor-parallel")
    write_files(folder)
    run_ranks(forker, *TRAIN, cwd=folder)
    return folder


def check_close(found: list[list[Any]], expected: list[list[Any]]) -> None:
    """Check the iterations of two runs, whose losses differ by rounding."""
    assert [each[:3] for each in found] == [each[:3] for each in expected]
    assert [each[4] for each in found] == [each[4] for each in expected]
    losses = [[float.fromhex(each[3]) for each in run] for run in (found, expected)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def check_same_end(folder: Path, other: Path) -> None:
    """Check that two runs end with the same weights, but for rounding."""
    weights, expected = end_of(folder)["weights"], end_of(other)["weights"]
    for name, each in weights.items():
        torch.testing.assert_close(each, expected[name], rtol=1e-3, atol=1e-4)


def test_two_processes_train_like_one(forker: Forker, unbroken: Path) -> None:
    """Losses, weights and scores are those of one process, with dropout and accumulation; the log has the shares."""
    command = forker.start(*TRAIN, SESSION="alone")
    assert command.end() == 0, command.text
    alone = iterations("alone")
    for rank in range(2):
        check_close(iterations(f"first-{rank}", unbroken), alone)
    check_same_end(unbroken / "run", Path("run"))
    texts = [next(folder.glob("*.log")).read_text() for folder in (unbroken / "run", Path("run"))]
    assert "4 x 2 accumulated x 1 group of 2 processes = 8 samples per step" in texts[0]
    tested = [text.split("Test on 7 samples")[1].split("perplexity: ")[1].split()[0] for text in texts]
    assert float(tested[0].rstrip(",")) == pytest.approx(float(tested[1].rstrip(",")), rel=1e-3)


def test_a_killed_run_goes_on_exactly(forker: Forker, unbroken: Path) -> None:
    """After a kill, the resumed run is the same as without, to the last bit."""
    ranks = start_ranks(forker, *TRAIN, faults={1: "iter:17:SIGKILL"})
    assert end_ranks(ranks) == [1, -9], "\n".join(each.text for each in ranks)
    at = newest(Path("run"))["resume"]["position"]["iter"]
    assert at % 6 != 0  # within an epoch
    run_ranks(forker, *TRAIN, "--resume", "auto", session="second")
    for rank in range(2):
        assert iterations(f"second-{rank}") == iterations(f"first-{rank}", unbroken)[at:]
    assert same(end_of(Path("run")), end_of(unbroken / "run"))


def test_one_process_goes_on_from_shards_and_back(forker: Forker, unbroken: Path) -> None:
    """One process goes on within an epoch, as it has the same batches, and two processes go on from its file."""
    ranks = start_ranks(forker, *TRAIN, faults={1: "iter:9:SIGTERM"})
    assert end_ranks(ranks) == [75, 75], "\n".join(each.text for each in ranks)
    alone = forker.start(*TRAIN, "--resume", "auto", SESSION="alone", FAULTS="iter:15:SIGTERM")
    assert alone.end() == 75, alone.text
    assert Path("run/latest.pth").resolve().is_file()
    run_ranks(forker, *TRAIN, "--resume", "auto", session="second")
    found = iterations("first-0") + iterations("alone") + iterations("second-1")
    check_close(found, iterations("first-0", unbroken))
    check_same_end(Path("run"), unbroken / "run")
    tested = forker.start("test", "run/tokens_config.py", str(Path("run/latest.pth").resolve()))
    assert tested.end() == 0, tested.text


@pytest.mark.slow
def test_four_processes_train_like_two_with_the_same_shares(forker: Forker) -> None:
    """Two groups of two processes train like two processes with FSDP, and their folders are read by both."""
    by_epoch = ["checkpoint_config.interval=1", "checkpoint_config.by_epoch=True"]
    run_ranks(forker, *TRAIN, "--cfg-options", *by_epoch, count=4, session="four")
    assert "2 groups of 2 processes = 16 samples" in next(Path("run").glob("*.log")).read_text()
    two = ("train", "tokens_config.py", "--work-dir", "two")
    run_ranks(forker, *two, "--cfg-options", *by_epoch, "parallel.tensor_parallel=1", count=2, session="two")
    for rank in range(4):
        check_close(iterations(f"four-{rank}"), iterations(f"two-{rank // 2}"))
    check_same_end(Path("run"), Path("two"))
    for count in (4, 2):
        at = newest(Path("run"))["resume"]["position"]["epoch"]
        run_ranks(
            forker, *TRAIN, "--resume", "auto", "--cfg-options", *by_epoch, f"runner.max_epochs={at + 1}",
            count=count, session=f"more-{count}",
        )  # fmt: skip
    assert newest(Path("run"))["resume"]["position"]["epoch"] == 6


@pytest.mark.parametrize(
    ("options", "messages"),
    [
        (["parallel.tensor_parallel=0"], ["tensor_parallel must be", "parallel.tensor_parallel"]),
        (["+parallel.tensor_paralel=2"], ["Did you mean 'tensor_parallel'"]),
        (
            ["+parallel.plan={'head':'colwise'}"],
            ["out_features, 7, is no multiple of 2", "parallel.plan.head"],
        ),
        (["+parallel.plan={'haed':'colwise'}"], ["'haed'", "Did you mean 'head'", "parallel.plan.haed"]),
        (["+parallel.plan={'head':'column'}"], ["must be 'colwise' or 'rowwise', not 'column'"]),
        (["+parallel.plan=['head']"], ["parallel.plan must be a dict"]),
        (["+parallel.plan={'head':'rowwise'}", "parallel.tensor_parallel=1"], ["no effect without"]),
        (["parallel.type=DDP"], ["parallel has no setting 'tensor_parallel'", "type='FSDP'"]),
    ],
)
def test_what_cannot_work_is_refused(options: list[str], messages: list[str], forker: Forker) -> None:
    """A wrong setting ends the run before it begins, and the error says where it is and what would be right."""
    command = forker.start(*TRAIN, "--cfg-options", *options)
    assert command.end() == 2, command.text
    for message in messages:
        assert message in command.text


def test_a_model_without_a_plan_is_refused(forker: Forker) -> None:
    """The error says what a plan looks like, and where it is given."""
    command = forker.start(
        "train", "epoch.py", "--work-dir", "run", "--cfg-options", "model.ballast=1", "+parallel.type=FSDP",
        "+parallel.tensor_parallel=2",
    )  # fmt: skip
    assert command.end() == 2, command.text
    assert "Net gives no plan for tensor_parallel" in command.text
    assert "'blocks.*.ffn.0': 'colwise'" in command.text


def test_the_number_of_processes_must_fit(forker: Forker) -> None:
    """Two processes cannot form groups of three, which one of them reports."""
    ranks = start_ranks(forker, *TRAIN, "--cfg-options", "parallel.tensor_parallel=3")
    assert end_ranks(ranks) == [2, 2]
    assert "The run has 2 processes, which is no multiple of tensor_parallel, 3." in ranks[0].text
    assert "Start 3 processes" in ranks[0].text
