"""``python forker.py``: imports everything once, then forks one ``cfgtrain`` command per request.

A line of JSON on stdin is a request, a line on stdout the answer. The forked process is a
command like any other: real signals reach it, and it leaves through the interpreter's end.
This process itself never trains, so that nothing that does not survive a fork is running.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from typing import Any

PRELOADED = ("cfgtrain.data", "cfgtrain.models", "cfgtrain.optim", "cfgtrain.runner", "cfgtrain.train")


def start(request: dict[str, Any]) -> int | None:
    """Fork; return the child's id, and None in the child."""
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


def ended(pid: int) -> int | None:
    """Return the exit code of a child (negative: the signal it died of), or None while it runs."""
    done, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def serve() -> list[str] | None:
    """Answer requests to the end; return the words to run in a child, and None here."""
    for line in sys.stdin:
        request = json.loads(line)
        answer = ended(request["poll"]) if "poll" in request else start(request)
        if answer is None and "poll" not in request:
            return list(request["words"])
        print(json.dumps(answer), flush=True)
    return None


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    for name in PRELOADED:
        importlib.import_module(name)
    from cfgtrain_cli.app import main

    print("ready", flush=True)
    words = serve()
    if words is not None:
        sys.argv = ["cfgtrain", *words]
        main(words)
