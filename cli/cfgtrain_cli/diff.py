"""``cfgtrain diff``: the differences between two configs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from cfgtrain.config.config import Config
from cfgtrain.config.diff import Change, Side, diff
from cfgtrain.config.key_paths import KeyPath, value_at
from cfgtrain.config.provenance.annotate import python_lines
from cfgtrain.exit_codes import ExitCode
from cfgtrain.experiment.work_dir import find_config
from cfgtrain.fileio.io import dump
from cfgtrain.origin import Origin, dotted
from cfgtrain_cli.console import echo, styled
from cfgtrain_cli.loading import load_config
from cfgtrain_cli.options import Compat

# The most characters for an old and a new value on one line, and for the column before the origins.
WIDTH = 60

_COLOURS = {"+": "green", "-": "red", "~": "yellow"}


def diff_configs(
    a: Annotated[
        Path, typer.Argument(metavar="A", help="Config file or work directory.", show_default=False)
    ],
    b: Annotated[
        Path,
        typer.Argument(
            metavar="B", help="Config file or work directory to compare it with.", show_default=False
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the differences as JSON.")] = False,
    compat: Compat = None,
) -> None:
    """Compare two configs, or the merged configs of two work directories.

    Exit codes: 0 if they are equal, 1 if they differ, 2 if one of them is invalid.
    """
    files = [find_config(path) if path.is_dir() else path for path in (a, b)]
    old, new = (load_config(file, None, warn=False) for file in files)
    changes = diff(old, new)
    if as_json:
        echo(_json(files, changes))
    else:
        echo("\n".join(_text(files, changes, new)))
    if changes:
        raise typer.Exit(ExitCode.FAILED)


def _json(files: list[Path], changes: list[Change]) -> str:
    def side(side: Side | None) -> dict[str, Any] | None:
        if side is None:
            return None
        value = Config({"value": side.value}).to_dict()["value"]
        place = side.origin._asdict() if side.origin else dict.fromkeys(Origin._fields)
        return {"key": dotted(side.path), "value": value, **place}

    entries = [{"kind": each.kind, "old": side(each.old), "new": side(each.new)} for each in changes]
    content = {"a": str(files[0]), "b": str(files[1]), "equal": not changes, "changes": entries}
    return str(dump(content, file_format="json", indent=4, ensure_ascii=False, default=repr))


def _text(files: list[Path], changes: list[Change], new: Config) -> Iterator[str]:
    if not changes:
        yield f"{files[0]} and {files[1]} are equal."
        return
    yield styled(f"--- {files[0]}", fg="red")
    yield styled(f"+++ {files[1]}", fg="green")
    groups = _grouped(changes)
    rows = {path: [row for change in group for row in _rows(change)] for path, group in groups.items()}
    texts = [_indent(path) + row.text for path, group in rows.items() for row in group if row.places]
    column = max((len(text) for text in texts if len(text) <= WIDTH), default=0)
    for path, group in rows.items():
        yield ""
        if path:
            yield styled(dotted(path), bold=True) + styled(_note(groups[path], path, new), dim=True)
        for mark, text, places in group:
            gap = " " * max(column - len(_indent(path) + text) + 2, 2)
            line = _indent(path) + styled(f"{mark} {text}", fg=_COLOURS[mark])
            yield f"{line}{gap}{styled(places, fg='cyan')}" if places else line
    yield ""
    counts = [
        (kind, sum(change.kind == kind for change in changes)) for kind in ("added", "removed", "changed")
    ]
    yield ", ".join(f"{count} {kind}" for kind, count in counts if count) + "."


def _indent(path: KeyPath) -> str:
    return "  " if path else ""


def _grouped(changes: list[Change]) -> dict[KeyPath, list[Change]]:
    """Group the changes by the dict or list that contains them, outer ones first."""
    groups: dict[KeyPath, list[Change]] = {}
    order: dict[KeyPath, int] = {}
    for change in changes:
        path = change.side.path[:-1]
        groups.setdefault(path, []).append(change)
        for end in range(len(path) + 1):
            order.setdefault(path[:end], len(order))
    ordered = sorted(groups, key=lambda path: [order[path[:end]] for end in range(len(path) + 1)])
    return {path: groups[path] for path in ordered}


class _Row(NamedTuple):
    mark: str
    text: str
    places: str


def _rows(change: Change) -> Iterator[_Row]:
    old, new = change.old, change.new
    if old is not None and new is not None:
        texts = [python_lines(side.value) for side in (old, new)]
        name = _name(new)
        if all(len(lines) == 1 for lines in texts) and sum(len(lines[0]) for lines in texts) <= WIDTH:
            places = dict.fromkeys(str(side.origin) for side in (old, new) if side.origin)
            yield _Row("~", f"{name}{texts[0][0]} -> {texts[1][0]}", " -> ".join(places))
            return
    for mark, side in (("-", old), ("+", new)):
        if side is not None:
            first, *rest = python_lines(side.value)
            yield _Row(mark, _name(side) + first, str(side.origin or ""))
            yield from (_Row(mark, line, "") for line in rest)


def _name(side: Side) -> str:
    key = side.path[-1]
    return f"[{key}] = " if isinstance(key, int) else f"{key} = "


def _note(group: list[Change], path: KeyPath, new: Config) -> str:
    """Return the type of a list item, and its previous position if that changed."""
    item = value_at(new._cfg_dict, path) if isinstance(path[-1], int) else None
    notes = [str(item["type"])] if isinstance(item, Mapping) and "type" in item else []
    before = next((change.old.path[:-1] for change in group if change.old and change.new), path)
    if before != path:
        notes.append(f"was {dotted(before)}")
    return f"  {', '.join(notes)}" if notes else ""
