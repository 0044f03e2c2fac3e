"""The entry point of the ``cfgtrain`` command."""

from __future__ import annotations

import os
import sys

from cfgtrain.exit_codes import ExitCode

__all__ = ["main"]


def main() -> None:
    """Import the command line and run it; Ctrl-C during the import has no traceback either."""
    # Otherwise torch prints the stack of its C++ code when a connection to another process is lost, which we report. It
    # reads the variable when it is imported.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    try:
        from cfgtrain_cli.app import main as run
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    run()
