"""How long ``cfgtrain print-config`` takes, against the least that such a command could take.

The floor is a Typer app of two empty commands that also imports yaml and addict.
Run it with the Python that cfgtrain is installed in: ``python benchmarks/startup.py``.
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
    """Print the ratio."""
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
