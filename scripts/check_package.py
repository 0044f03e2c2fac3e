"""Build the source distribution and the wheel, and check them.

The checks are: the wheel can be built from the source distribution; `twine check` passes; the archives contain only
files of the repository and all required files; the wheel that `pip install .` builds from the repository has the same
files; the metadata contain no addresses or URLs; and the unpacked wheel works in a separate folder, with both packages,
the digits, the configs and `cfgtrain init`.
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
    "cfgtrain/configs/_base_/default_runtime.py",  # through the link src/cfgtrain/configs
    "cfgtrain/configs/digits/lenet5.yaml",
    "cfgtrain_cli/app.py",
    "cfgtrain_cli/templates/custom/custom.py",
    "cfgtrain_cli/py.typed",
]
LICENCES = ["licenses/LICENSE", "licenses/NOTICE"]
GENERATED = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", *LICENCES}  # generated files in a wheel
# The project has no contact address and no web page yet. If one is added, it must be correct.
UNWANTED = ["Author-email", "Maintainer", "Maintainer-email", "Home-page", "Project-URL", "Download-URL"]
SMOKE_TEST = """
import sys, cfgtrain, cfgtrain_cli.app
from pathlib import Path
here = Path(sys.argv[1])
assert Path(cfgtrain.__file__).is_relative_to(here) and Path(cfgtrain_cli.__file__).is_relative_to(here)
from cfgtrain.data.datasets.digits import Digits
assert len(Digits(split="train")) > 1000
assert cfgtrain.Config.fromfile("cfgtrain::digits/lenet5.py").seed == 0
cfgtrain_cli.app.main(["init", "project"])
"""


def main() -> None:
    """Run the checks, and exit with a message if one fails."""
    with tempfile.TemporaryDirectory() as folder:
        run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, str(ROOT))
        (sdist,), (wheel,) = Path(folder).glob("*.tar.gz"), Path(folder).glob("*.whl")
        run(sys.executable, "-m", "twine", "check", "--strict", str(sdist), str(wheel))
        run(
            sys.executable,
            "-m",
            "build",
            "--no-isolation",
            "--wheel",
            "--outdir",
            f"{folder}/direct",
            str(ROOT),
        )
        (direct,) = Path(folder, "direct").glob("*.whl")
        problems = [*sdist_problems(sdist), *wheel_problems(wheel), *differences(wheel, direct)]
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(Path(folder) / "unpacked")  # noqa: S202 - our own wheel
        run(sys.executable, "-c", SMOKE_TEST, str(Path(folder) / "unpacked"), path=Path(folder) / "unpacked")
        if problems:
            sys.exit("\n".join(["The package has problems:", *problems]))
        print(f"{sdist.name} and {wheel.name} passed all checks.")


def run(*command: str, path: Path | None = None) -> None:
    """Run a command, and exit with its output if it fails."""
    environment = None if path is None else {"PYTHONPATH": str(path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=path, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command[:4])} ... failed:\n{done.stdout}{done.stderr}")


def tracked() -> set[str]:
    """Return the paths of the files in the repository, those in ``configs/`` also by the link to it."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = set(listed.stdout.splitlines())
    return names | {f"src/cfgtrain/{name}" for name in names if name.startswith("configs/")}


def differences(wheel: Path, direct: Path) -> Iterable[str]:
    """Yield the files that only one of two wheels contains: from the source distribution, and from the repository."""
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(direct) as other:
        names = set(one.namelist()) ^ set(other.namelist())
    yield from (f"Only one of the two ways to build a wheel includes {name}" for name in sorted(names))


def sdist_problems(sdist: Path) -> Iterable[str]:
    """Yield the problems with the files in the source distribution."""
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    yield from (
        f"{sdist.name} contains the unexpected file {name}" for name in names - tracked() - {"PKG-INFO"}
    )
    needed = {f"src/{name}" if name.startswith("cfgtrain/") else f"cli/{name}" for name in NEEDED}
    yield from (f"{sdist.name} does not contain {name}" for name in needed - names)


def wheel_problems(wheel: Path) -> Iterable[str]:
    """Yield the problems with the files and the metadata of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        info = next(name.partition("/")[0] for name in names if ".dist-info/" in name)
        metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
    known = {name.partition("/")[2] for name in tracked() if name.startswith(("src/", "cli/"))}
    known |= {f"{info}/{name}" for name in GENERATED}
    yield from (f"{wheel.name} contains the unexpected file {name}" for name in names - known)
    needed = {*NEEDED, *(f"{info}/{name}" for name in LICENCES)}
    yield from (f"{wheel.name} does not contain {name}" for name in needed - names)
    yield from (f"The metadata contain {field}: {metadata[field]}" for field in UNWANTED if field in metadata)
    if metadata["License-Expression"] != "Apache-2.0":
        yield f"The licence is {metadata['License-Expression']!r}"


if __name__ == "__main__":
    main()
