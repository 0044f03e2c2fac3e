"""Planning the jobs: which files are read, and where their results are written."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from glob import glob, has_magic
from pathlib import Path

from cfgtrain.errors import ArgumentError
from cfgtrain.image.io import IMAGE_SUFFIXES
from cfgtrain.suggestions import close_names, suggest

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
        jobs = dict.fromkeys(job for word in inputs for job in _jobs_of(word, Path(output), plan))
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
    nowhere, plan = Path(os.devnull), Plan()
    return list(dict.fromkeys(job.source for word in inputs for job in _jobs_of(word, nowhere, plan)))


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


def _jobs_of(word: str, folder: Path, plan: Plan) -> Iterator[Job]:
    """Yield the jobs of one input."""
    path = Path(word)
    if path.is_dir():
        files = _images_below(path, folder, plan)
        if not files:
            raise ArgumentError(f"The folder {word!r} contains no images (files with a suffix such as .jpg).")
        yield from (Job(file, folder / file.relative_to(path)) for file in files)
    elif path.is_file():
        yield Job(path, folder / path.name)
    elif has_magic(word):
        yield from _jobs_matching(word, folder, plan)
    elif path.exists():
        raise ArgumentError(f"The input {word!r} is neither a file nor a folder.")
    else:
        raise ArgumentError(f"There is no file or folder {word!r}.{_similar(path)}")


def _images_below(top: Path, output: Path, plan: Plan) -> list[Path]:
    """Return the images in a folder and its subfolders, except hidden ones and those in the output folder."""
    found, inside = [], output.absolute()
    for folder, folders, files in os.walk(top, onerror=_raise_unreadable):
        at = Path(folder)
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and (at / name).absolute() != inside
        )
        visible = sorted(name for name in files if not name.startswith("."))
        named = [at / name for name in visible if Path(name).suffix.lower() in IMAGE_SUFFIXES]
        images = [path for path in named if path.is_file()]  # neither pipes nor broken links
        plan.num_ignored += len(visible) - len(images)
        found += images
    return found


def _jobs_matching(pattern: str, folder: Path, plan: Plan) -> Iterator[Job]:
    """Yield a job for each match.

    The output mirrors the folders below the fixed part of the pattern: ``photos`` in ``photos/**/*.jpg``.
    """
    matches = sorted(Path(match) for match in glob(pattern, recursive=True))  # noqa: PTH207  # Path.glob does not support absolute patterns
    files = [match for match in matches if match.is_file()]
    if not files:
        raise ArgumentError(f"No file matches the pattern {pattern!r}.")
    parts = Path(pattern).parts
    fixed = Path(*parts[: next(i for i, part in enumerate(parts) if has_magic(part))])
    inside = folder.absolute()
    for file in files:
        if file.suffix.lower() not in IMAGE_SUFFIXES:
            plan.num_ignored += 1
        elif not (inside.is_relative_to(fixed.absolute()) and file.absolute().is_relative_to(inside)):
            yield Job(file, folder / file.relative_to(fixed))


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


def _similar(path: Path) -> str:
    names = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
    close = close_names(path.name, names, 1)
    return f" Did you mean {str(path.parent / close[0])!r}?" if close else ""


def _raise_unreadable(error: OSError) -> None:
    raise ArgumentError(f"The folder {error.filename!r} cannot be read: {error.strerror}.") from error


def _with_list(what: str, lines: Iterable[str]) -> str:
    lines = list(lines)
    more = [f"and {len(lines) - _MAX_LISTED} more"] if len(lines) > _MAX_LISTED else []
    return "\n  ".join([f"{what}:", *lines[:_MAX_LISTED], *more])
