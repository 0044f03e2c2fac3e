"""Reports on the jobs: progress, text and JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cfgtrain.suggestions import printable
from cfgtrain_cli.image.batch import Outcome
from cfgtrain_cli.image.plan import Plan

_MAX_LISTED = 20


def json_report(outcomes: Iterable[Outcome], plan: Plan, seconds: float, dry_run: bool) -> dict[str, Any]:
    """Return the outcomes as plain types, for ``--json``."""
    files = [
        {
            "input": str(each.job.source),
            "output": str(each.job.output),
            "from": each.before,
            "to": each.after,
            "losses": list(each.losses),
            "error": each.error,
        }
        for each in _in_order(outcomes, plan)
    ]
    failed = sum(file["error"] is not None for file in files)
    counts = {"done": 0 if dry_run else len(files) - failed, "failed": failed, "skipped": len(plan.skipped)}
    return {**counts, "dry_run": dry_run, "seconds": round(seconds, 3), "files": files}


def dry_run_report(outcomes: Iterable[Outcome], plan: Plan) -> str:
    """Return a line for each job that a run without ``--dry-run`` would do."""
    good = [each for each in _in_order(outcomes, plan) if each.error is None]
    return "\n".join([*map(_line, good), f"Dry run: {_count(len(good))} would be written.{_skipped(plan)}"])


def summary(outcomes: Iterable[Outcome], plan: Plan, done: str, output: str, seconds: float) -> str:
    """Return the last lines: how many images were written where, how long it took, and what was lost."""
    outcomes = list(outcomes)
    good = [each for each in outcomes if each.error is None]
    if len(good) == len(outcomes) == 1 and not plan.skipped:
        lines = [_line(good[0])]
    else:
        of = f" of {len(outcomes)}" if len(good) < len(outcomes) else ""
        lines = [f"{done} {len(good)}{of} images into {output} in {seconds:.1f} s.{_skipped(plan)}"]
        if len(outcomes) == 1:
            lines[0] = lines[0].replace(" images", " image")
    losses = Counter(loss for each in good for loss in each.losses)
    lines += [f"  {_count(number)} {loss}" for loss, number in losses.most_common()]
    return "\n".join(lines)


def failure_report(outcomes: Iterable[Outcome], plan: Plan) -> str:
    """Return the error of each file that failed, or an empty str."""
    bad = [(each.job.source, each.error) for each in _in_order(outcomes, plan) if each.error is not None]
    return failed_files(bad) if bad else ""


def failed_files(bad: Sequence[tuple[Path | str, str]], noun: str = "image") -> str:
    """Return a line for each of some files with its error, after a line with their number."""
    lines = [printable(f"{path}: {error}") for path, error in bad[:_MAX_LISTED]]
    lines += [f"and {len(bad) - _MAX_LISTED} more; --json lists all"] if len(bad) > _MAX_LISTED else []
    return "\n  ".join([f"{_count(len(bad), noun)} failed:", *lines])


def _in_order(outcomes: Iterable[Outcome], plan: Plan) -> list[Outcome]:
    position = {job: i for i, job in enumerate(plan.jobs)}
    return sorted(outcomes, key=lambda each: position[each.job])


def _line(outcome: Outcome) -> str:
    sizes = [f"{w}x{h}" for w, h in filter(None, (outcome.before, outcome.after))]
    return f"{outcome.job.source} -> {outcome.job.output}" + (f"  {' -> '.join(sizes)}" if sizes else "")


def _skipped(plan: Plan) -> str:
    parts = [f"{_count(len(plan.skipped))} with an existing output"] if plan.skipped else []
    files = (
        "1 file that is not an image"
        if plan.num_ignored == 1
        else f"{plan.num_ignored} files that are not images"
    )
    parts += [files] if plan.num_ignored else []
    return f" Skipped: {', '.join(parts)}." if parts else ""


def _count(number: int, noun: str = "image") -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
