"""Kill a training run at random times, resume it, and check that nothing is lost: ``make faults``.

A run of the small experiment in ``tests/faults`` is killed with SIGKILL at random times, which include its start and
the saving of checkpoints, and resumed with ``--resume auto`` each time. After each kill there must be a checkpoint
that can be loaded, and at most one interval may be lost, or two if it is written in the background. The final result must be bit-identical to that of an
uninterrupted run.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
HERE = Path(__file__).resolve().parent
sys.path[:] = [str(HERE.parent / "tests"), *(entry for entry in sys.path if Path(entry).resolve() != HERE)]

# The package in tests/, found through the line above. This folder, which contains a file of the same name, is removed
# from the path.
from faults.experiment import (  # noqa: E402
    BATCHES,
    CONFIG,
    DEADLINE,
    Command,
    Forker,
    end_of,
    forking,
    lines,
    write_experiment,
)
from tiny import same  # noqa: E402

from cfgtrain.checkpoint.find import find_checkpoint  # noqa: E402

INTERVAL = 7
WINDOW = 2  # iterations of gradient accumulation; a checkpoint is saved only after the last of them


def main() -> int:
    """Run the experiment and print the result; return 0 if all checks pass."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="number of kills [%(default)s]")
    parser.add_argument("--seed", type=int, help="seed of the random times; random by default")
    parser.add_argument("--workers", type=int, default=0, help="worker processes of the run [%(default)s]")
    parser.add_argument("--async-save", action="store_true", help="write checkpoints in the background")
    args = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if args.seed is None else args.seed
    print(f"Seed of the random times: {seed} (to repeat them: --seed {seed})", flush=True)
    with tempfile.TemporaryDirectory() as folder, forking() as forker:
        os.chdir(folder)
        try:
            return kill_repeatedly(forker, args.kills, random.Random(seed), args.workers, args.async_save)
        finally:
            os.chdir("/")


def kill_repeatedly(forker: Forker, kills: int, chance: random.Random, workers: int, async_save: bool) -> int:
    """Kill a run of the experiment ``kills`` times and check its result; return the exit code."""
    write_experiment(Path())
    # On most machines the run is long enough for all kills. If it ends before, another run is started.
    epochs = max(4, kills * 2 * INTERVAL // BATCHES)
    runner = f"type='EpochBasedRunner', max_epochs={epochs}"
    Path("long.py").write_text(CONFIG.format(runner=runner, evaluated=3), encoding="utf-8")
    options = [
        "--cfg-options",
        "+checkpoint_config.max_keep_ckpts=1",
        f"+checkpoint_config.async_save={async_save}",
        f"data.workers_per_gpu={workers}",
        "+log_level=WARNING",
    ]
    words = ["train", "long.py", "--work-dir"]
    seconds = typical_session(forker, [*words, "tried"], options)

    forker.run(*words, "unbroken", *options, SESSION="unbroken")
    end = comparable_results(Path("unbroken"))

    most = (INTERVAL + WINDOW - 1) + async_save * INTERVAL  # the next save waits for the one before
    lost: list[int] = []
    without, equal, session = 0, True, 0
    runs = [Path("run-1")]
    while len(lost) < kills:
        session += 1
        command = forker.start(*words, runs[-1], "--resume", "auto", *options, SESSION=str(session))
        kill_after(command, chance.uniform(0, seconds))
        if command.code == 0:  # the run ended before the kill: start another one
            equal = same(comparable_results(runs[-1]), end) and equal
            runs.append(Path(f"run-{len(runs) + 1}"))
            continue
        reached, saved = progress_of(session), saved_iteration(runs[-1])
        # Before the first checkpoint there is nothing to load, and less than an interval is lost.
        without += saved == 0 and reached > most
        lost.append(max(reached - saved, 0))
        if len(lost) % 20 == 0:
            print(f"{len(lost)} kills: {runs[-1]} is at iteration {saved} of {epochs * BATCHES}", flush=True)
    forker.run(*words, runs[-1], "--resume", "auto", *options, SESSION="last")
    equal = same(comparable_results(runs[-1]), end) and equal
    print(
        f"{kills} kills in {len(runs)} run{'s' if len(runs) > 1 else ''}: {without} without a loadable checkpoint; "
        f"iterations lost: {statistics.mean(lost or [0]):.1f} on average, {max(lost, default=0)} at most, with an "
        f"interval of {INTERVAL} and gradient accumulation over {WINDOW}; results bit-identical: "
        f"{'yes' if equal else 'NO'}"
    )
    return 0 if equal and not without and max(lost, default=0) <= most else 1


def typical_session(forker: Forker, words: list[str], options: list[str]) -> float:
    """Return the seconds that a session takes to start and train for about six intervals."""
    started = time.monotonic()
    command = forker.start(*words, *options, SESSION="tried")
    while command.code is None and len(lines("iterations", "tried")) < 6 * INTERVAL:
        if time.monotonic() - started > DEADLINE:
            raise TimeoutError(f"The run does not start:\n{command.text}")
        time.sleep(0.001)
    if command.code is not None:
        raise RuntimeError(f"The run ended before the kill, with exit code {command.code}:\n{command.text}")
    seconds = time.monotonic() - started
    command.send(signal.SIGKILL)
    command.end()
    return seconds


def kill_after(command: Command, seconds: float) -> None:
    """Kill a command after some seconds."""
    time.sleep(seconds)
    command.send(signal.SIGKILL)
    if command.end() not in (0, -signal.SIGKILL):
        raise RuntimeError(f"The run failed, with exit code {command.code}:\n{command.text}")


def progress_of(session: int) -> int:
    """Return the last iteration that a session recorded, or 0."""
    recorded = lines("iterations", str(session))
    return int(recorded[-1].strip("[").split(",")[0]) if recorded else 0


def saved_iteration(work_dir: Path) -> int:
    """Return the iteration from which the run would be resumed, or 0."""
    found = find_checkpoint(work_dir)
    for path, reason in found.skipped:
        print(f"Damaged: {path}: {reason}", flush=True)
    return found.checkpoint["resume"]["position"]["iter"] if found.checkpoint else 0


def comparable_results(work_dir: Path) -> dict[str, object]:
    """Return the results that must be equal. The log is not included, since a killed session may lose lines."""
    return {name: value for name, value in end_of(work_dir).items() if name != "logged"}


if __name__ == "__main__":
    sys.exit(main())
