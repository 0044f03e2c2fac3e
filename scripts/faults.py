"""Kill one training again and again, at random moments, and see what is left: ``make faults``.

A run of the small experiment of ``tests/faults`` is killed with SIGKILL at moments drawn at
random over the whole of it, starting and saving included, and resumed with ``--resume auto``
each time. After each kill there has to be a checkpoint that can be loaded, and no more than
one interval may be lost. The end is compared, to the last bit, with a run that nothing
happened to.
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

# Found through the line above; this folder, with its file of the same name, is not looked into.
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
WINDOW = 2  # a save that falls due inside a window of accumulated gradients waits for its end


def main() -> int:
    """Run the kills and print what came of them; return 0 if the promise was kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="how many [%(default)s]")
    parser.add_argument("--seed", type=int, help="of the moments; drawn if it is not given")
    parser.add_argument("--workers", type=int, default=0, help="loading processes of the run [%(default)s]")
    args = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if args.seed is None else args.seed
    print(f"Seed of the moments: {seed} (again with --seed {seed})", flush=True)
    with tempfile.TemporaryDirectory() as folder, forking() as forker:
        os.chdir(folder)
        try:
            return torment(forker, args.kills, random.Random(seed), args.workers)
        finally:
            os.chdir("/")


def torment(forker: Forker, kills: int, chance: random.Random, workers: int) -> int:
    """Kill a run of the experiment ``kills`` times and compare its end; return the exit code."""
    write_experiment(Path())
    # Long enough not to be over before the last kill on most machines; if it is, there is another one.
    epochs = max(4, kills * 2 * INTERVAL // BATCHES)
    runner = f"type='EpochBasedRunner', max_epochs={epochs}"
    Path("long.py").write_text(CONFIG.format(runner=runner, evaluated=3), encoding="utf-8")
    options = [
        "--cfg-options",
        "+checkpoint_config.max_keep_ckpts=1",
        f"data.workers_per_gpu={workers}",
        "+log_level=WARNING",
    ]
    words = ["train", "long.py", "--work-dir"]
    seconds = typical_session(forker, [*words, "tried"], options)

    forker.run(*words, "unbroken", *options, SESSION="unbroken")
    end = compared(Path("unbroken"))

    lost: list[int] = []
    without, equal, session = 0, True, 0
    runs = [Path("run-1")]
    while len(lost) < kills:
        session += 1
        command = forker.start(*words, runs[-1], "--resume", "auto", *options, SESSION=str(session))
        kill_after(command, chance.uniform(0, seconds))
        if command.code == 0:  # it was over before: on with another one
            equal = same(compared(runs[-1]), end) and equal
            runs.append(Path(f"run-{len(runs) + 1}"))
            continue
        reached, saved = progress_of(session), at(runs[-1])
        # Before the first save of all there is nothing to load, and less than an interval to lose.
        without += saved == 0 and reached >= INTERVAL + WINDOW
        lost.append(max(reached - saved, 0))
        if len(lost) % 20 == 0:
            print(f"{len(lost)} kills: {runs[-1]} is at iteration {saved} of {epochs * BATCHES}", flush=True)
    forker.run(*words, runs[-1], "--resume", "auto", *options, SESSION="last")
    equal = same(compared(runs[-1]), end) and equal
    print(
        f"{kills} kills in {len(runs)} run{'s' if len(runs) > 1 else ''}: {without} without a loadable checkpoint; "
        f"iterations lost: {statistics.mean(lost or [0]):.1f} on average, {max(lost, default=0)} at most, with an "
        f"interval of {INTERVAL} and windows of {WINDOW}; each end is equal to the last bit: {'yes' if equal else 'NO'}"
    )
    return 0 if equal and not without and max(lost, default=0) <= INTERVAL + WINDOW - 1 else 1


def typical_session(forker: Forker, words: list[str], options: list[str]) -> float:
    """Return the seconds after which a session has started and trained for about six intervals."""
    began = time.monotonic()
    command = forker.start(*words, *options, SESSION="tried")
    while command.code is None and len(lines("iterations", "tried")) < 6 * INTERVAL:
        if time.monotonic() - began > DEADLINE:
            raise TimeoutError(f"The run does not begin:\n{command.text}")
        time.sleep(0.001)
    if command.code is not None:
        raise RuntimeError(f"The run ended by itself, with exit code {command.code}:\n{command.text}")
    seconds = time.monotonic() - began
    command.send(signal.SIGKILL)
    command.end()
    return seconds


def kill_after(command: Command, seconds: float) -> None:
    """Kill a command after a time."""
    time.sleep(seconds)
    command.send(signal.SIGKILL)
    if command.end() not in (0, -signal.SIGKILL):
        raise RuntimeError(f"The run failed, with exit code {command.code}:\n{command.text}")


def progress_of(session: int) -> int:
    """Return the last iteration that a session noted, or 0."""
    noted = lines("iterations", str(session))
    return int(noted[-1].strip("[").split(",")[0]) if noted else 0


def at(work_dir: Path) -> int:
    """Return the iteration that the run would be gone on from, or 0."""
    found = find_checkpoint(work_dir)
    for path, reason in found.skipped:
        print(f"Damaged: {path}: {reason}", flush=True)
    return found.checkpoint["resume"]["position"]["iter"] if found.checkpoint else 0


def compared(work_dir: Path) -> dict[str, object]:
    """Return what has to be equal at the end; the log of a killed session may lack lines."""
    return {name: value for name, value in end_of(work_dir).items() if name != "logged"}


if __name__ == "__main__":
    sys.exit(main())
