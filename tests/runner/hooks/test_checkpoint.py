from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import LOGGER, Recorder, make_runner, numbers, same

from cfgtrain.errors import ArgumentError, ArgumentTypeError, CheckpointError
from cfgtrain.fileio import FileClient
from cfgtrain.runner import CheckpointHook, run_checkpoint
from cfgtrain.runner.hooks import checkpoint


def run(kind: str, length: int, batches: int = 2, window: int = 1, **cfg: Any) -> Any:
    """Train into ``run`` with the hook, and return the runner."""
    runner = make_runner(kind, length, work_dir="run", meta={})
    runner.register_optimizer_hook({"cumulative_iters": window})
    runner.register_checkpoint_hook(cfg)
    runner.run([numbers(batches)], [("train", 1)])
    return runner


def names(folder: str = "run") -> list[str]:
    """The checkpoints in a folder, in the order of their numbers."""
    found = [path.name for path in Path(folder).glob("*_*.pth")]
    return sorted(found, key=lambda name: (len(name), name))


CASES: list[tuple[str, int, dict[str, Any], list[str]]] = [
    ("epoch", 3, {"interval": 1}, ["epoch_1.pth", "epoch_2.pth", "epoch_3.pth"]),
    ("epoch", 5, {"interval": 2}, ["epoch_2.pth", "epoch_4.pth", "epoch_5.pth"]),
    ("epoch", 5, {"interval": 2, "save_last": False}, ["epoch_2.pth", "epoch_4.pth"]),
    ("epoch", 3, {}, ["epoch_3.pth"]),
    ("epoch", 3, {"save_last": False}, []),
    ("epoch", 2, {"interval": 3, "by_epoch": False}, ["iter_3.pth", "iter_4.pth"]),
    ("epoch", 2, {"interval": 1, "filename_tmpl": "model_{}.pth"}, ["model_1.pth", "model_2.pth"]),
    ("iter", 5, {"interval": 2}, ["iter_2.pth", "iter_4.pth", "iter_5.pth"]),
    ("iter", 5, {}, ["iter_5.pth"]),
    ("epoch", 5, {"interval": 1, "max_keep_ckpts": 2}, ["epoch_4.pth", "epoch_5.pth"]),
    ("epoch", 7, {"interval": 2, "max_keep_ckpts": 2}, ["epoch_6.pth", "epoch_7.pth"]),
    ("epoch", 7, {"interval": 3, "max_keep_ckpts": 1}, ["epoch_7.pth"]),
    ("iter", 7, {"interval": 2, "max_keep_ckpts": 2}, ["iter_6.pth", "iter_7.pth"]),
    ("epoch", 3, {"interval": 1, "by_epoch": False, "max_keep_ckpts": 1}, ["iter_6.pth"]),
]


@pytest.mark.parametrize(("kind", "length", "cfg", "files"), CASES)
def test_which_checkpoints_exist_at_the_end(
    kind: str, length: int, cfg: dict[str, Any], files: list[str]
) -> None:
    """Interval, unit, end of run, names and the number of checkpoints are as configured."""
    runner = run(kind, length, **cfg)
    assert names() == files
    if files:
        assert Path("run/latest.pth").readlink() == Path(files[-1])
        assert runner.meta["hook_msgs"]["last_ckpt"] == str(Path("run").absolute() / files[-1])


def test_file_contains_its_own_name() -> None:
    """``last_ckpt`` inside a file is that file, not the one before."""
    run("epoch", 2, interval=1)
    assert torch.load("run/epoch_2.pth")["meta"]["hook_msgs"]["last_ckpt"].endswith("/epoch_2.pth")


def test_checkpoint_contains_the_results_of_later_hooks() -> None:
    """The file is written after all hooks of its stage have run, also those with a later priority."""
    runner = make_runner("epoch", 1, work_dir="run", meta={})
    runner.register_checkpoint_hook({"interval": 1})
    runner.register_hook(
        Recorder(lambda stage, r: r.meta.update(seen=True) if stage == "after_train_epoch" else None),
        "LOWEST",
    )
    runner.run([numbers(1)], [("train", 1)])
    assert torch.load("run/epoch_1.pth")["meta"]["seen"] is True


@pytest.mark.parametrize(
    ("cfg", "files"),
    [
        ({"interval": 1}, {"epoch_1.pth": 6, "epoch_2.pth": 10, "epoch_3.pth": 15}),
        ({"interval": 5, "by_epoch": False}, {"iter_6.pth": 6, "iter_10.pth": 10, "iter_15.pth": 15}),
        ({"interval": 1, "by_epoch": False}, {f"iter_{i}.pth": i for i in (2, 4, 6, 8, 10, 12, 14, 15)}),
    ],
)
def test_waits_for_the_window(cfg: dict[str, Any], files: dict[str, int]) -> None:
    """What falls into a window of two is saved when it closes, and still names the complete epochs."""
    run("epoch", 3, batches=5, window=2, **cfg)
    saved = {name: torch.load(f"run/{name}")["resume"]["position"]["iter"] for name in names()}
    assert saved == files


def test_optimizer_can_be_left_out() -> None:
    """``save_optimizer=False`` writes weights and meta only."""
    run("epoch", 1, save_optimizer=False)
    assert set(torch.load("run/epoch_1.pth")) == {"state_dict", "meta"}


def test_link_can_be_left_out() -> None:
    """``create_symlink=False`` makes no ``latest.pth``."""
    run("epoch", 1, create_symlink=False)
    assert not Path("run/latest.pth").is_symlink()


def test_out_dir_on_a_disk() -> None:
    """With ``out_dir`` the files go to a folder in it with the name of the work directory."""
    run("epoch", 1, out_dir="elsewhere")
    assert names() == []
    assert names("elsewhere/run") == ["epoch_1.pth"]


def test_without_work_dir_nothing_is_written(tmp_path: Path) -> None:
    """A runner without a work directory trains and saves nothing."""
    runner = make_runner("epoch", 1)
    runner.register_checkpoint_hook({"interval": 1})
    runner.run([numbers(1)], [("train", 1)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("failing", "files"), [({2, 3}, ["epoch_1.pth"]), ({2}, ["epoch_3.pth"]), ({3}, ["epoch_2.pth"])]
)
def test_old_checkpoint_is_removed_after_the_new_one_is_written(
    failing: set[int], files: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If a new checkpoint cannot be written, the old one is kept, an error is logged, and the run continues."""
    write = run_checkpoint.save_checkpoint

    def fail(model: Any, filename: Path, *args: Any, **kwargs: Any) -> None:
        if filename.name in {f"epoch_{i}.pth" for i in failing}:
            raise CheckpointError("No space left.")
        write(model, filename, *args, **kwargs)

    monkeypatch.setattr(run_checkpoint, "save_checkpoint", fail)
    runner = run("epoch", 3, interval=1, max_keep_ckpts=1)
    assert runner.epoch == 3
    assert names() == files
    assert Path("run/latest.pth").readlink() == Path(files[0])
    assert runner.meta["hook_msgs"]["last_ckpt"].endswith(files[0])
    assert caplog.text.count("No space left. The run continues; the last good checkpoint is") == len(failing)


def test_resumed_run_removes_checkpoints_of_the_first() -> None:
    """A resumed run restores the list of checkpoints to keep."""
    run("epoch", 2, interval=1, max_keep_ckpts=2)
    runner = make_runner("epoch", 4, work_dir="run", meta={})
    runner.register_checkpoint_hook({"interval": 1, "max_keep_ckpts": 2})
    runner.resume("run/epoch_2.pth")
    runner.run([numbers(2)], [("train", 1)])
    assert names() == ["epoch_3.pth", "epoch_4.pth"]


def test_missing_checkpoint_is_not_an_error() -> None:
    """A checkpoint that does not exist any more need not be removed."""
    runner = make_runner("epoch", 3, work_dir="run")
    runner.register_checkpoint_hook({"interval": 1, "max_keep_ckpts": 1})
    runner.register_hook(
        Recorder(lambda stage, r: [p.unlink() for p in Path("run").glob("epoch_*")] and None)
    )
    runner.run([numbers(1)], [("train", 1)])
    assert names() == []


def test_log_contains_folder_and_files(caplog: pytest.LogCaptureFixture) -> None:
    """The log contains the folder once, and each file."""
    with caplog.at_level("INFO", LOGGER.name):
        run("epoch", 2, interval=1)
    assert f"Checkpoints will be saved to {Path('run').absolute()}" in caplog.messages
    assert [m for m in caplog.messages if m.startswith("Saving")] == [
        "Saving checkpoint epoch_1.pth",
        "Saving checkpoint epoch_2.pth",
    ]


def test_additional_meta_and_synced_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """``meta`` of the hook is saved as well, and ``sync_buffer`` averages the buffers before."""
    synced: list[int] = []
    monkeypatch.setattr(checkpoint, "average_tensors", lambda tensors: synced.append(len(list(tensors))))
    run("epoch", 2, interval=2, meta={"author": "me"}, sync_buffer=True, file_client_args={"backend": "disk"})
    assert torch.load("run/epoch_2.pth")["meta"]["author"] == "me"
    assert synced == [0]


def test_backend_needs_an_out_dir() -> None:
    """Another backend than the disk is refused without ``out_dir``."""
    with pytest.raises(ArgumentError, match="is for an out_dir, and there is none"):
        CheckpointHook(file_client_args={"backend": "petrel"})


def mirrored() -> list[str]:
    """Return the files in the mirror of the run, without its index."""
    store = FileClient(prefix="memory")
    return [name for name in store.list_dir_or_file("memory://bucket/run") if name != "checkpoints.json"]


def test_checkpoints_are_copied_to_a_file_backend_and_removed_from_it() -> None:
    """An ``out_dir`` that is not on a disk gets a copy of each checkpoint; it is removed with the original."""
    run("epoch", 4, interval=1, out_dir="memory://bucket", max_keep_ckpts=2)
    assert names() == mirrored() == ["epoch_3.pth", "epoch_4.pth"]
    copied = FileClient(prefix="memory").get("memory://bucket/run/epoch_4.pth")
    assert bytes(copied) == Path("run/epoch_4.pth").read_bytes()


def test_failed_copy_keeps_the_checkpoint(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The checkpoint is kept on disk, an error is logged, the run continues, and the next one is copied."""
    put = FileClient.put

    def failing(self: FileClient, content: bytes, path: str) -> None:
        if str(path).endswith("epoch_2.pth"):
            raise OSError("no route to host")
        put(self, content, path)

    monkeypatch.setattr(FileClient, "put", failing)
    runner = run("epoch", 3, interval=1, out_dir="memory://bucket")
    assert names() == ["epoch_1.pth", "epoch_2.pth", "epoch_3.pth"]
    assert mirrored() == ["epoch_1.pth", "epoch_3.pth"]
    assert (
        "cannot be copied to memory://bucket/run: no route to host. It exists only on this machine."
        in caplog.text
    )
    assert hook_of(runner).failed is None
    assert "no route to host" in str(hook_of(run("epoch", 2, out_dir="memory://bucket")).failed)


def hook_of(runner: Any) -> CheckpointHook:
    return next(hook for hook in runner.hooks if isinstance(hook, CheckpointHook))


def test_mirror_that_cannot_be_written_is_an_error_before_the_run() -> None:
    """A mirror that cannot be written stops the run before its first iteration."""
    runner = make_runner("epoch", 1, work_dir="run", meta={})
    runner.register_checkpoint_hook(
        {"out_dir": "http://127.0.0.1:9/bucket", "file_client_args": {"retries": 0}}
    )
    with pytest.raises(CheckpointError, match="cannot be copied to http://127"):
        runner.run([numbers(1)], [("train", 1)])
    assert runner.iter == 0


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("e_{}_{}.pth", "with {} for a number"),
        ("{epoch}.pth", "with {} for a number"),
        ("{.pth", "with {} for a number"),
        ("sub/e_{}.pth", "contains a folder: use out_dir"),
        ("..", "makes the name '..'"),
        ("latest.pth", "makes the name 'latest.pth'"),
        ("e\0{}.pth", "which a checkpoint cannot have"),
        (5, "not 5"),
    ],
)
def test_invalid_filename_templates(template: Any, text: str) -> None:
    """A template that yields no file name is refused before the run."""
    with pytest.raises(ArgumentError, match=re.escape(text)):
        CheckpointHook(filename_tmpl=template)


@pytest.mark.parametrize("kind", ["epoch", "iter"])
def test_braces_in_a_file_name_are_not_a_template(kind: str) -> None:
    """The file has the name that the template makes, and meta and the list of checkpoints name it."""
    runner = run(kind, 2, batches=1, interval=1, filename_tmpl="m_{}_{{}}_%s.pth", by_epoch=kind == "epoch")
    assert names() == ["m_1_{}_%s.pth", "m_2_{}_%s.pth"]
    assert runner.meta["hook_msgs"]["last_ckpt"] == str(Path("run/m_2_{}_%s.pth").absolute())
    assert Path("run/latest.pth").resolve().name == "m_2_{}_%s.pth"


def test_names_that_auto_does_not_find_are_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """A template without the suffix of a checkpoint causes a warning."""
    run("epoch", 1, filename_tmpl="epoch_{}")
    assert "--resume auto will not find these checkpoints" in caplog.text


@pytest.mark.parametrize("interval", [-2, 1.5, True, "1"])
def test_wrong_intervals(interval: Any) -> None:
    """An interval is positive, or -1 as in MMCV, or 0."""
    with pytest.raises(ArgumentError, match="interval must be a positive int, or -1 to save only at the end"):
        CheckpointHook(interval)


@pytest.mark.parametrize("kept", [0, -2, 1.5])
def test_wrong_numbers_of_checkpoints_to_keep(kept: Any) -> None:
    """-1 keeps all; to keep none has no meaning."""
    with pytest.raises(ArgumentError, match="max_keep_ckpts must be a positive int, or -1 to keep all"):
        CheckpointHook(max_keep_ckpts=kept)


@pytest.mark.parametrize("kind", ["epoch", "iter"])
@pytest.mark.parametrize(
    ("cfg", "text"),
    [
        ({"interval": -1}, ""),
        ({"interval": 9}, ""),
        ({"interval": 0}, "a checkpoint is saved only at the end"),
        ({"interval": -1, "save_last": False}, "no checkpoint is saved in this run"),
        ({"interval": 9, "save_last": False}, "no checkpoint is saved in this run"),
        ({"interval": 1, "save_last": False}, ""),
    ],
)
def test_interval_that_never_takes_effect(
    cfg: dict[str, Any], text: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is a warning before the run, which names the setting."""
    run(kind, 2, **cfg)
    warned = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(warned) == bool(text)
    assert all(text in each and "interval" in each for each in warned)


def test_training_continues_while_a_checkpoint_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``async_save`` the next iterations run meanwhile; the next save and the end of the run wait."""
    went_on, events = threading.Event(), []
    write = run_checkpoint.write_checkpoint

    def slow(content: dict[str, Any], path: Path) -> None:
        events.append(f"begin {path.name}")
        if path.name == "iter_2.pth":
            assert went_on.wait(30), "the training waits for the writing"
        time.sleep(0.05)
        write(content, path)
        events.append(f"end {path.name}")

    def see(stage: str, runner: Any) -> None:
        if stage == "after_train_iter" and runner.iter == 2:
            went_on.set()

    monkeypatch.setattr(run_checkpoint, "write_checkpoint", slow)
    runner = make_runner("iter", 5, work_dir="run", meta={})
    runner.register_optimizer_hook({})
    runner.register_checkpoint_hook({"interval": 2, "async_save": True})
    runner.register_hook(Recorder(see))
    runner.run([numbers(5)], [("train", 1)])
    files = ["iter_2.pth", "iter_4.pth", "iter_5.pth"]
    assert events == [f"{what} {file}" for file in files for what in ("begin", "end")]
    assert names() == files
    assert Path("run/latest.pth").readlink() == Path("iter_5.pth")


@pytest.mark.parametrize(("kind", "length", "cfg", "files"), CASES)
def test_which_checkpoints_exist_at_the_end_of_a_run_with_async_save(
    kind: str, length: int, cfg: dict[str, Any], files: list[str]
) -> None:
    """They are the same as without it, and have the same content."""
    run(kind, length, **cfg)
    expected = {name: torch.load(f"run/{name}") for name in names()}
    Path("run").rename("plain")
    runner = run(kind, length, async_save=True, **cfg)
    assert names() == files
    for name, checkpoint_before in expected.items():
        now = torch.load(f"run/{name}")
        for content in (now, checkpoint_before):
            content["meta"].pop("time", None)
            for key in ("log_buffer", "validation_log"):
                content.get("resume", {}).pop(key, None)
        assert same(now, checkpoint_before)
    if files:
        assert Path("run/latest.pth").readlink() == Path(files[-1])
        assert runner.last_saved[0].endswith(files[-1])


def test_async_checkpoints_are_copied_and_removed() -> None:
    """The copies of a file backend are made in the background too."""
    run("epoch", 4, interval=1, out_dir="memory://bucket", max_keep_ckpts=2, async_save=True)
    assert names() == mirrored() == ["epoch_3.pth", "epoch_4.pth"]
    copied = FileClient(prefix="memory").get("memory://bucket/run/epoch_4.pth")
    assert bytes(copied) == Path("run/epoch_4.pth").read_bytes()


def test_failed_copy_of_an_async_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hook knows at the end why the last checkpoint could not be copied."""
    monkeypatch.setattr(FileClient, "put", lambda *_: 1 / 0)
    runner = run("epoch", 2, out_dir="memory://bucket", async_save=True)
    assert names() == ["epoch_2.pth"]
    assert "division by zero" in str(hook_of(runner).failed)


def test_old_checkpoint_is_removed_after_the_new_one_is_complete(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With ``async_save`` the old one exists as long as the new one is written, and stays if that fails."""
    write, kept = run_checkpoint.write_checkpoint, []

    def watched(content: dict[str, Any], path: Path) -> None:
        kept.append(names())
        if path.name == "epoch_3.pth":
            raise CheckpointError("No space left.")
        write(content, path)

    monkeypatch.setattr(run_checkpoint, "write_checkpoint", watched)
    run("epoch", 4, interval=1, max_keep_ckpts=1, async_save=True)
    assert kept == [[], ["epoch_1.pth"], ["epoch_2.pth"], ["epoch_2.pth"]]
    assert names() == ["epoch_4.pth"]
    assert "No space left. The run continues; the last good checkpoint is" in caplog.text
    content = torch.load("run/epoch_4.pth")
    assert content["resume"]["hooks"]["CheckpointHook"]["kept"] == [
        ["epoch_2.pth", None],
        ["epoch_4.pth", None],
    ]


def test_error_of_the_run_waits_for_the_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a hook fails while a checkpoint is written, that is completed before the error is raised."""
    write = run_checkpoint.write_checkpoint

    def slow(content: dict[str, Any], path: Path) -> None:
        time.sleep(0.1)
        write(content, path)

    def see(stage: str, runner: Any) -> None:
        if stage == "before_train_iter" and runner.iter == 1:
            raise ValueError("broken")

    monkeypatch.setattr(run_checkpoint, "write_checkpoint", slow)
    runner = make_runner("iter", 5, work_dir="run", meta={})
    runner.register_checkpoint_hook({"interval": 1, "async_save": True})
    runner.register_hook(Recorder(see))
    with pytest.raises(ValueError, match="broken"):
        runner.run([numbers(5)], [("train", 1)])
    assert names() == ["iter_1.pth"]
    assert runner.last_saved[0].endswith("iter_1.pth")


def test_async_save_must_be_a_bool() -> None:
    """Another type is an error."""
    with pytest.raises(ArgumentTypeError, match="async_save must be True or False"):
        CheckpointHook(async_save="yes")  # type: ignore[arg-type]
