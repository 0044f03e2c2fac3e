"""Measure the time of ``cfgtrain print-config``, compared with the minimum for such a command.

The minimum is the time of a Typer app with two empty commands that also imports yaml and addict.
Run it with the Python in which cfgtrain is installed: ``python benchmarks/startup.py``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from paired import compare, process_time

ROOT = Path(__file__).resolve().parent.parent
TARGET = 1.5
FLOOR = """
import addict, typer, yaml

app = typer.Typer()


@app.command()
def first(config: str) -> None:
    pass


@app.command()
def second() -> None:
    pass


app()
"""


def main() -> None:
    """Run the benchmark and print the ratio."""
    config = str(ROOT / "configs" / "digits" / "lenet5.py")
    with tempfile.TemporaryDirectory() as folder:
        floor = Path(folder) / "floor.py"
        floor.write_text(FLOOR)
        ours = [sys.executable, "-m", "cfgtrain", "print-config", config]
        least = [sys.executable, str(floor), "first", config]
        result = compare(lambda: process_time(ours), lambda: process_time(least))
    print(f"print-config: {result.a * 1000:.0f} ms of CPU, empty Typer app: {result.b * 1000:.0f} ms")
    print(f"ratio {result}, target at most {TARGET}: {'met' if result.ratio <= TARGET else 'MISSED'}")


if __name__ == "__main__":
    main()
