"""The output of ``cfgtrain checkpoint``, as text of at most 80 columns and as plain types."""

from __future__ import annotations

import shutil
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from cfgtrain.checkpoint.compare import CheckpointDiff
from cfgtrain.checkpoint.describe import Description, State
from cfgtrain.checkpoint.load_report import shortened
from cfgtrain.checkpoint.publish import Written
from cfgtrain.suggestions import printable
from cfgtrain_cli.console import styled
from cfgtrain_cli.numbers import count_text, size_text

WIDTH = 80
MAX_ROWS = 20

_LABEL = 13  # width of the labels of a description
_COLOURS = {State.SOUND: "green", State.DAMAGED: "red", State.UNTRUSTED: "yellow"}


def as_dict(found: Description) -> dict[str, Any]:
    """Return a description as plain types."""
    score = found.best_score
    return {
        **found._asdict(),
        "best_score": score if score is None or isfinite(score) else str(score),
        "parts": [part._asdict() for part in found.parts],
    }


def info_text(found: Description) -> str:
    """Return a description as text."""
    lines = [styled(printable(found.file), bold=True)]
    for label, text in _facts(found):
        wrapped = textwrap.wrap(printable(" ".join(text.split())), WIDTH - _LABEL - 2) or [""]
        for number, line in enumerate(wrapped):
            colour = {"fg": _COLOURS[found.state]} if label == "state" else {}
            lines.append(f"  {(label if number == 0 else ''):{_LABEL}}{styled(line, **colour)}")
    if found.parts:
        lines += ["", *_parts_table(found)]
    return "\n".join(lines)


def _facts(found: Description) -> Iterator[tuple[str, str]]:
    saved = found.time or time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found.modified))
    yield "state", _state(found)
    yield "file", f"{size_text(found.size) if found.size else '0 B'}, {_FORMATS[found.format]}"
    yield ("written by", f"{found.writer}, {saved}") if found.writer else ("saved", saved)
    if found.epoch is not None or found.iteration is not None:
        yield "progress", f"epoch {_known(found.epoch)}, iteration {_known(found.iteration)}"
    if found.best_score is not None:
        name = f"{found.score_name} " if found.score_name else ""
        place = f", in {found.best_checkpoint}" if found.best_checkpoint else ""
        yield "best score", f"{name}{found.best_score:.4f}{place}"
    if found.experiment is not None or found.seed is not None:
        yield "experiment", f"{found.experiment or 'without a name'}, seed {_known(found.seed)}"
    if found.config is not None:
        yield "config", f"{len(found.config.splitlines())} lines; --config prints it"
    if found.classes is not None:
        yield "classes", str(found.classes)
    if found.optimizer is not None:
        yield "optimizer", found.optimizer
    if found.parts:
        yield "resumes", found.resumes
    if found.averages:
        yield "averages", f"EMAHook has saved two versions of {found.averages} weights"


_FORMATS = {
    "torch": "zip file of torch.save",
    "torch (old)": "old format of torch.save, which has no checksums",
    "safetensors": "safetensors, which has no checksums",
    "shards": "folder of torch.distributed.checkpoint",
    "unknown": "unknown format",
}


def _state(found: Description) -> str:
    if found.state is not State.SOUND:
        return f"{found.state}: {found.problem}"
    if found.has_digest:
        return "sound: the content matches the digest"
    if found.format == "torch":
        return "sound: the content matches the checksums; no digest of cfgtrain"
    return "sound, as far as can be known"


def _parts_table(found: Description) -> list[str]:
    rows = [("module", "tensors", "parameters", "buffers", "size", "dtype")]
    parts = found.parts[: MAX_ROWS * 2]
    rows += [
        (
            printable(part.name), str(part.tensors), count_text(part.parameters), count_text(part.buffers),
            size_text(part.size), " ".join(part.dtypes),
        )
        for part in parts
    ]  # fmt: skip
    total = [sum(part[i] for part in found.parts) for i in range(1, 5)]  # type: ignore[misc]  # numbers
    dtypes = list(dict.fromkeys(dtype for part in found.parts for dtype in part.dtypes))
    rows.append(
        (
            "total", str(total[0]), count_text(total[1]), count_text(total[2]), size_text(total[3]),
            " ".join(dtypes),
        )
    )  # fmt: skip
    if len(found.parts) == 1:
        del rows[-1]
    lines = [f"  {line}" for line in aligned(rows, "<>>>><", indent=2)]
    if len(found.parts) > len(parts):
        lines.insert(-1, f"  and {len(found.parts) - len(parts)} more")
    return [styled(lines[0], bold=True), *lines[1:]]


def marks(each: Description, all_of_them: Sequence[Description], folder: Path) -> list[str]:
    """Return what is special about a checkpoint in a folder: ``"best"``, ``"latest"``."""
    name = Path(each.file).name
    newest = max(all_of_them, key=lambda other: other.iteration or -1)
    found = ["best"] if name == newest.best_checkpoint else []
    link = folder / "latest.pth"
    if link.is_symlink() and link.readlink().name == name:
        found.append("latest")
    return found


def list_text(found: Sequence[Description], folder: Path) -> str:
    """Return a row for each checkpoint of a folder."""
    rows = [("file", "epoch", "iter", "score", "size", "saved", "state")]
    for each in found:
        score = "-" if each.best_score is None else f"{each.best_score:.4f}"
        special = ", ".join(marks(each, found, folder))
        rows.append(
            (
                printable(Path(each.file).name), _known(each.epoch), _known(each.iteration), score,
                size_text(each.size), time.strftime("%m-%d %H:%M", time.localtime(each.modified)),
                str(each.state) + (f", {special}" if special else ""),
            )
        )  # fmt: skip
    lines = list(aligned(rows, "<>>>><<"))
    styles = [{"bold": True}] + [
        {} if each.state is State.SOUND else {"fg": _COLOURS[each.state]} for each in found
    ]
    lines = [styled(line, **style) for line, style in zip(lines, styles, strict=True)]
    if any(each.state is not State.SOUND for each in found):
        lines.append("")
    for each in found:
        if each.state is not State.SOUND:
            text = f"{Path(each.file).name}: {each.problem}"
            text = printable(" ".join(text.split()))
            lines.append(textwrap.fill(text, WIDTH, subsequent_indent="  "))
    return "\n".join(lines)


def verified_text(name: str, state: State, problem: str, has_digest: bool) -> str:
    """Return the line of one verified file."""
    if state is State.SOUND:
        how = "" if has_digest else " (without a digest of cfgtrain)"
        return f"{printable(name)}: {styled(str(state), fg=_COLOURS[state])}{how}"
    text = printable(" ".join(f"{name}: {state}: {problem}".split()))
    return styled(textwrap.fill(text, WIDTH, subsequent_indent="  "), fg=_COLOURS[state])


def written_text(written: Written) -> str:
    """Return what was written."""
    lines = [f"Wrote {written.path}: {written.tensors} tensors, {size_text(written.size)}."]
    if written.left_out:
        lines.append(textwrap.fill(f"Left out: {', '.join(written.left_out)}.", WIDTH))
    return printable("\n".join(lines))


def diff_as_dict(a: str, b: str, found: CheckpointDiff) -> dict[str, Any]:
    """Return the differences as plain types."""
    return {
        "a": a,
        "b": b,
        "equal": not found.tensors,
        "equal_tensors": found.equal,
        "tensors": [
            {
                key: str(value) if isinstance(value, float) and not isfinite(value) else value
                for key, value in each
            }
            for each in (each._asdict().items() for each in found.tensors)
        ],
        "meta": [{"key": each.key, "a": _plain(each.old), "b": _plain(each.new)} for each in found.meta],
        "only_in": dict(found.keys),
    }


def diff_text(a: str, b: str, found: CheckpointDiff) -> str:
    """Return the differences as text."""
    total = len(found.tensors) + found.equal
    if found.tensors:
        lines = [f"{len(found.tensors)} of {total} tensors differ between A = {a} and B = {b}."]
        lines = [textwrap.fill(printable(line), WIDTH) for line in lines]
        lines += ["", *_tensor_tables(found)]
    else:
        lines = [textwrap.fill(printable(f"All {total} tensors of {a} and {b} are equal."), WIDTH)]
    if found.keys:
        lines += ["", *(f"Only in {side.upper()}: {printable(key)}" for key, side in found.keys[:MAX_ROWS])]
    if found.meta:
        lines += ["", styled("meta", bold=True)]
        lines += [f"  {line}" for each in found.meta[:MAX_ROWS] for line in _meta_lines(each)]
        if len(found.meta) > MAX_ROWS:
            lines.append(f"  and {len(found.meta) - MAX_ROWS} more")
    return "\n".join(lines)


def _tensor_tables(found: CheckpointDiff) -> Iterator[str]:
    values = sorted(
        (each for each in found.tensors if each.relative is not None),
        key=lambda each: -(each.relative or 0.0),
    )
    others = [each for each in found.tensors if each.relative is None]
    if values:
        rows = [("tensor", "shape", "largest", "relative", "changed")]
        for each in values[:MAX_ROWS]:
            shape = each.old if each.old == each.new else f"{each.old} -> {each.new.rpartition(' ')[2]}"
            numbers = (f"{each.largest:.2e}", f"{each.relative:.2e}", f"{each.changed:.0%}")
            rows.append((printable(each.name), shape, *numbers))
        yield from _with_rest(aligned(rows, "<<>>>"), len(values))
    if others:
        if values:
            yield ""
        pairs = [(printable(each.name), each.old, each.new) for each in others[:MAX_ROWS]]
        yield from _with_rest(aligned([("tensor", "in A", "in B"), *pairs], "<<<"), len(others))


def _with_rest(lines: Iterator[str], number: int) -> Iterator[str]:
    yield styled(next(lines), bold=True)
    yield from lines
    if number > MAX_ROWS:
        yield f"and {number - MAX_ROWS} more"


def _meta_lines(each: Any) -> Iterator[str]:
    old, new = (_shown(value) for value in (each.old, each.new))
    key = printable(shortened(each.key, 40))
    line = f"{key}: {old} -> {new}"
    if len(line) <= WIDTH - 2:
        yield line
    else:
        yield f"{key}:"
        yield f"  {shortened(old, WIDTH - 6)} ->"
        yield f"  {shortened(new, WIDTH - 6)}"


def _shown(value: Any) -> str:
    if isinstance(value, str) and "\n" in value:
        return f"{len(value.splitlines())} lines"
    return printable(" ".join((value if value == "not there" else repr(value)).split()))


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | bool | None) else str(value)


def aligned(rows: Sequence[Sequence[str]], alignment: str, indent: int = 0) -> Iterator[str]:
    """Yield rows in columns; on a terminal, the first column is shortened to fit its width.

    Args:
        rows: Rows of the same length.
        alignment: ``<`` or ``>`` for each column.
        indent: Characters that are written before each line.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if sys.stdout.isatty():
        others = indent + sum(widths[1:]) + 2 * (len(widths) - 1)
        widths[0] = min(widths[0], max(shutil.get_terminal_size().columns - others, 16))
    for row in rows:
        first, *rest = row
        cells = [shortened(first, widths[0]), *rest]
        yield "  ".join(
            f"{cell:{side}{size}}" for cell, side, size in zip(cells, alignment, widths, strict=True)
        ).rstrip()


def _known(value: int | None) -> str:
    return "-" if value is None else str(value)
