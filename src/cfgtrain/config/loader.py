"""Read one config file and its bases into one merged tree.

The way of a file: text -> ``{{ }}`` -> bases, depth first -> parse or run -> merge over
the bases. A Python config is compiled under its real path and run in a fresh namespace:
tracebacks are right, nothing is copied, ``sys.path`` stays as it is and threads do not
disturb each other. YAML and JSON never run code.
"""

from __future__ import annotations

import ast
import inspect
import json
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

import yaml

from cfgtrain.config import templates
from cfgtrain.config.dict import ConfigDict, traced
from cfgtrain.config.merge import merge
from cfgtrain.config.sources import FileSource, MarkedSource, PythonSource
from cfgtrain.errors import (
    ConfigCycleError,
    ConfigFormatError,
    ConfigKeyError,
    ConfigMergeError,
    ConfigNotFoundError,
    ConfigSyntaxError,
    close_names,
    suggest,
)
from cfgtrain.fileio.handlers import SafeLoader
from cfgtrain.origin import where

SUFFIXES = (".py", ".json", ".yaml", ".yml")
BASE = "_base_"


class Loaded(NamedTuple):
    """A config file merged over its bases.

    Attributes:
        tree: The merged values, traced.
        text: The texts of all files, bases first, each after a line with its path.
    """

    tree: ConfigDict
    text: str


class _Parsed(NamedTuple):
    """One file alone: its values, the names of its bases and what can find its lines."""

    values: dict[Any, Any]
    source: FileSource


def load_file(file: str | Path, use_predefined_variables: bool = True) -> Loaded:
    """Read a config file and its bases.

    Args:
        file: Path of a ``.py``, ``.json``, ``.yaml`` or ``.yml`` file; ``~`` is expanded.
        use_predefined_variables: Whether ``{{ fileDirname }}`` and its kin are replaced.

    Raises:
        ConfigError: One of its kinds: not found, unknown format, syntax, cycle, merge, key.
    """
    return _Reader(use_predefined_variables).load(str(file), ())


def load_text(text: str, suffix: str) -> Loaded:
    """Read a config from a string; a relative ``_base_`` starts at the current folder."""
    if suffix not in SUFFIXES:
        raise ConfigFormatError(f"A config is one of {', '.join(SUFFIXES)}, not {suffix!r}.")
    file = Path.cwd() / f"<string>{suffix}"
    return _Reader(True).merged(text, file, "<string>", (str(file),))


class _Reader:
    def __init__(self, use_predefined_variables: bool) -> None:
        self.use_predefined_variables = use_predefined_variables

    def load(self, name: str, chain: tuple[str, ...]) -> Loaded:
        """Read ``name``; ``chain`` holds the absolute paths of the files that led here."""
        file = Path(name).expanduser().absolute()
        _check_file(file, name)
        try:
            text = file.read_text(encoding="utf-8-sig")  # without the mark that some editors put first
        except UnicodeDecodeError as error:
            raise ConfigSyntaxError(f"The config is no UTF-8 text: {error}.", file=name) from error
        return self.merged(text, file, name, (*chain, str(file)))

    def merged(self, text: str, file: Path, shown: str, chain: tuple[str, ...]) -> Loaded:
        """Return the config in ``text`` merged over its bases; ``shown`` is how people know the file."""
        filled = templates.fill_file_variables(text, file) if self.use_predefined_variables else text
        hidden, references = templates.hide_references(filled, file.suffix)
        read = _read_python if file.suffix == ".py" else _read_data
        parsed, bases = read(self, hidden, references, text, file, shown, chain)
        own = traced(parsed.values, parsed.source)
        tree = merge(_joined(bases), own)
        return Loaded(tree, "\n".join([*(base.text for base in bases), f"{file}\n{text}"]))

    def bases(
        self, names: object, file: Path, shown: str, line: int | None, chain: tuple[str, ...]
    ) -> list[Loaded]:
        """Read the files that ``_base_`` of ``file`` names, in order."""
        listed = names if isinstance(names, (list, tuple)) else [names]
        if not all(isinstance(name, (str, Path)) for name in listed):
            raise ConfigMergeError(
                f"{BASE} names a config or a list of them, not {names!r}.", file=shown, line=line, key=BASE
            )
        return [self._base(str(name), file, shown, line, chain) for name in listed]

    def _base(self, name: str, file: Path, shown: str, line: int | None, chain: tuple[str, ...]) -> Loaded:
        target = _normal(file.parent / Path(name).expanduser())
        if str(target) in chain:
            circle = " -> ".join(
                _shown_path(Path(f)) for f in [*chain[chain.index(str(target)) :], str(target)]
            )
            raise ConfigCycleError(
                f"The configs inherit from each other in a circle: {circle}.", file=shown, line=line, key=BASE
            )
        if not target.is_file():
            hint = _near(target)
            raise ConfigNotFoundError(
                f"The base config {name!r} is not there; it would be {target}.{hint}",
                file=shown,
                line=line,
                key=BASE,
            )
        return self.load(_shown_path(target), chain)


def _read_python(
    reader: _Reader,
    code: str,
    references: dict[str, str],
    text: str,
    file: Path,
    shown: str,
    chain: tuple[str, ...],
) -> tuple[_Parsed, list[Loaded]]:
    tree = _parse_python(code, shown) if BASE in code or references else None
    named = _literal_bases(tree) if tree is not None else None
    bases = reader.bases(named[0], file, shown, named[1], chain) if named else []
    filled: dict[str, Any] = {}
    if tree is not None:
        references = templates.used_references(references, ast.unparse(tree))
    if references:
        filled = templates.look_up_references(references, _joined(bases), shown, templates.token_lines(code))
        tree = templates.FillStrings(filled).visit(_parse_python(code, shown))
    namespace = {"__name__": "<config>", "__file__": str(file), **filled}
    exec(_compile(code if tree is None else tree, code, shown), namespace)  # noqa: S102  # Python configs are code
    if named is None and BASE in namespace:  # worked out by an expression, known only now
        bases = reader.bases(namespace[BASE], file, shown, None, chain)
    values = {name: value for name, value in namespace.items() if _is_public(name, value)}
    return _Parsed(values, PythonSource(shown, text, values, code)), bases


def _read_data(
    reader: _Reader,
    data: str,
    references: dict[str, str],
    text: str,
    file: Path,
    shown: str,
    chain: tuple[str, ...],
) -> tuple[_Parsed, list[Loaded]]:
    values = _parse_json(data, shown) if file.suffix == ".json" else _parse_yaml(data, shown)
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise ConfigMergeError(
            f"A config is a mapping of keys to values; this file holds a {type(values).__name__}.", file=shown
        )
    source = MarkedSource(shown, text, values)
    bases = reader.bases(values[BASE], file, shown, source.line((BASE,)), chain) if BASE in values else []
    references = templates.used_references(references, repr(values))
    if references:
        filled = templates.look_up_references(references, _joined(bases), shown, templates.token_lines(data))
        values = templates.fill_tree(values, filled)
    own = {k: v for k, v in values.items() if k != BASE and not (isinstance(k, str) and k.startswith("__"))}
    source.tree = own
    return _Parsed(own, source), bases


def _joined(bases: list[Loaded]) -> ConfigDict:
    """Merge bases that must not define the same top-level key."""
    joined = ConfigDict()
    for base in bases:
        for key in base.tree:
            if key in joined:
                first, second = where(joined, key), where(base.tree, key)
                raise ConfigKeyError(
                    f"Two bases define {key!r}: {first} and {second}. Bases must not share top-level keys.",
                    file=second.file if second else None,
                    line=second.line if second else None,
                    key=str(key),
                )
        joined = merge(joined, base.tree)
    return joined


def _check_file(file: Path, shown: str) -> None:
    if not file.is_file():
        what = "is a folder, not a config file" if file.is_dir() else "is not there"
        hint = _near(file)
        raise ConfigNotFoundError(f"The config {shown!r} {what}.{hint}", file=shown)
    if file.suffix not in SUFFIXES:
        raise ConfigFormatError(f"A config is one of {', '.join(SUFFIXES)}, not {file.name!r}.", file=shown)


def _near(file: Path) -> str:
    """Suggest configs of the same folder, by their names without extension."""
    there = [p for p in sorted(file.parent.iterdir()) if p.suffix in SUFFIXES] if file.parent.is_dir() else []
    close = close_names(file.stem, {p.stem for p in there})
    return suggest(file.name, [p.name for p in there if p.stem in close])


def _normal(path: Path) -> Path:
    """Return ``path`` absolute and without ``..``, links left alone as they name other folders."""
    import os.path  # pathlib has no lexical normalisation

    return Path(os.path.normpath(path))


def _shown_path(path: Path) -> str:
    """Return a path as people want to read it: relative where that is shorter."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _parse_python(code: str, shown: str) -> ast.Module:
    try:
        return ast.parse(code, shown)
    except (SyntaxError, ValueError) as error:
        raise _syntax_error(error, shown) from error


def _compile(code: str | ast.Module, text: str, shown: str) -> CodeType:
    try:
        return compile(code, shown, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise _syntax_error(error, shown) from error


def _syntax_error(error: SyntaxError | ValueError, shown: str) -> ConfigSyntaxError:
    line = getattr(error, "lineno", None)
    code = (getattr(error, "text", None) or "").rstrip()
    reason = getattr(error, "msg", None) or str(error)
    return ConfigSyntaxError(
        f"There are syntax errors in config file {shown}: {reason}."
        + (f"\n    {code.strip()}" if code else ""),
        file=shown,
        line=line,
    )


def _parse_json(text: str, shown: str) -> Any:
    try:
        return json.loads(text) if text.strip() else None
    except json.JSONDecodeError as error:
        raise ConfigSyntaxError(
            f"The config is not valid JSON: {error.msg} at column {error.colno}.",
            file=shown,
            line=error.lineno,
        ) from error


def _parse_yaml(text: str, shown: str) -> Any:
    try:
        return yaml.load(text, Loader=SafeLoader)  # noqa: S506  # our SafeLoader extends YAML's safe one
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        reason = " ".join(filter(None, [error.context, error.problem]))
        raise ConfigSyntaxError(
            f"The config is not valid YAML: {reason}.", file=shown, line=mark.line + 1 if mark else None
        ) from error
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise ConfigSyntaxError(f"The config is not valid YAML: {error}.", file=shown) from error


def _literal_bases(tree: ast.Module) -> tuple[object, int] | None:
    """Return the value and line of the last ``_base_ = <literal>`` at the top of a file."""
    for statement in reversed(tree.body):
        if isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == BASE for target in statement.targets
        ):
            try:
                return ast.literal_eval(statement.value), statement.lineno
            except ValueError:
                return None
    return None


def _is_public(name: str, value: object) -> bool:
    """Say whether a name of a Python config is one of its keys: data, not tools it was made with."""
    tool = isinstance(value, ModuleType) or inspect.isroutine(value) or inspect.isclass(value)
    return not (name.startswith("__") or name == BASE or tool)
