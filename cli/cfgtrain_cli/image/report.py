"""What a person, or a program, is told about the jobs."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator

from cfgtrain_cli.image.batch import Outcome
from cfgtrain_cli.image.plan import Plan

_SHOWN = 20


def with_progress(outcomes: Iterator[Outcome], total: int) -> Iterator[Outcome]:
    """Hand on the outcomes, and show on a terminal how many there are."""
    if total < 2 or not sys.stderr.isatty():
        yield from outcomes
        return
    from cfgtrain.terminal import LiveProgress  # loads rich, which pipes do without

    progress = LiveProgress(total)
    failed = 0
    try:
        for done, outcome in enumerate(outcomes, start=1):
            failed += outcome.error is not None
            progress.update(done, outcome.job.source.name, {"failed": failed} if failed else {})
            yield outcome
    finally:
        progress.stop()


def as_json(outcomes: Iterable[Outcome], plan: Plan, seconds: float, dry_run: bool) -> str:
    """Return everything as one JSON object."""
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
    return json.dumps(
        {**counts, "dry_run": dry_run, "seconds": round(seconds, 3), "files": files},
        indent=2,
        ensure_ascii=False,
    )


def planned(outcomes: Iterable[Outcome], plan: Plan) -> str:
    """Return a line for each job that a run without ``--dry-run`` would do."""
    good = [each for each in _in_order(outcomes, plan) if each.error is None]
    return "\n".join(
        [*map(_line, good), f"Nothing was written: {_count(len(good))} would be.{_left_out(plan)}"]
    )


def summary(outcomes: Iterable[Outcome], plan: Plan, done: str, output: str, seconds: float) -> str:
    """Return the last lines: how many, where, how long, and what was lost on the way."""
    outcomes = list(outcomes)
    good = [each for each in outcomes if each.error is None]
    if len(good) == len(outcomes) == 1 and not plan.skipped:
        lines = [_line(good[0])]
    else:
        of = f" of {len(outcomes)}" if len(good) < len(outcomes) else ""
        lines = [f"{done} {len(good)}{of} pictures into {output} in {seconds:.1f} s.{_left_out(plan)}"]
        if len(outcomes) == 1:
            lines[0] = lines[0].replace(" pictures", " picture")
    losses = Counter(loss for each in good for loss in each.losses)
    lines += [f"  {_count(number)} {loss}" for loss, number in losses.most_common()]
    return "\n".join(lines)


def failures(outcomes: Iterable[Outcome], plan: Plan) -> str:
    """Return what is wrong with each file that failed, or an empty str."""
    bad = [each for each in _in_order(outcomes, plan) if each.error is not None]
    if not bad:
        return ""
    lines = [f"{each.job.source}: {each.error}" for each in bad[:_SHOWN]]
    lines += [f"and {len(bad) - _SHOWN} more; --json names all"] if len(bad) > _SHOWN else []
    return "\n  ".join([f"{_count(len(bad))} failed:", *lines])


def _in_order(outcomes: Iterable[Outcome], plan: Plan) -> list[Outcome]:
    place = {job: i for i, job in enumerate(plan.jobs)}
    return sorted(outcomes, key=lambda each: place[each.job])


def _line(outcome: Outcome) -> str:
    sizes = [f"{w}x{h}" for w, h in filter(None, (outcome.before, outcome.after))]
    return f"{outcome.job.source} -> {outcome.job.output}" + (f"  {' -> '.join(sizes)}" if sizes else "")


def _left_out(plan: Plan) -> str:
    left = [f"{len(plan.skipped)} that were there already"] if plan.skipped else []
    left += [f"{plan.others} files that are no pictures"] if plan.others else []
    return f" Left out: {', '.join(left)}." if left else ""


def _count(number: int) -> str:
    return f"{number} picture{'' if number == 1 else 's'}"
