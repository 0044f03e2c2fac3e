"""What of the log a person sees on the terminal."""

from __future__ import annotations

import logging
import sys

from cfgtrain.utils.progress import log_console


def log_to_terminal() -> None:
    """Send log records to stderr: coloured on a terminal, plain lines into a pipe."""
    root = logging.getLogger()
    if any(handler.get_name() == "cfgtrain" for handler in root.handlers):
        return
    handler: logging.Handler
    if log_console().is_terminal:
        from rich.logging import RichHandler

        handler = RichHandler(console=log_console(), show_path=False, markup=False, log_time_format="%X")
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s - %(levelname)s - %(message)s"))
    handler.set_name("cfgtrain")
    root.addHandler(handler)
