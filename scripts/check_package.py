"""Build the sdist and the wheel, and look at them as those who get them will.

What is checked: the wheel builds from the sdist; `twine check`; each file is one of the
repository's, and what is needed is there; the metadata name no one and nothing that is not
there; unpacked in a folder of its own, the wheel runs, with both packages and the digits.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEEDED = [
    "cfgtrain/__init__.py",
    "cfgtrain/py.typed",
    "cfgtrain/data/datasets/digits.npz",
    "cfgtrain_cli/app.py",
    "cfgtrain_cli/py.typed",
]
LICENCES = ["licenses/LICENSE", "licenses/NOTICE"]
MADE = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", *LICENCES}  # beside the packages in a wheel
# Nobody's address and no page stands behind this project yet: if one appears, it has to be true.
UNWANTED = ["Author-email", "Maintainer", "Maintainer-email", "Home-page", "Project-URL", "Download-URL"]
RUNS = """
import sys, cfgtrain, cfgtrain_cli.app
from pathlib import Path
here = Path(sys.argv[1])
assert Path(cfgtrain.__file__).is_relative_to(here) and Path(cfgtrain_cli.__file__).is_relative_to(here)
from cfgtrain.data.datasets.digits import Digits
assert len(Digits(split="train")) > 1000
cfgtrain_cli.app.main(["--version"])
"""


def main() -> None:
    """Check, and say what is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, str(ROOT))
        (sdist,), (wheel,) = Path(folder).glob("*.tar.gz"), Path(folder).glob("*.whl")
        run(sys.executable, "-m", "twine", "check", "--strict", str(sdist), str(wheel))
        wrong = [*wrong_in_sdist(sdist), *wrong_in_wheel(wheel)]
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(Path(folder) / "unpacked")  # noqa: S202 - our own wheel
        run(sys.executable, "-c", RUNS, str(Path(folder) / "unpacked"), path=Path(folder) / "unpacked")
        if wrong:
            sys.exit("\n".join(["The package is not as it should be:", *wrong]))
        print(f"{sdist.name} and {wheel.name} are as they should be.")


def run(*command: str, path: Path | None = None) -> None:
    """Run a command quietly; show what it said when it fails."""
    environment = None if path is None else {"PYTHONPATH": str(path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=path, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command[:4])} ... failed:\n{done.stdout}{done.stderr}")


def tracked() -> set[str]:
    """Return the files of the repository."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(listed.stdout.splitlines())


def wrong_in_sdist(sdist: Path) -> Iterable[str]:
    """Yield what is wrong with the files of the sdist."""
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    yield from (f"{sdist.name} holds the stray file {name}" for name in names - tracked() - {"PKG-INFO"})
    needed = {f"src/{name}" if name.startswith("cfgtrain/") else f"cli/{name}" for name in NEEDED}
    yield from (f"{sdist.name} lacks {name}" for name in needed - names)


def wrong_in_wheel(wheel: Path) -> Iterable[str]:
    """Yield what is wrong with the files and the metadata of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        info = next(name.partition("/")[0] for name in names if ".dist-info/" in name)
        metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
    known = {name.partition("/")[2] for name in tracked() if name.startswith(("src/", "cli/"))}
    known |= {f"{info}/{name}" for name in MADE}
    yield from (f"{wheel.name} holds the stray file {name}" for name in names - known)
    needed = {*NEEDED, *(f"{info}/{name}" for name in LICENCES)}
    yield from (f"{wheel.name} lacks {name}" for name in needed - names)
    yield from (f"The metadata say {field}: {metadata[field]}" for field in UNWANTED if field in metadata)
    if metadata["License-Expression"] != "Apache-2.0":
        yield f"The licence is {metadata['License-Expression']!r}"


if __name__ == "__main__":
    main()
