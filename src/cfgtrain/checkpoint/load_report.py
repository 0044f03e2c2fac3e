"""The report of what fitted when weights were loaded into a model."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from cfgtrain.suggestions import printable

__all__ = ["LoadReport", "Mismatch", "make_report"]

WIDTH = 78
MAX_ROWS = 20

Shape = tuple[int, ...]


class Mismatch(NamedTuple):
    """A name that does not match.

    Attributes:
        name: The name.
        model: Shape of the tensor in the model, or None if it is not there.
        file: Shape of the tensor in the file, or None if it is not there or not a tensor.
    """

    name: str
    model: Shape | None
    file: Shape | None


class LoadReport(NamedTuple):
    """What fitted.

    Attributes:
        total: Number of tensors in the model.
        mismatches: The names that do not match.
        problems: Other errors, as text.
        renames: Pairs of prefixes: if names of the file that begin with the first began with the second, more
            tensors would fit.
        gains: How many more, for each pair.
        rows: The lines of the table.
        revise_keys: What the names of the file were revised with.
    """

    total: int
    mismatches: list[Mismatch]
    problems: list[str]
    renames: list[tuple[str, str]]
    gains: list[int]
    rows: list[tuple[str, str, str]]
    revise_keys: Sequence[tuple[str, str]]

    @property
    def loaded(self) -> int:
        """Number of tensors that were loaded."""
        return self.total - self.initialized

    @property
    def initialized(self) -> int:
        """Number of tensors of the model that were not loaded."""
        return min(sum(each.model is not None for each in self.mismatches) + len(self.problems), self.total)

    @property
    def is_complete(self) -> bool:
        """Whether everything in the file and in the model matched."""
        return not self.mismatches and not self.problems

    def __str__(self) -> str:
        if self.is_complete:
            return f"All {self.total} tensors loaded."
        left, unused = self.initialized, sum(each.model is None for each in self.mismatches)
        parts = [f"{left} left as initialized"] if left else []
        parts += [f"{unused} of the file not used"] if unused else []
        head = f"{self.loaded} of {self.total} tensors loaded; {', '.join(parts)}:"
        return printable("\n".join([head, *_table(self.rows), *_wrapped(self.problems), *self._hints()]))

    def _hints(self) -> Iterator[str]:
        for (old, new), gain in zip(self.renames, self.gains, strict=True):
            change = (
                f"without {old!r} at the beginning of the names" if not new
                else f"with {new!r} before the names" if not old
                else f"with {new!r} in place of {old!r} in the names"
            )  # fmt: skip
            yield f"{gain} more would fit {change}:"
            keys = [*self.revise_keys, (f"^{re.escape(old)}", new)]
            yield f"  load_checkpoint(..., revise_keys=[{', '.join(map(_pair, keys))}])"
            # The command has the names of the file, before the revision.
            before = [_prefixes_of(pair) for pair in self.revise_keys]
            if None not in before:
                options = " ".join(f"--rename {a}={b}" for a, b in [*filter(None, before), (old, new)])
                yield f"  cfgtrain checkpoint strip FILE -o NEW_FILE {options}"


def make_report(
    model: Mapping[str, Shape],
    file: Mapping[str, Shape],
    mismatches: list[Mismatch],
    problems: list[str],
    revise_keys: Sequence[tuple[str, str]] = (),
) -> LoadReport:
    """Return a report.

    Args:
        model: Shapes of the tensors in the model, by name.
        file: Shapes of the tensors in the file, by name.
        mismatches: The names that do not match.
        problems: Other errors, as text.
        revise_keys: What the names of the file were revised with.
    """
    renames = _find_renames(
        {each.name: each.model for each in mismatches if each.model is not None and each.file is None},
        {each.name: each.file for each in mismatches if each.model is None and each.file is not None},
    )
    rows = [(each.name, _shape(each.model), _shape(each.file)) for each in mismatches]
    if len(rows) > MAX_ROWS:
        rows = _folded(mismatches, [*model, *file])
    pairs, gains = [pair for pair, _ in renames], [gain for _, gain in renames]
    return LoadReport(len(model), mismatches, problems, pairs, gains, rows, revise_keys)


def _table(rows: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    """Yield the lines of a table that is at most ``WIDTH`` wide."""
    if not rows:
        return
    shown = [("tensor", "in the model", "in the file"), *rows[:MAX_ROWS]]
    middle, right = (max(len(row[i]) for row in shown) for i in (1, 2))
    left = min(max(len(row[0]) for row in shown), max(WIDTH - 6 - middle - right, 20))
    for name, *cells in shown:
        yield f"  {shortened(name, left):{left}}  {cells[0]:{middle}}  {cells[1]}".rstrip()
    if len(rows) > MAX_ROWS:
        yield f"  and {len(rows) - MAX_ROWS} more"


def _wrapped(problems: Sequence[str]) -> Iterator[str]:
    for each in problems:
        yield textwrap.fill(" ".join(each.split()), WIDTH, initial_indent="  ", subsequent_indent="    ")


def shortened(text: str, width: int) -> str:
    """Return a text without its middle if it is longer than ``width``."""
    if len(text) <= width:
        return text
    end = (width - 3) * 2 // 3
    return f"{text[: width - 3 - end]}...{text[-end:]}"


def _shape(shape: Shape | None) -> str:
    return "not there" if shape is None else str(shape) if shape else "() a number"


def _folded(mismatches: list[Mismatch], names: list[str]) -> list[tuple[str, str, str]]:
    """Return rows in which the tensors of a module that is missing as a whole are one row."""
    kinds = {each.name: _kind(each) for each in mismatches}
    of_prefix: dict[str, set[str]] = {}
    for name in names:
        for prefix in _prefixes(name):
            of_prefix.setdefault(prefix, set()).add(kinds.get(name, "matches"))
    counts: Counter[tuple[str, str]] = Counter()
    rows: dict[str, tuple[str, str, str]] = {}
    for each in mismatches:
        kind = kinds[each.name]
        whole = next((prefix for prefix in _prefixes(each.name) if of_prefix.get(prefix) == {kind}), None)
        if whole is None or kind == "differs":
            rows[each.name] = (each.name, _shape(each.model), _shape(each.file))
            continue
        counts[whole, kind] += 1
        number = f"{counts[whole, kind]} tensor{'s' * (counts[whole, kind] > 1)}"
        cells = (number, "not there") if kind == "missing" else ("not there", number)
        rows[f"{whole}*"] = (f"{whole}*", *cells)
    return list(rows.values())


def _kind(each: Mismatch) -> str:
    return "unused" if each.model is None else "missing" if each.file is None else "differs"


def _prefixes(name: str) -> list[str]:
    """Return the names of the modules that contain a tensor, with a dot, the outermost first."""
    if name.startswith("ema_"):  # the averages of EMAHook, which have no dots
        return ["ema_"]
    parts = name.split(".")
    return [".".join(parts[:end]) + "." for end in range(1, len(parts))]


def _find_renames(missing: dict[str, Shape], unused: dict[str, Shape]) -> list[tuple[tuple[str, str], int]]:
    """Return up to three pairs of prefixes (in the file, in the model) that would make names match."""
    found: list[tuple[tuple[str, str], int]] = []
    missing, unused = dict(missing), dict(unused)
    while missing and unused and len(found) < 3:
        ends: dict[str, list[str]] = {}
        for name in missing:
            for end in _ends(name):
                ends.setdefault(end, []).append(name)
        counts: Counter[tuple[str, str]] = Counter()
        for name, shape in unused.items():
            common = next((end for end in _ends(name) if end in ends), "")
            for other in ends.get(common, ()):
                if missing[other] == shape:
                    counts[name[: len(name) - len(common)], other[: len(other) - len(common)]] += 1
        if not counts:
            break
        (old, new), _ = counts.most_common(1)[0]
        pairs = {name: new + name[len(old) :] for name in unused if name.startswith(old)}
        fitting = {name: other for name, other in pairs.items() if missing.get(other) == unused[name]}
        if len(fitting) < 2 and len(fitting) < len(unused):
            break
        found.append(((old, new), len(fitting)))
        for name, other in fitting.items():
            del unused[name], missing[other]
    return found


def _ends(name: str) -> list[str]:
    """Return a name without none, one, two, ... of the modules that contain it."""
    parts = name.split(".")
    return [".".join(parts[start:]) for start in range(len(parts))]


def _prefixes_of(pair: tuple[str, str]) -> tuple[str, str] | None:
    """Return the two prefixes of a revision that replaces one by the other; None if it does something else."""
    pattern, replacement = pair
    found = re.fullmatch(r"\^((?:\w|\\\W)+)", pattern)
    return None if found is None or "\\" in replacement else (re.sub(r"\\(\W)", r"\1", found[1]), replacement)


def _pair(pair: tuple[str, str]) -> str:
    old, new = pair
    return f"(r'{old}', {new!r})" if "\\" in old and "'" not in old else f"({old!r}, {new!r})"
