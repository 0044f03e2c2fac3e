"""``cfgtrain train --nproc``: start several processes of this command, and pass signals to them.

Three levels of processes: this command, the elastic agent of PyTorch (``torch.distributed.run``), and the ranks. The
agent would kill the ranks 30 seconds after a signal, and restart those that end with an exit code. So it runs in a
session of its own, where Ctrl-C does not reach it; this command signals the ranks, which save the run and exit with
0, and tell it by files in a temporary folder how the run has ended.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from cfgtrain.exit_codes import ExitCode
from cfgtrain.signals import SIGNALS, handle_signals
from cfgtrain_cli.console import echo

FOLDER = "CFGTRAIN_LAUNCH_FOLDER"  # environment variable of the ranks: the folder of this launch
STARTED = "CFGTRAIN_LAUNCH_STARTED"  # likewise: checkpoints of this launch have a later run id

POLL_SECONDS = 0.1
KILL_SECONDS = 10.0  # after a second signal, until all processes are killed


class _Failure(NamedTuple):
    """A rank that has ended with a code other than 0.

    Attributes:
        second: When the agent has noticed it, in seconds since 1970.
        rank: Which one it is.
        code: Its exit code; negative for the number of a signal.
    """

    second: int
    rank: int
    code: int


def launch(words: list[str], count: int, max_restarts: int, started: str) -> int:
    """Run the command with these arguments in several processes, and return the exit code of all.

    Args:
        words: Arguments of the command line, such as ``["train", "config.py", "--nproc", "2"]``.
        count: Number of processes.
        max_restarts: How often all of them are restarted when one has failed.
        started: A run id that sorts before those of this launch.
    """
    with tempfile.TemporaryDirectory(prefix="cfgtrain_") as name:
        folder = Path(name)
        threads = str(max((os.cpu_count() or 1) // count, 1))  # torchrun would use one thread
        env = {"OMP_NUM_THREADS": threads, **os.environ, FOLDER: name, STARTED: started}
        command = [sys.executable, "-m", "cfgtrain_cli.launch", name, str(count), str(max_restarts), *words]
        received: list[float] = []

        def forward(number: int, frame: FrameType | None) -> None:
            received.append(time.monotonic())
            (folder / "stop").touch()  # ranks that have not started yet see it
            _signal_ranks(folder, number)

        before = handle_signals(SIGNALS, forward)
        try:
            agent = subprocess.Popen(command, env=env, start_new_session=True)  # noqa: S603  # our own program
            while agent.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    agent.wait(POLL_SECONDS)
                if len(received) > 1 and received[-1] - received[0] > POLL_SECONDS:
                    _signal_ranks(folder, signal.SIGTERM)
                    if time.monotonic() - received[1] > KILL_SECONDS:
                        os.killpg(agent.pid, signal.SIGKILL)
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
        return _exit_code(folder, agent.returncode, bool(received))


def _signal_ranks(folder: Path, number: int) -> None:
    for file in folder.glob("rank_*.pid"):
        with suppress(ProcessLookupError, ValueError):
            os.kill(int(file.read_text()), number)


def _exit_code(folder: Path, agent_code: int, was_signalled: bool) -> int:
    """Return the exit code of the command, and report a rank that could not do it itself."""
    if agent_code == 0 and (folder / "stopped").exists():
        return ExitCode.STOPPED
    if (folder / "interrupted").exists() or (agent_code != 0 and was_signalled):
        return ExitCode.INTERRUPTED
    if agent_code == 0:
        return ExitCode.DONE
    with suppress(OSError, ValueError):
        failures = [_Failure(*each) for each in json.loads((folder / "failures").read_text())]
        if (folder / "reported").exists():
            usage = any(each.code == ExitCode.USAGE for each in failures)
            return ExitCode.USAGE if usage else ExitCode.FAILED
        # The other ranks fail because of the first one, or the agent ends them.
        _, rank, code = min(failures, key=lambda each: (each.second, each.code >= 0, each.rank))
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        echo(
            f"Error: rank {rank} {how}, so the run has ended. To go on from its newest checkpoint, add --resume auto.",
            err=True,
        )
        return ExitCode.FAILED
    if agent_code < 0:
        echo(
            f"Error: the elastic agent was killed by {signal.Signals(-agent_code).name}, and the run has ended.",
            err=True,
        )
    return ExitCode.FAILED


def launch_folder() -> Path | None:
    """Return the folder of the launch that has started this process, or None."""
    name = os.environ.get(FOLDER)
    return None if name is None else Path(name)


def note(name: str) -> None:
    """Tell the launch that has started this process, if there is one, what has happened.

    Args:
        name: ``"reported"``: an error was printed. ``"stopped"``: the run is saved. ``"interrupted"``: it is not.
    """
    folder = launch_folder()
    if folder is not None:
        with suppress(OSError):  # the launcher has been killed
            (folder / name).touch()


@contextmanager
def in_rank() -> Iterator[None]:
    """Return the context of the command in a process of a launch: it can be signalled."""
    folder = launch_folder()
    if folder is None:
        yield
        return
    try:
        with suppress(OSError):
            (folder / f"rank_{os.environ['RANK']}.pid").write_text(str(os.getpid()))
        if (folder / "stop").exists():
            raise KeyboardInterrupt
        yield
    except KeyboardInterrupt:
        note("interrupted")
        sys.exit(
            ExitCode.DONE
        )  # any other code would be a failure, after which the agent starts new processes


def _run_agent(name: str, count: str, max_restarts: str, *words: str) -> None:
    """Run the elastic agent of PyTorch; in a process of its own."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)  # the launcher reports
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)  # the launcher was killed; the agent passes this to the ranks

    threading.Thread(target=watch, daemon=True).start()
    options = [
        "--standalone",
        f"--nproc-per-node={count}",
        f"--max-restarts={max_restarts}",
        f"--log-dir={name}/logs",
    ]
    try:
        settings = parse_args([*options, "-m", "cfgtrain"])  # type: ignore[no-untyped-call]  # torch leaves it untyped
        settings.training_script_args = list(words)  # argparse would find options of its own in them
        run(settings)  # type: ignore[no-untyped-call]  # likewise
    except ChildFailedError as error:
        failures = [(each.timestamp, rank, each.exitcode) for rank, each in error.failures.items()]
        (Path(name) / "failures").write_text(json.dumps(failures))
        sys.exit(ExitCode.FAILED)
    except SignalException:
        # The launcher was killed, which would have removed the folder. The ranks have ended.
        shutil.rmtree(name, ignore_errors=True)
        sys.exit(ExitCode.FAILED)


if __name__ == "__main__":
    _run_agent(*sys.argv[1:])
