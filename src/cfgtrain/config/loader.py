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
        source: The file itself, which knows its bases.
    """

    tree: ConfigDict
    text: str
    source: FileSource


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


class _File(NamedTuple):
    """One file on its way in.

    Attributes:
        path: Absolute.
        shown: How people know it.
        text: As it stands in the file.
        code: What is parsed: file variables filled in, base references hidden behind tokens.
        references: The key path behind each token.
        chain: Absolute paths of the files that led here, this one last.
    """

    path: Path
    shown: str
    text: str
    code: str
    references: dict[str, str]
    chain: tuple[str, ...]


class _Reader:
    def __init__(self, use_predefined_variables: bool) -> None:
        self.use_predefined_variables = use_predefined_variables

    def load(self, name: str, chain: tuple[str, ...]) -> Loaded:
        """Read ``name``; ``chain`` holds the absolute paths of the files that led here."""
        path = _normal(Path(name).expanduser().absolute())
        _check_file(path, name)
        try:
            text = path.read_text(encoding="utf-8-sig")  # without the mark that some editors put first
        except UnicodeDecodeError as error:
            raise ConfigSyntaxError(f"The config is no UTF-8 text: {error}.", file=name) from error
        return self.merged(text, path, name, (*chain, str(path)))

    def merged(self, text: str, path: Path, shown: str, chain: tuple[str, ...]) -> Loaded:
        """Return the config in ``text`` merged over its bases."""
        filled = templates.fill_file_variables(text, path) if self.use_predefined_variables else text
        code, references = templates.hide_references(filled, path.suffix)
        file = _File(path, shown, text, code, references, chain)
        parsed, bases = _read_python(self, file) if path.suffix == ".py" else _read_data(self, file)
        parsed.source.bases = tuple(base.source for base in bases)
        tree = merge(_joined(bases), traced(parsed.values, parsed.source))
        whole = "\n".join([*(base.text for base in bases), f"{path}\n{text}"])
        return Loaded(tree, whole, parsed.source)

    def bases(self, names: object, file: _File, line: int | None) -> list[Loaded]:
        """Read the files that ``_base_`` of ``file``, on ``line``, names, in order."""
        listed = names if isinstance(names, (list, tuple)) else [names]
        if not all(isinstance(name, (str, Path)) for name in listed):
            raise ConfigMergeError(
                f"{BASE} names a config or a list of them, not {names!r}.",
                file=file.shown,
                line=line,
                key=BASE,
            )
        return [self._base(str(name), file, line) for name in listed]

    def _base(self, name: str, file: _File, line: int | None) -> Loaded:
        target = _normal(file.path.parent / Path(name).expanduser())
        if str(target) in file.chain:
            circle = [*file.chain[file.chain.index(str(target)) :], str(target)]
            raise ConfigCycleError(
                "The configs inherit from each other in a circle: "
                f"{' -> '.join(_shown_path(Path(each)) for each in circle)}.",
                file=file.shown,
                line=line,
                key=BASE,
            )
        if not target.is_file():
            raise ConfigNotFoundError(
                f"The base config {name!r} is not there; it would be {target}.{_near(target)}",
                file=file.shown,
                line=line,
                key=BASE,
            )
        return self.load(_shown_path(target), file.chain)


def _read_python(reader: _Reader, file: _File) -> tuple[_Parsed, list[Loaded]]:
    tree = _parse_python(file) if BASE in file.code or file.references else None
    named = _literal_bases(tree) if tree is not None else None
    bases = reader.bases(named[0], file, named[1]) if named else []
    values: dict[str, Any] = {}
    if tree is not None and file.references:
        values = _referenced(file, ast.unparse(tree), bases)
        tree = templates.FillStrings(values).visit(tree)
    namespace = {"__name__": "<config>", "__file__": str(file.path), **values}
    exec(_compile(file.code if tree is None else tree, file), namespace)  # noqa: S102  # Python configs are code
    if named is None and BASE in namespace:  # worked out by an expression, known only now
        bases = reader.bases(namespace[BASE], file, None)
    public = {name: value for name, value in namespace.items() if _is_public(name, value)}
    return _Parsed(public, PythonSource(file.shown, file.text, public, file.code, file.references)), bases


def _read_data(reader: _Reader, file: _File) -> tuple[_Parsed, list[Loaded]]:
    values = _parse_json(file) if file.path.suffix == ".json" else _parse_yaml(file)
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise ConfigMergeError(
            f"A config is a mapping of keys to values; this file holds a {type(values).__name__}.",
            file=file.shown,
        )
    source = MarkedSource(file.shown, file.text, values, file.code, file.references)
    bases = reader.bases(values[BASE], file, source.line((BASE,))) if BASE in values else []
    if file.references:
        values = templates.fill_tree(values, _referenced(file, repr(values), bases))
    own = {k: v for k, v in values.items() if k != BASE and not (isinstance(k, str) and k.startswith("__"))}
    source.tree = own
    return _Parsed(own, source), bases


def _referenced(file: _File, parsed: str, bases: list[Loaded]) -> dict[str, Any]:
    """Return the values behind the tokens that are left in what was parsed: comments are not."""
    used = templates.used_references(file.references, parsed)
    return templates.look_up_references(used, _joined(bases), file.shown, templates.token_lines(file.code))


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


def _parse_python(file: _File) -> ast.Module:
    try:
        return ast.parse(file.code, file.shown)
    except (SyntaxError, ValueError) as error:
        raise _syntax_error(error, file.shown) from error


def _compile(code: str | ast.Module, file: _File) -> CodeType:
    try:
        return compile(code, file.shown, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise _syntax_error(error, file.shown) from error


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


def _parse_json(file: _File) -> Any:
    try:
        return json.loads(file.code) if file.code.strip() else None
    except json.JSONDecodeError as error:
        raise ConfigSyntaxError(
            f"The config is not valid JSON: {error.msg} at column {error.colno}.",
            file=file.shown,
            line=error.lineno,
        ) from error


def _parse_yaml(file: _File) -> Any:
    try:
        return yaml.load(file.code, Loader=SafeLoader)  # noqa: S506  # our SafeLoader extends YAML's safe one
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        reason = " ".join(filter(None, [error.context, error.problem]))
        raise ConfigSyntaxError(
            f"The config is not valid YAML: {reason}.", file=file.shown, line=mark.line + 1 if mark else None
        ) from error
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise ConfigSyntaxError(f"The config is not valid YAML: {error}.", file=file.shown) from error


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
