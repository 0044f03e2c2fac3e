"""Planning the jobs: which files are read, and where their results are written."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from cfgtrain.errors import ArgumentError
from cfgtrain.image.io import IMAGE_SUFFIXES
from cfgtrain.image_files.search import FileSearch
from cfgtrain.suggestions import suggest

_MAX_LISTED = 8


@dataclass(frozen=True)
class Job:
    """One image: the file to read and the file to write."""

    source: Path
    output: Path


@dataclass
class Plan:
    """The jobs of a command.

    Attributes:
        jobs: The jobs to do, in the order of the inputs.
        skipped: Jobs that ``--skip-existing`` skips, because their output exists.
        num_ignored: The number of files in the inputs that are not images, by their suffixes.
    """

    jobs: list[Job] = field(default_factory=list)
    skipped: list[Job] = field(default_factory=list)
    num_ignored: int = 0


def make_plan(
    inputs: Iterable[str],
    output: str,
    *,
    suffix: str | None = None,
    overwrite: bool = False,
    skip_existing: bool = False,
) -> Plan:
    """Find the input files and their outputs, and validate them, without opening any file.

    Args:
        inputs: Files, folders and patterns such as ``photos/**/*.jpg``.
        output: A file if the input is one file, else a folder.
        suffix: Suffix of the files in an output folder, such as ``.png``; by default that of the input.
        overwrite: Whether outputs may replace existing files other than the inputs.
        skip_existing: Whether to skip jobs whose output exists.

    Raises:
        ArgumentError: An input does not exist, two inputs have the same output, or an output exists
            and may not be replaced.
    """
    inputs, plan = list(inputs), Plan()
    if len(inputs) == 1 and Path(inputs[0]).is_file() and not _is_folder(output):
        plan.jobs = [Job(Path(inputs[0]), Path(output))]
    else:
        search = FileSearch(exclude=Path(output))
        found = [file for word in inputs for file in search.find(word)]
        jobs = dict.fromkeys(Job(file.path, Path(output) / file.relative) for file in found)
        plan.num_ignored = search.num_ignored
        plan.jobs = [replace(job, output=job.output.with_suffix(suffix)) if suffix else job for job in jobs]
        if Path(output).exists() and not Path(output).is_dir():
            raise ArgumentError(
                f"The output {output!r} is a file, and the input is not a single file. Choose a folder."
            )
    for job in plan.jobs:
        _check_suffix(job.output)
    _check_outputs(plan.jobs)
    existing = [job for job in plan.jobs if os.path.lexists(job.output)]
    if skip_existing:
        plan.skipped = existing
        plan.jobs = [job for job in plan.jobs if job not in set(existing)]
    elif existing and not overwrite:
        raise ArgumentError(
            _with_list(
                f"{len(existing)} {'output exists' if len(existing) == 1 else 'outputs exist'} already",
                (str(job.output) for job in existing),
            )
            + "\nUse --overwrite to replace existing files, or --skip-existing to keep them."
        )
    return plan


def find_images(inputs: Iterable[str]) -> list[Path]:
    """Return the input files, without opening them.

    Raises:
        ArgumentError: An input does not exist.
    """
    search = FileSearch()
    return list(dict.fromkeys(file.path for word in inputs for file in search.find(word)))


def _is_folder(output: str) -> bool:
    return Path(output).is_dir() or output.endswith(("/", os.sep))


def _check_suffix(output: Path) -> None:
    if not output.suffix:
        raise ArgumentError(
            f"The output {str(output)!r} has no suffix such as .jpg, so its format is unknown. "
            f"If it is a folder, write {f'{output}/'!r}."
        )
    if output.suffix.lower() not in IMAGE_SUFFIXES:
        raise ArgumentError(
            f"The output {str(output)!r} has the suffix {output.suffix!r}, which is not that of an "
            f"image format.{suggest(output.suffix, IMAGE_SUFFIXES)}"
        )


def _check_outputs(jobs: list[Job]) -> None:
    """Raise if two jobs have the same output, or if an output is an input."""
    by_output: dict[str, list[Job]] = {}
    for job in jobs:
        by_output.setdefault(os.path.normcase(job.output.absolute()), []).append(job)
    shared = [same for same in by_output.values() if len(same) > 1]
    if shared:
        lines = (f"{same[0].output} <- {', '.join(str(job.source) for job in same)}" for same in shared)
        raise ArgumentError(_with_list("Several inputs have the same output", lines))
    inputs = {_identity(job.source) for job in jobs}
    replaced = [str(job.output) for job in jobs if job.output.exists() and _identity(job.output) in inputs]
    if replaced:
        raise ArgumentError(
            _with_list("Inputs are never replaced, but these outputs are also inputs", replaced)
            + "\nChoose another output with -o."
        )


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _with_list(what: str, lines: Iterable[str]) -> str:
    lines = list(lines)
    more = [f"and {len(lines) - _MAX_LISTED} more"] if len(lines) > _MAX_LISTED else []
    return "\n  ".join([f"{what}:", *lines[:_MAX_LISTED], *more])
