"""From the words of the command to a list of files: what is read, and where it goes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from glob import glob, has_magic
from pathlib import Path

from cfgtrain.errors import ArgumentError
from cfgtrain.image.io import IMAGE_SUFFIXES
from cfgtrain.suggestions import close_names, suggest

_SHOWN = 8


@dataclass(frozen=True)
class Job:
    """One picture: from which file to which."""

    source: Path
    output: Path


@dataclass
class Plan:
    """What is to be done.

    Attributes:
        jobs: In the order of the inputs.
        skipped: Jobs whose output is there already, which ``--skip-existing`` leaves out.
        others: How many files of the folders are no pictures, by their names.
    """

    jobs: list[Job] = field(default_factory=list)
    skipped: list[Job] = field(default_factory=list)
    others: int = 0


def make_plan(
    inputs: Iterable[str], output: str, *, overwrite: bool = False, skip_existing: bool = False
) -> Plan:
    """Find the files, and everything that can be wrong with them before one is opened.

    Args:
        inputs: Files, folders and patterns such as ``photos/**/*.jpg``.
        output: A file where the input is one file, else a folder.
        overwrite: Whether outputs may replace files; an input is never replaced.
        skip_existing: Whether jobs whose output is there are left out.

    Raises:
        ArgumentError: An input is not there, two inputs have one output, or an output is in the way.
    """
    inputs, plan = list(inputs), Plan()
    if len(inputs) == 1 and Path(inputs[0]).is_file() and not _is_folder(output):
        plan.jobs = [Job(Path(inputs[0]), Path(output))]
    else:
        if Path(output).exists() and not Path(output).is_dir():
            raise ArgumentError(
                f"The output {output!r} is a file: only for an input that is one file too. Name a folder."
            )
        found = (_found(word, Path(output), plan) for word in inputs)
        plan.jobs = list(dict.fromkeys(job for jobs in found for job in jobs))
    for job in plan.jobs:
        _check_suffix(job.output)
    _check_outputs(plan.jobs)
    there = [job for job in plan.jobs if os.path.lexists(job.output)]
    if skip_existing:
        plan.skipped = there
        plan.jobs = [job for job in plan.jobs if job not in set(there)]
    elif there and not overwrite:
        raise ArgumentError(
            _listed(
                f"{_count(len(there), 'output')} would replace a file", (str(job.output) for job in there)
            )
            + "\nSay --overwrite to replace, or --skip-existing to leave as they are."
        )
    return plan


def _is_folder(output: str) -> bool:
    return Path(output).is_dir() or output.endswith(("/", os.sep))


def _check_suffix(output: Path) -> None:
    if not output.suffix:
        raise ArgumentError(
            f"The output {str(output)!r} has no suffix that says its format, such as .jpg; "
            f"if it is meant to be a folder, write {f'{output}/'!r}."
        )
    if output.suffix.lower() not in IMAGE_SUFFIXES:
        raise ArgumentError(
            f"The output {str(output)!r} would be no picture: no image format has the suffix "
            f"{output.suffix!r}.{suggest(output.suffix, IMAGE_SUFFIXES)}"
        )


def _found(word: str, folder: Path, plan: Plan) -> Iterator[Job]:
    """Yield the jobs of one input."""
    path = Path(word)
    if path.is_dir():
        files = _pictures_below(path, folder, plan)
        if not files:
            raise ArgumentError(f"The folder {word!r} holds no pictures: no file with a suffix such as .jpg.")
        yield from (Job(file, folder / file.relative_to(path)) for file in files)
    elif path.is_file():
        yield Job(path, folder / path.name)
    elif has_magic(word):
        yield from _matching(word, folder, plan)
    elif path.exists():
        raise ArgumentError(f"The input {word!r} is neither a file nor a folder.")
    else:
        raise ArgumentError(f"There is no file or folder {word!r}.{_similar(path)}")


def _pictures_below(top: Path, output: Path, plan: Plan) -> list[Path]:
    """Return the pictures in a folder and in its folders, but not those in the output, nor hidden ones."""
    found, inside = [], output.absolute()
    for folder, folders, files in os.walk(top, onerror=_refuse):
        at = Path(folder)
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and (at / name).absolute() != inside
        )
        shown = sorted(name for name in files if not name.startswith("."))
        named = [at / name for name in shown if Path(name).suffix.lower() in IMAGE_SUFFIXES]
        pictures = [path for path in named if path.is_file()]  # no pipe, no link to nothing
        plan.others += len(shown) - len(pictures)
        found += pictures
    return found


def _matching(pattern: str, folder: Path, plan: Plan) -> Iterator[Job]:
    """Yield a job for each match; below the part of the pattern that is no pattern, the tree is mirrored."""
    matches = sorted(Path(match) for match in glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute patterns
    files = [match for match in matches if match.is_file()]
    if not files:
        raise ArgumentError(f"Nothing matches the pattern {pattern!r}.")
    parts = Path(pattern).parts
    fixed = Path(*parts[: next(i for i, part in enumerate(parts) if has_magic(part))])
    inside = folder.absolute()
    for file in files:
        if file.suffix.lower() not in IMAGE_SUFFIXES:
            plan.others += 1
        elif not (inside.is_relative_to(fixed.absolute()) and file.absolute().is_relative_to(inside)):
            yield Job(file, folder / file.relative_to(fixed))


def _check_outputs(jobs: list[Job]) -> None:
    """See to it that each output is one job's alone, and no input."""
    by_output: dict[str, list[Job]] = {}
    for job in jobs:
        by_output.setdefault(os.path.normcase(job.output.absolute()), []).append(job)
    doubles = [same for same in by_output.values() if len(same) > 1]
    if doubles:
        lines = (f"{same[0].output} <- {', '.join(str(job.source) for job in same)}" for same in doubles)
        raise ArgumentError(_listed("Several inputs have one output", lines))
    inputs = {_identity(job.source) for job in jobs}
    replaced = [str(job.output) for job in jobs if job.output.exists() and _identity(job.output) in inputs]
    if replaced:
        raise ArgumentError(
            _listed("An input is never replaced, and these outputs are inputs", replaced)
            + "\nChoose another output with -o."
        )


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _similar(path: Path) -> str:
    names = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
    close = close_names(path.name, names, 1)
    return f" Did you mean {str(path.parent / close[0])!r}?" if close else ""


def _refuse(error: OSError) -> None:
    raise ArgumentError(f"The folder {error.filename!r} cannot be read: {error.strerror}.") from error


def _listed(what: str, lines: Iterable[str]) -> str:
    lines = list(lines)
    more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "\n  ".join([f"{what}:", *lines[:_SHOWN], *more])


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
