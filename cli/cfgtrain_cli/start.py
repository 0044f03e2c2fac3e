"""The entry point of the ``cfgtrain`` command."""

from __future__ import annotations

import sys

from cfgtrain.exit_codes import ExitCode

__all__ = ["main"]


def main() -> None:
    """Import the command line and run it; Ctrl-C during the import has no traceback either."""
    try:
        from cfgtrain_cli.app import main as run
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    run()
