"""``cfgtrain compare``: the results and settings of training runs, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from cfgtrain.config.config import Config
from cfgtrain.config.provenance.annotate import python_lines
from cfgtrain.experiment.comparison import NOT_SET, Setting, differing_settings
from cfgtrain.experiment.history import Point, Run
from cfgtrain.fileio.io import dump
from cfgtrain.score_order import COMPARE
from cfgtrain.suggestions import printable
from cfgtrain_cli.console import echo, styled
from cfgtrain_cli.runs import WorkDirs, place_text, read_runs, warn

if TYPE_CHECKING:
    from rich.console import Console

MAX_COLUMNS = 4  # runs that are columns; more runs are rows
MAX_VALUE = 200  # characters of a setting; --json has all
GAP = 2
NOTHING = "-"


class Row(NamedTuple):
    """One line of the comparison: a name and a text for each run."""

    name: str
    cells: list[str]


def compare(
    work_dirs: WorkDirs,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Compare the scores, lengths and settings of runs.

    The best value of a row is marked with *. Of the settings, those are shown in which the runs differ.
    """
    runs = read_runs(work_dirs)
    if len(runs) > 1:
        warn([run.config_problem for run in runs.values() if run.config_problem])
    settings = differing_settings([run.config for run in runs.values() if run.config is not None])
    if as_json:
        echo(_json(runs, settings))
        return
    sections = {
        "scores": list(_score_rows(runs)),
        "run": list(_run_rows(runs)),
        "settings that differ": list(_setting_rows(runs, settings)),
    }
    _print(list(runs), sections)
    configs = sum(run.config is not None for run in runs.values())
    if configs > 1 and not settings:
        echo("\nThe settings of the runs are equal.")


def _score_rows(runs: Mapping[str, Run]) -> Iterator[Row]:
    for key in dict.fromkeys(key for run in runs.values() for key in run.scores()):
        best = [run.best(key) for run in runs.values()]
        last = [next(reversed(run.points("val", key)), None) for run in runs.values()]
        rule = next((run.rule(key) for run in runs.values() if run.rule(key)), None)
        if any(best):
            marks = _marks([None if each is None else each.value for each in best], rule)
            yield Row(f"{key}, best", [_scored(each) + mark for each, mark in zip(best, marks, strict=True)])
        yield Row(f"{key}, last", [_scored(each) for each in last])
    for key in dict.fromkeys(key for run in runs.values() for key in run.test_scores):
        values = [run.test_scores.get(key) for run in runs.values()]
        rule = next((run.rule(key) for run in runs.values() if run.rule(key)), None)
        marks = _marks(values, rule)
        yield Row(f"{key}, test", [_number(each) + mark for each, mark in zip(values, marks, strict=True)])


def _marks(values: Sequence[float | None], rule: str | None) -> list[str]:
    """Return " *" for the best of two or more values, else ""."""
    known = [value for value in values if value is not None and isfinite(value)]
    if rule is None or len(known) < 2 or len(set(known)) == 1:
        return [""] * len(values)
    best = max(known) if COMPARE[rule](1, 0) else min(known)
    return [" *" if value == best else "" for value in values]


def _scored(point: Point | None) -> str:
    return NOTHING if point is None else f"{_number(point.value)} {place_text(point)}"


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 else f"{value:.4g}"


def _run_rows(runs: Mapping[str, Run]) -> Iterator[Row]:
    each = runs.values()
    yield Row("state", [_state(run) for run in each])
    if any(run.epochs is not None for run in each):
        yield Row("epochs", [_of(run, "epochs", run.epochs) for run in each])
    yield Row("iterations", [_of(run, "iterations", run.iters) for run in each])
    if any(len(run.starts) > 1 for run in each):
        yield Row("starts", [str(len(run.starts)) for run in each])
    yield Row("time", [NOTHING if run.seconds is None else _duration(run.seconds) for run in each])
    yield Row("seed", [str(run.meta.get("seed", NOTHING)) for run in each])
    yield Row("version", [_version(run) or NOTHING for run in each])


def _state(run: Run) -> str:
    if run.state == "unknown":
        return "the log has no end"
    return (
        run.state if run.state in ("finished", "running") or not run.reason else f"{run.state}: {run.reason}"
    )


def _of(run: Run, unit: str, done: float | None) -> str:
    if done is None:
        return NOTHING
    text = f"{round(done, 2):,.15g}"
    return f"{text} of {run.length[0]:,}" if run.length is not None and run.length[1] == unit else text


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _version(run: Run) -> str:
    """Return the program that wrote the logs, with its version if it is known."""
    if "cfgtrain_version" in run.meta:
        return f"cfgtrain {run.meta['cfgtrain_version']}"
    info = str(run.meta.get("env_info", "")).splitlines()
    parts = [line.replace(":", "", 1) for line in info if line.startswith(("MMCV:", "PyTorch:"))]
    return ", ".join(reversed(parts))


def _setting_rows(runs: Mapping[str, Run], settings: Sequence[Setting]) -> Iterator[Row]:
    for setting in settings:
        values = iter(setting.values)
        yield Row(
            setting.key,
            ["no config" if run.config is None else _setting(next(values)) for run in runs.values()],
        )


def _setting(value: Any) -> str:
    if value is NOT_SET:
        return repr(NOT_SET)
    text = " ".join(line.strip() for line in python_lines(value))
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]} ..."


def _print(labels: list[str], sections: Mapping[str, list[Row]]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    shown = {title: rows for title, rows in sections.items() if rows}
    if len(labels) <= MAX_COLUMNS:
        _print_table(console, ["", *labels], _with_titles(shown))
        return
    for title, rows in shown.items():
        if title != next(iter(shown)):
            echo("")
        echo(styled(title, bold=True))
        for number, group in enumerate(_fitting(rows, console.width - GAP - max(map(len, labels)))):
            if number:
                echo("")
            cells = [[label, *(row.cells[i] for row in group)] for i, label in enumerate(labels)]
            _print_table(console, ["", *(row.name for row in group)], cells)


def _with_titles(sections: Mapping[str, list[Row]]) -> list[list[str]]:
    """Return the rows of the sections below their titles; a title is a row of one cell."""
    return [
        line
        for title, rows in sections.items()
        for line in ([title], *([f"  {row.name}", *row.cells] for row in rows))
    ]


def _fitting(rows: Sequence[Row], width: int) -> Iterator[list[Row]]:
    """Divide rows that become columns into groups that fit into a width, if one alone does."""
    group: list[Row] = []
    used = 0
    for row in rows:
        own = GAP + min(max(map(len, (row.name, *row.cells))), width - GAP)
        if group and used + own > width:
            yield group
            group, used = [], 0
        group.append(row)
        used += own
    yield group


def _print_table(console: Console, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table within the width of the terminal; texts that are too long are wrapped."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for number, name in enumerate(header):
        table.add_column(Text(printable(name)), overflow="fold", min_width=4, style="" if number else "dim")
    for row in rows:
        is_title = len(row) == 1
        cells = [Text(printable(each), "not dim bold" if is_title else "") for each in row]
        table.add_row(*cells, style="")
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        echo(line.rstrip())


def _json(runs: Mapping[str, Run], settings: Sequence[Setting]) -> str:
    """Return the comparison as JSON; a value that is not finite is null."""
    with_config = [label for label, run in runs.items() if run.config is not None]
    content = {
        "runs": [_run_content(label, run) for label, run in runs.items()],
        "settings": [
            {
                "key": setting.key,
                "values": {
                    label: Config({"value": value}).to_dict()["value"]
                    for label, value in zip(with_config, setting.values, strict=True)
                    if value is not NOT_SET
                },
            }
            for setting in settings
        ],
    }
    return str(dump(content, file_format="json", indent=2, ensure_ascii=False, default=repr))


def _run_content(label: str, run: Run) -> dict[str, Any]:
    def place(point: Point | None) -> dict[str, Any] | None:
        return None if point is None else {**point._asdict(), "value": _finite(point.value)}

    return {
        "label": label,
        "work_dir": str(run.work_dir),
        "state": run.state,
        "reason": run.reason,
        "epochs": run.epochs,
        "iterations": run.iters,
        "length": None if run.length is None else {run.length[1]: run.length[0]},
        "starts": len(run.starts),
        "seconds": run.seconds,
        "seed": run.meta["seed"] if isinstance(run.meta.get("seed"), int) else None,
        "version": _version(run),
        "scores": {
            key: {
                "rule": run.rule(key),
                "best": place(run.best(key)),
                "last": place(run.points("val", key)[-1]),
            }
            for key in run.scores()
        },
        "test": {key: _finite(value) for key, value in run.test_scores.items()},
    }


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None
