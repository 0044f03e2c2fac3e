"""Only the main process of a distributed training writes files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import Scalar, make_runner, numbers

from cfgtrain.checkpoint import save_checkpoint
from cfgtrain.errors import NonFiniteLossError
from cfgtrain.fileio import FileClient
from cfgtrain.parallel import dist
from cfgtrain.runner import EvalHook, ProfilerHook, base


@pytest.fixture(params=[0, 1])
def rank(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The rank that this process seems to have, without other processes to communicate with."""
    set_rank(request.param, monkeypatch)
    return int(request.param)


def set_rank(rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (dist, base):
        monkeypatch.setattr(module, "get_dist_info", lambda: (rank, 1))


class Loader(list[Any]):
    """A loader whose dataset returns a better score in each evaluation."""

    dataset: Any

    def __init__(self) -> None:
        super().__init__(numbers(1))
        scores = iter(range(100))
        self.dataset = type("Data", (), {"evaluate": lambda *_, **__: {"acc": float(next(scores))}})()


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if not path.is_dir()}


def test_checkpoints(rank: int, tmp_path: Path) -> None:
    """Checkpoints, the best one and their copies are written and removed by the main process only."""
    other = tmp_path / "run" / "epoch_1.pth"
    other.parent.mkdir()
    torch.save({"meta": {"run_id": "another"}, "state_dict": {}}, other)
    runner = make_runner("epoch", 2, work_dir=tmp_path / "run", meta={"run_id": "this"})
    runner.register_checkpoint_hook({"interval": 1, "max_keep_ckpts": 1, "out_dir": "memory://bucket"})
    runner.register_hook(
        EvalHook(Loader(), save_best="acc", test_fn=lambda *_: [], out_dir="memory://best"), "LOW"
    )
    runner.run([numbers(1)], [("train", 1)])
    written = {"epoch_1.another.pth", "epoch_2.pth", "best_acc_epoch_2.pth", "latest.pth"}
    assert files(tmp_path / "run") == (written if rank == 0 else {"epoch_1.pth"})
    client = FileClient(prefix="memory")
    for copy in ("memory://bucket/run/epoch_2.pth", "memory://best/run/best_acc_epoch_2.pth"):
        assert client.exists(copy) == (rank == 0)
    assert runner.meta["hook_msgs"]["best_score"] == 1.0
    assert runner.meta["hook_msgs"]["last_ckpt"].endswith("epoch_2.pth")


def test_resumed_run(rank: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed run has not removed is removed by the main process only."""

    def run(length: int) -> Any:
        runner = make_runner("epoch", length, work_dir=tmp_path, meta={"run_id": "this"})
        runner.register_checkpoint_hook({"interval": 1, "max_keep_ckpts": 1})
        return runner

    with monkeypatch.context() as patch:
        set_rank(0, patch)
        run(2).run([numbers(1)], [("train", 1)])
    (tmp_path / "latest.pth").unlink()
    (tmp_path / "epoch_1.pth").write_bytes((tmp_path / "epoch_2.pth").read_bytes())
    runner = run(2)
    runner.resume(tmp_path / "epoch_2.pth")
    runner.run([numbers(1)], [("train", 1)])
    assert files(tmp_path) == ({"epoch_2.pth", "latest.pth"} if rank == 0 else {"epoch_1.pth", "epoch_2.pth"})


def test_save_checkpoint(rank: int) -> None:
    """The function does nothing in other processes."""
    save_checkpoint(Scalar(), "a.pth")
    assert Path("a.pth").exists() == (rank == 0)


def test_logs(rank: int, tmp_path: Path) -> None:
    """Logs are written and copied by the main process only, and the output is cleared in each process."""
    runner = make_runner("epoch", 1, work_dir=tmp_path / "run", meta={})
    runner.register_logger_hooks(
        {"interval": 1, "hooks": [{"type": "TextLoggerHook", "out_dir": str(tmp_path / "copies")}]}
    )
    runner.run([numbers(2)], [("train", 1)])
    log = {f"{runner.timestamp}.log.json"} if rank == 0 else set()
    assert files(tmp_path / "run") == log
    assert files(tmp_path / "copies") == log
    assert not runner.log_buffer.ready


def test_profile(rank: int, tmp_path: Path) -> None:
    """The trace is written by the main process only."""
    runner = make_runner("epoch", 1, work_dir=tmp_path)
    runner.register_hook(ProfilerHook(activities=["cpu"], json_trace_path="trace.json"))
    runner.run([numbers(1)], [("train", 1)])
    assert files(tmp_path) == ({"trace.json"} if rank == 0 else set())


def test_non_finite_loss(rank: int, tmp_path: Path) -> None:
    """The process whose loss it is writes the file about the iteration, since the others do not have its batch."""
    model = Scalar()
    model.train_step = lambda batch, optimizer: {"loss": model.w * float("nan"), "num_samples": 1}
    runner = make_runner("iter", 1, model, work_dir=tmp_path)
    runner.register_training_hooks(None, {}, custom_hooks_config={"type": "NaNGuardHook"})
    with pytest.raises(NonFiniteLossError):
        runner.run([numbers(1)], [("train", 1)])
    nan_files = {name for name in files(tmp_path) if name.startswith("nan_iter")}
    assert nan_files == {"nan_iter_1.pt" if rank == 0 else "nan_iter_1_rank_1.pt"}
