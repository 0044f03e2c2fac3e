"""Running a script or a module in this process as ``python`` runs it."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from cfgtrain.exit_codes import ExitCode

__all__ = ["run"]

USAGE = """usage: python -m cfgtrain.compat.mmcv SCRIPT [ARGUMENT...]
       python -m cfgtrain.compat.mmcv -m MODULE [ARGUMENT...]

Run a script or a module that was written for MMCV 1.x: its `import mmcv` imports cfgtrain."""


def run(words: Sequence[str]) -> None:
    """Run a script, or a module after ``-m``, with the other words as its arguments.

    ``sys.argv``, ``sys.path`` and ``__main__`` are what they are when ``python`` runs it. A traceback begins with
    the frames of the script. ``--local-rank=N`` before the script, where ``torch.distributed.launch`` puts it, becomes
    the first argument of the script.

    Raises:
        SystemExit: The words name no script, or the script ends with it.
    """
    rank = [word for word in words[:1] if word.startswith(("--local-rank=", "--local_rank="))]
    words = words[len(rank) :]
    is_module = bool(words) and words[0] == "-m"
    target = list(words[1:] if is_module else words)
    if not target or (target[0].startswith("-") and not is_module):
        asked = bool(target) and target[0] in ("-h", "--help")
        print(USAGE, file=sys.stdout if asked else sys.stderr)
        sys.exit(ExitCode.DONE if asked else ExitCode.USAGE)
    if not is_module and not Path(target[0]).exists():
        print(f"There is no script {target[0]!r}.", file=sys.stderr)
        sys.exit(ExitCode.USAGE)
    sys.excepthook = _print_frames_of_script
    sys.argv[:] = [target[0], *rank, *target[1:]]
    if is_module:
        runpy.run_module(target[0], run_name="__main__", alter_sys=True)
        return
    if not sys.flags.safe_path:
        sys.path[0] = str(Path(target[0]).resolve().parent)  # instead of the current folder
    runpy.run_path(target[0], run_name="__main__")


def _print_frames_of_script(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Print an exception without the frames that started the script; there are no others if it cannot be read."""
    inner = traceback
    while inner is not None and _is_ours(inner.tb_frame.f_code.co_filename):
        inner = inner.tb_next
    if inner is None:
        error.__cause__, error.__suppress_context__ = None, True
    sys.__excepthook__(kind, error.with_traceback(inner), inner)


def _is_ours(file: str) -> bool:
    return file in ("<frozen runpy>", runpy.__file__) or Path(file).parent == Path(__file__).parent
