"""The origins of values, as text: ``print-config --origin`` and ``--why``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from cfgtrain.config.config import Config
from cfgtrain.config.dict import DELETE
from cfgtrain.config.key_paths import UNKNOWN, KeyPath, value_at
from cfgtrain.config.provenance.annotate import WIDTH, annotated, one_line
from cfgtrain.config.provenance.dependencies import StaleValue, leaves
from cfgtrain.config.provenance.explain import Explanation, Step, explain
from cfgtrain.config.provenance.file_source import Dependency
from cfgtrain.fileio.io import dump
from cfgtrain.origin import Origin, dotted
from cfgtrain_cli.console import styled

# The most characters of a value, and of a quoted line of a config.
VALUE, TEXT = 36, 64


def config_with_origins(cfg: Config, path: KeyPath) -> str:
    """Return a config, or a part of it, as Python with the origin of every value beside it."""
    lines = list(annotated(cfg, path))
    width = max((len(line.text) for line in lines if line.origin and len(line.text) <= WIDTH), default=0)
    return "\n".join(
        line.text
        if line.origin is None
        else f"{line.text.ljust(width)}  {_place(line.origin, cfg.filename, '# ')}"
        for line in lines
    )


def origins_as_json(cfg: Config, path: KeyPath) -> str:
    """Return every value and its origin as JSON, by dotted key."""
    plain = Config({"value": value_at(cfg._cfg_dict, path)}).to_dict()["value"]
    entries = {}
    for leaf in leaves(plain, path):
        origin = cfg.origin(leaf)
        place = origin._asdict() if origin else dict.fromkeys(Origin._fields)
        entries[dotted(leaf)] = {"value": value_at(plain, leaf[len(path) :]), **place}
    return str(dump(entries, file_format="json", indent=4, ensure_ascii=False, default=repr))


def why(cfg: Config, key: str) -> str:
    """Explain one value: what set it, what it replaced, and which changes do not affect it."""
    explanation = explain(cfg, key)
    name = dotted(explanation.path)
    rows = [*_step_rows(explanation), *_stale_rows(explanation)]
    lines = [f"{styled(name, bold=True)} = {styled(one_line(explanation.value, TEXT), bold=True)}"]
    if explanation.value is UNKNOWN:
        lines = [f"{styled(name, bold=True)} is no longer in the config."]
    if rows:
        lines += ["", *_table(rows, cfg.filename)]
    else:
        lines += ["", "Its origin is unknown."]
    return "\n".join([*lines, *_advice(explanation)])


class _Row(NamedTuple):
    words: str
    origin: Origin | None
    style: Mapping[str, Any] = {}


# The style of the last step, by whether it set the value.
_LAST: dict[bool, Mapping[str, Any]] = {True: {"fg": "green"}, False: {"fg": "red", "bold": True}}


def _step_rows(explanation: Explanation) -> Iterator[_Row]:
    last = len(explanation.steps) - 1
    for i, step in enumerate(explanation.steps):
        style = _LAST[step.dropped is None] if i == last else {"dim": True}
        yield _Row(
            _what(step, first=i == 0 or explanation.steps[i - 1].dropped is not None), step.origin, style
        )
        yield from _use_rows(step.uses, "  ")


def _what(step: Step, first: bool) -> str:
    if step.dropped is not None:
        return f"removed with {dotted(step.dropped) or 'everything inherited'}"
    value = "" if step.value is UNKNOWN else f" {_value(step.value)}"
    merged = isinstance(step.value, Mapping) and not step.value.get(DELETE)
    return f"set to{value}" if first else f"{'merged with' if merged else 'replaced by'}{value}"


def _use_rows(uses: tuple[Dependency, ...], indent: str) -> Iterator[_Row]:
    for use in uses:
        name = f"{{{{ _base_.{dotted(use.path)} }}}}" if use.inherited else dotted(use.path)
        if name.startswith("$"):
            name = f"the environment variable {name[1:]}"
        value = "" if use.value is UNKNOWN else f" = {_value(use.value)}"
        yield _Row(f"{indent}computed from {name}{value}", use.origin)
        yield from _use_rows(use.uses, f"{indent}  ")


def _stale_rows(explanation: Explanation) -> Iterator[_Row]:
    style = {"fg": "red", "bold": True}
    for stale in _first_of_each(explanation.stale_values):
        yield _Row(f"NOT updated by {_setting(stale)}", stale.overrider, style)
    for stale in explanation.stale_dependents:
        yield _Row(f"does NOT update {dotted(stale.key)}", stale.source.origin(stale.key), style)


def _first_of_each(stale_values: list[StaleValue]) -> list[StaleValue]:
    return list({(stale.variable, stale.overrider): stale for stale in reversed(stale_values)}.values())[::-1]


def _setting(stale: StaleValue) -> str:
    if stale.now is UNKNOWN:  # a dict or list replaced as a whole, or an item that the new one does not have
        return f"the new {dotted(stale.variable if stale.was is UNKNOWN else stale.variable[:1])}"
    return f"{dotted(stale.variable)} = {_value(stale.now)}"


def _table(rows: list[_Row], own: str | None) -> Iterator[str]:
    """Yield the rows as aligned columns of text, origin and quoted line."""
    first = max(len(row.words) for row in rows)
    second = (
        max(len(str(row.origin)) for row in rows if row.origin and row.origin.file)
        if any(row.origin and row.origin.file for row in rows)
        else 0
    )
    for words, origin, style in rows:
        if origin is None:
            yield f"  {styled(words, **style)}"
            continue
        text = "" if origin.file is None else _cut(origin.text)
        place = _place(origin, own) + " " * (second - len(str(origin)))
        yield f"  {styled(words, **style)}{' ' * (first - len(words))}  {place}  {styled(text, dim=True)}".rstrip()


def _advice(explanation: Explanation) -> Iterator[str]:
    stale, left = _first_of_each(explanation.stale_values), explanation.stale_dependents
    if stale:
        key = dotted(stale[0].key)
        said = " and ".join(map(_setting, stale))
        was = "was" if len(stale) == 1 else "were"
        yield ""
        yield f"{key} was computed before {said} {was} set, and was not updated. To change it, set {key} itself."
    if left:
        key = dotted(left[0].key)
        yield ""
        yield (
            f"{key} was computed from the old value and is still {_value(left[0].value)}. To change it, set {key} itself."
            if len(left) == 1
            else "These values were computed from the old value and were not updated. To change them, set them directly."
        )


def _place(origin: Origin, own: str | None, mark: str = "") -> str:
    """Return an origin, coloured by whether it is this file, a base or a word of the command line."""
    text = mark + str(origin).replace("\n", "\\n")
    if origin.file is None:
        return styled(text, fg="magenta", bold=True)
    return styled(text, fg="green" if origin.file == own else "cyan")


def _value(value: object) -> str:
    return one_line(value, VALUE)


def _cut(text: str) -> str:
    return text if len(text) <= TEXT else text[: TEXT - 3] + "..."
