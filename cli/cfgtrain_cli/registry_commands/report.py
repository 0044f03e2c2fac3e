"""Registries as text: coloured and fitted to a terminal, or plain and complete in a pipe."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.syntax import Syntax

from cfgtrain.introspection.signatures import short_repr
from cfgtrain.registry.registry import Registry
from cfgtrain_cli.columns import print_columns
from cfgtrain_cli.console import echo
from cfgtrain_cli.registry_commands.catalog import Entry, annotation
from cfgtrain_cli.registry_commands.snippet import snippet


def print_registries(found: Sequence[Registry]) -> None:
    """Print a line for each registry: its name, scope, number of names, and names, wrapped on a terminal."""
    rows = [(each.name, each.scope, str(len(each)), ", ".join(sorted(each))) for each in found]
    print_columns(rows, ("bold", "dim", "cyan", ""), wrap=True)


def print_entries(entries: Sequence[Entry]) -> None:
    """Print a line for each entry: its name, its registry if there are several, and its summary."""
    several = len({entry.registry.name for entry in entries if entry.registry}) > 1
    rows = [
        (
            entry.name,
            *([entry.registry.name] if several and entry.registry else []),
            entry.summary or entry.path,
        )
        for entry in entries
    ]
    print_columns(rows, ("bold", *(["dim"] if several else []), ""))


def print_details(entries: Sequence[Entry]) -> None:
    """Print the signature, documentation, source and config snippet of each entry."""
    console = Console()
    if not console.is_terminal:
        echo("\n\n".join(_details(entry) for entry in entries))
        return
    for entry in entries:
        console.rule(
            f"[bold]{escape(entry.name)}[/]  [dim]{escape(_origin(entry))}[/]", align="left", style="dim"
        )
        console.print(_code(_call(entry)))
        console.print(f"\n{entry.documentation or '(no documentation)'}", markup=False, highlight=False)
        console.print(
            f"\n[dim]{escape(_where(entry))}[/]\n[bold]In a config[/]", soft_wrap=True, highlight=False
        )
        console.print(_code(snippet(entry)))


def _details(entry: Entry) -> str:
    parts = (
        f"{entry.name}  {_origin(entry)}",
        _call(entry),
        entry.documentation,
        _where(entry),
        snippet(entry),
    )
    return "\n\n".join(filter(None, parts))


def _origin(entry: Entry) -> str:
    if entry.registry is None:
        return "import path"
    return f"{entry.registry.name} registry, scope {entry.registry.scope}"


def _where(entry: Entry) -> str:
    return f"{entry.path}\n{entry.place}".rstrip()


def _call(entry: Entry) -> str:
    """Return the signature, on one line or with one argument per line."""
    parameters = entry.parameters
    name = entry.path.rpartition(".")[2]
    if parameters is None:
        return f"{name}(...)"
    words = []
    for each in parameters.names:
        kind = annotation(parameters, each)
        equals = " = " if kind else "="
        default = f"{equals}{short_repr(parameters.defaults[each])}" if each in parameters.defaults else ""
        words.append(f"{each}: {kind}{default}" if kind else f"{each}{default}")
    words += ["**kwargs"] if parameters.open_ended else []
    line = f"{name}({', '.join(words)})"
    return line if len(line) <= 79 else "\n    ".join([f"{name}(", *(f"{word}," for word in words)]) + "\n)"


def _code(text: str) -> Syntax:
    return Syntax(text, "python", theme="ansi_dark", background_color="default", word_wrap=True)
