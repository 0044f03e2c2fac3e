"""Run the tests of the image functions with opencv-python instead of opencv-python-headless.

Both packages install the same ``cv2`` module, and users may have either of them. opencv-python is installed to a
temporary folder, so that the environment is not changed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = [
    "tests/image",
    "tests/image_files",
    "tests/visualization",
    "tests/video",
    "tests/cli/test_image.py",
    "tests/cli/test_image_commands.py",
    "tests/cli/test_image_kept.py",
    "tests/cli/test_image_bad.py",
]


def main() -> None:
    """Install opencv-python, check that it is imported, and run the tests."""
    wheel = f"opencv-python=={version('opencv-python-headless')}"
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", "--target", folder, wheel], check=True)
        environment = {**os.environ, "PYTHONPATH": folder}
        where = subprocess.run(
            [sys.executable, "-c", "import cv2; print(cv2.__file__)"],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        if not Path(where.stdout.strip()).is_relative_to(folder):
            sys.exit(f"The tests would use {where.stdout.strip()}, not {wheel}.")
        tests = [sys.executable, "-m", "pytest", "-q", *TESTS]
        sys.exit(subprocess.run(tests, cwd=ROOT, env=environment, check=False).returncode)


if __name__ == "__main__":
    main()
