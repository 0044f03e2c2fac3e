"""``python forker.py``: imports everything once, then forks one ``cfgtrain`` command per request.

Each request is a line of JSON on stdin, and each answer a line on stdout. A forked process is a
normal command that receives real signals; only the cleanup of the modules at exit is skipped,
because it takes longer than the training. The forking process itself never trains, because
threads do not survive a fork. It can also wait for the end of a command, which is cheaper than
polling.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import signal
import sys
import time
import traceback
import weakref
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from typing import Any

PRELOADED = (
    "cfgtrain.data",
    "cfgtrain.models",
    "cfgtrain.optim",
    "cfgtrain.runner",
    "cfgtrain.train",
    "cfgtrain_cli.console",
    "multiprocessing.popen_fork",
    "multiprocessing.queues",
    "torch.profiler._cupti_monitor",
    "torch.utils.serialization.config",
)


def start(request: dict[str, Any]) -> int | None:
    """Fork; return the process id of the child, and None in the child."""
    pid = os.fork()
    if pid:
        return pid
    if request["own_group"]:
        os.setpgid(0, 0)
    out = os.open(request["out"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, place in ((nothing, 0), (out, 1), (out, 2)):
        os.dup2(descriptor, place)
    os.chdir(request["cwd"])
    os.environ.update(request["env"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return None


def ended(pid: int, seconds: float) -> int | None:
    """Return the exit code of a child (negative: the signal), or None if it still runs after that time."""
    deadline = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.002)


def serve() -> list[str] | None:
    """Answer requests until one says to quit; return the arguments to run in a child, and None here."""
    for line in sys.stdin:
        if line == "quit\n":
            break
        request = json.loads(line)
        answer = ended(request["wait"], request["seconds"]) if "wait" in request else start(request)
        if answer is None and "wait" not in request:
            return list(request["words"])
        print(json.dumps(answer), flush=True)
    return None


def leave_after(main: Callable[[], None], words: list[str]) -> None:
    """Run a command and its exit handlers, and exit with its exit code."""
    sys.argv = ["cfgtrain", *words]
    code: Any = 0
    try:
        main()
    except SystemExit as stopped:
        code = stopped.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    for name in PRELOADED:
        importlib.import_module(name)
    torch.optim.SGD([torch.zeros(1)], lr=1.0)  # the first optimizer loads half of torch
    from cfgtrain_cli.app import app, main

    with suppress(SystemExit), redirect_stdout(None):
        app(["train", "--help"])  # loads what reads the words
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]  # of torch, for a tidy end
        finalizer.atexit = False
    gc.freeze()  # what is loaded is shared by all commands, and none has to go through it
    print("ready", flush=True)
    words = serve()
    if words is not None:
        leave_after(main, words)
