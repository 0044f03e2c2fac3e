"""Load a config file and its bases into one merged tree.

The steps for each file: read the text, fill in ``{{ }}``, parse or execute it, load its bases (depth
first), and merge it over them. A Python config is compiled under its real path and executed in a
fresh namespace: tracebacks are right, no file is copied, ``sys.path`` is not changed, and
several threads can load configs. YAML and JSON never execute code.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import io
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import CodeType, GeneratorType, ModuleType
from typing import Any, NamedTuple

from cfgtrain.config import templates
from cfgtrain.config.bases import BASE, DEPRECATION, SUFFIXES, is_private, literal_bases, locate_base, near
from cfgtrain.config.custom_imports import CUSTOM_IMPORTS, IMPORTS, join_imports, replaced_imports
from cfgtrain.config.dict import ConfigDict, with_trace
from cfgtrain.config.formats import MAX_KEY, check_keys, parse_json, parse_python
from cfgtrain.config.key_paths import MAX_DEPTH, KeyPath
from cfgtrain.config.merge import merge_in_place, remove_markers
from cfgtrain.config.provenance.execution import execute
from cfgtrain.config.provenance.file_source import FileSource
from cfgtrain.config.provenance.python_source import PythonSource
from cfgtrain.config.provenance.yaml_source import YamlSource
from cfgtrain.config.trace import stack_level
from cfgtrain.config.yaml_reader import YamlDocument, json_as_yaml, parse_yaml
from cfgtrain.errors import (
    ConfigCycleError,
    ConfigDeprecationWarning,
    ConfigFormatError,
    ConfigKeyError,
    ConfigMergeError,
    ConfigNotFoundError,
    ConfigSyntaxError,
    ConfigValueError,
    ConfigWarning,
)
from cfgtrain.origin import Origin, where
from cfgtrain.suggestions import with_article

# If each base has two bases, the number of files doubles with each level.
MAX_FILES = 1000

_DATA = frozenset({dict, list, tuple, str, int, float, bool, type(None)})


class Loaded(NamedTuple):
    """A config file merged over its bases.

    Attributes:
        tree: The merged values with their traces; nothing else refers to them.
        text: The texts of all files, bases first, each after a line with its path.
        source: The file itself, with its bases.
    """

    tree: ConfigDict
    text: str
    source: FileSource


def load_file(
    file: str | Path, use_predefined_variables: bool = True, texts: Mapping[str, str] | None = None
) -> Loaded:
    """Read a config file and its bases.

    Args:
        file: Path of a ``.py``, ``.json``, ``.yaml`` or ``.yml`` file; ``~`` is expanded, and
            ``package::path`` is a file in an installed package.
        use_predefined_variables: Whether ``{{ fileDirname }}`` and similar placeholders, and
            ``{{$NAME}}``, are replaced.
        texts: Texts to use instead of the content of files, by absolute path.

    Raises:
        ConfigError: One of its subclasses: not found, unknown format, syntax, cycle, merge, key.
    """
    path = locate_base(str(file), os.curdir)
    return _Reader(use_predefined_variables, texts).load(path, str(file), ())


def load_text(text: str, suffix: str) -> Loaded:
    """Load a config from a string; a relative ``_base_`` is relative to the current folder."""
    if suffix not in SUFFIXES:
        raise ConfigFormatError(f"A config must be one of {', '.join(SUFFIXES)}, not {suffix!r}.")
    path = os.path.join(os.getcwd(), f"<string>{suffix}")
    return _Reader(True).merged(text, path, "<string>", (path,))


class _File(NamedTuple):
    """A file that is being loaded.

    Attributes:
        path: Its absolute path.
        shown: Its path for messages.
        text: Its text.
        hidden: The text to parse: file variables are filled in, other values replaced by tokens.
        chain: Absolute paths of the files that inherit from this one, and of this one last.
    """

    path: str
    shown: str
    text: str
    hidden: templates.Hidden
    chain: tuple[str, ...]

    @property
    def suffix(self) -> str:
        return self.path[self.path.rindex(".") :]


class _Reader:
    def __init__(self, use_predefined_variables: bool, texts: Mapping[str, str] | None = None) -> None:
        self.use_predefined_variables = use_predefined_variables
        self.files = 0  # read so far
        self.here = os.getcwd() + os.sep
        self.texts = dict(texts or {})  # by path: several configs may inherit from the same file
        self.compiled: dict[str, CodeType] = {}

    def shown(self, path: str) -> str:
        """Return a path for messages: relative if it is in the current folder."""
        return path.removeprefix(self.here)

    def load(
        self, path: str, shown: str, chain: tuple[str, ...], named: tuple[str, FileSource] | None = None
    ) -> Loaded:
        """Load the file at ``path``.

        Args:
            path: Its absolute path.
            shown: Its path for messages.
            chain: The absolute paths of the files that inherit from it.
            named: For a base, its name in ``_base_`` and the file that this is in.
        """
        self.files += 1
        text = self.texts.get(path)
        if text is None:
            text = self.texts[path] = self.read(path, shown, named)
        return self.merged(text, path, shown, (*chain, path))

    def read(self, path: str, shown: str, named: tuple[str, FileSource] | None) -> str:
        """Return the text of the file at ``path``; the arguments are those of ``load``."""
        if not path.endswith(SUFFIXES):
            _check_file(path, shown, named)
        try:
            with open(path, "rb", buffering=0) as file:
                return _decoded(file.read())
        except UnicodeDecodeError as error:
            raise ConfigSyntaxError(
                f"The config is not UTF-8 text: {error}.", origin=Origin(shown)
            ) from error
        except OSError as error:
            _check_file(path, shown, named)
            message = f"The config cannot be read: {error.strerror}."
            raise ConfigNotFoundError(message, origin=Origin(shown)) from error

    def merged(self, text: str, path: str, shown: str, chain: tuple[str, ...]) -> Loaded:
        """Return the config in ``text`` merged over its bases."""
        hidden = templates.Hidden(text, {}, {})
        if "{{" in text:
            filled = templates.fill_file_variables(text, path) if self.use_predefined_variables else text
            if "{{" in filled:
                hidden = templates.hide_values(
                    filled, os.path.splitext(path)[1], self.use_predefined_variables
                )
            else:
                hidden = hidden._replace(text=filled)
        file = _File(path, shown, text, hidden, chain)
        read = _read_python if file.suffix == ".py" else _read_data
        source, bases = read(self, file)
        source.bases = tuple(base.source for base in bases)
        _warn_about_deprecation(source.tree.pop(DEPRECATION, None), file)
        inherited = _merge_bases(bases)
        _warn_about_replaced_imports(inherited.get(CUSTOM_IMPORTS), source)
        tree = _merge_over_bases(inherited, source)
        return Loaded(tree, "\n".join([*(base.text for base in bases), f"{path}\n{text}"]), source)

    def bases(self, names: object, file: _File, source: FileSource) -> list[Loaded]:
        """Load the files in ``_base_`` of ``file``, in order."""
        if names is None:
            return []
        listed = names if isinstance(names, (list, tuple)) else [names]
        if not all(isinstance(name, (str, Path)) for name in listed):
            raise ConfigMergeError(
                f"{BASE} names a config or a list of them, not {names!r}.",
                origin=Origin(file.shown, source.line((BASE,))),
                key=BASE,
            )
        return [self._base(str(name), file, source) for name in listed]

    def _base(self, name: str, file: _File, source: FileSource) -> Loaded:
        try:
            path = locate_base(name, os.path.dirname(file.path))
            if path in file.chain:
                circle = [*file.chain[file.chain.index(path) :], path]
                raise ConfigCycleError(
                    f"The configs inherit from each other in a cycle: {' -> '.join(map(self.shown, circle))}."
                )
            if len(file.chain) >= MAX_DEPTH or self.files >= MAX_FILES:
                raise ConfigValueError(
                    f"The config has too many bases: at most {MAX_DEPTH} levels and {MAX_FILES:,} files are loaded."
                )
        except (ConfigCycleError, ConfigNotFoundError, ConfigValueError) as error:
            error.origin, error.key = Origin(file.shown, source.line((BASE,))), BASE
            raise
        return self.load(path, self.shown(path), file.chain, (name, source))


def _decoded(content: bytes) -> str:
    """Return the text of a file without a byte order mark, and with newlines as the only ends of lines."""
    text = content.decode("utf-8-sig")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _read_python(reader: _Reader, file: _File) -> tuple[FileSource, list[Loaded]]:
    code, references, variables = file.hidden
    source = PythonSource(
        file.shown, file.text, {}, code, file.hidden.sources() if references or variables else {}
    )
    named: object = None
    bases: list[Loaded] = []
    values: dict[str, Any] = {}
    tree: ast.Module | None = None
    if references or variables:  # their values are needed before the code is executed
        tree = parse_python(code, file.shown)
        used = templates.used_tokens(ast.unparse(tree))
        values, texts = _environment(file, used)
        templates.FillStrings(texts).visit(tree)
        named = literal_bases(tree)
        bases = reader.bases(named, file, source)
        found = _referenced(file, used, bases)
        values |= found
        templates.FillStrings({token: str(value) for token, value in found.items()}).visit(tree)
    namespace = {"__name__": "<config>", "__file__": file.path, **values}
    source.record = execute(code, file.shown, namespace, tree, reader.compiled)
    source.shadowed = frozenset(namespace.keys() & vars(builtins).keys())
    if named is None:
        bases = reader.bases(namespace.get(BASE), file, source)
    source.tree = {
        name: value
        for name, value in namespace.items()
        if not is_private(name) and (type(value) in _DATA or _can_be_value(name, value, file.shown))
    }
    return source, bases


def _read_data(reader: _Reader, file: _File) -> tuple[FileSource, list[Loaded]]:
    code, references, variables = file.hidden
    document: YamlDocument | None = None
    if file.suffix == ".json":
        values = parse_json(code, file.shown)
        code = json_as_yaml(code)  # the YAML reader also finds the lines of JSON, when they are needed
    else:
        document = parse_yaml(code, file.shown)
        values = document.value
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise ConfigMergeError(
            f"A config is a mapping of keys to values; this file holds {with_article(type(values).__name__)}.",
            origin=Origin(file.shown),
        )
    source = YamlSource(file.shown, file.text, values, code, file.hidden.sources())
    if document is not None:
        source.document = document
    used = templates.used_tokens(repr(values)) if references or variables else set()
    if variables:
        values = templates.fill_tree(values, *_environment(file, used))
    bases = reader.bases(values.get(BASE), file, source)
    if references:
        found = _referenced(file, used, bases)
        values = templates.fill_tree(values, found, {token: str(value) for token, value in found.items()})
    source.tree = {key: value for key, value in values.items() if not is_private(key)}
    return source, bases


def _environment(file: _File, used: set[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values of the environment variables in the file, and their texts."""
    variables = {token: each for token, each in file.hidden.variables.items() if token in used}
    return templates.read_environment(variables, file.shown, file.hidden.text)


def _referenced(file: _File, used: set[str], bases: list[Loaded]) -> dict[str, Any]:
    """Return the values of the bases for the tokens that are left in what was parsed."""
    paths = {token: path for token, path in file.hidden.references.items() if token in used}
    if not paths:
        return {}
    tree: dict[Any, Any] = {}
    for base in bases:
        imports = join_imports(tree.get(CUSTOM_IMPORTS), base.tree.get(CUSTOM_IMPORTS))
        tree |= base.tree
        tree |= {} if imports is None else {CUSTOM_IMPORTS: imports}
    return templates.look_up_references(paths, tree, file.shown, file.hidden.text)


def _merge_bases(bases: list[Loaded]) -> ConfigDict:
    """Merge bases that must not define the same top-level key, except ``custom_imports``."""
    if not bases:
        return ConfigDict()
    joined = bases[0].tree
    for base in bases[1:]:
        imports = join_imports(joined.get(CUSTOM_IMPORTS), base.tree.get(CUSTOM_IMPORTS))
        if imports is not None:
            dict.__setitem__(joined, CUSTOM_IMPORTS, imports)
            dict.pop(base.tree, CUSTOM_IMPORTS)
        for key in base.tree:
            if key in joined:
                first, second = where(joined, key), where(base.tree, key)
                raise ConfigKeyError(
                    f"Two bases define {key!r}: {first} and {second}. Bases must not share top-level keys.",
                    origin=second,
                    key=str(key),
                )
        joined = merge_in_place(joined, base.tree)
    return joined


def _merge_over_bases(base: ConfigDict, source: FileSource) -> ConfigDict:
    """Return ``base`` with the values of a file merged into it, in place."""
    marked: list[KeyPath] = []
    try:
        child = with_trace(source.tree, source, marked=marked)
    except ConfigValueError as error:
        error.origin = Origin(source.file)
        raise
    if (
        len(source.text) > MAX_KEY and max(map(len, source.text.splitlines())) > MAX_KEY
    ):  # or else all keys are short
        check_keys(child, source.file)
    tree = merge_in_place(base, child)
    if marked:
        remove_markers(tree)
    return tree


def _warn_about_deprecation(notice: object, file: _File) -> None:
    """Warn if a file has ``_deprecation_``; the warning contains its text."""
    if notice is None:
        return
    if not isinstance(notice, Mapping):
        problem = f"{DEPRECATION} must be dict(expected=..., reference=...), not {notice!r}."
        raise ConfigMergeError(problem, origin=Origin(file.shown), key=DEPRECATION)
    message = f"The config {file.shown} is deprecated."
    if notice.get("expected"):
        message += f" Use {notice['expected']} instead."
    if notice.get("reference"):
        message += f" See {notice['reference']}"
    warnings.warn(message, ConfigDeprecationWarning, stacklevel=stack_level())


def _warn_about_replaced_imports(inherited: Any, source: FileSource) -> None:
    own = source.tree.get(CUSTOM_IMPORTS)
    if inherited is not None and own is not None:
        warning = replaced_imports(inherited, own, source.origin((CUSTOM_IMPORTS, IMPORTS)))
        if warning is not None:
            warnings.warn(warning, ConfigWarning, stacklevel=stack_level())


def _check_file(path: str, shown: str, named: tuple[str, FileSource] | None) -> None:
    """Raise the error of a file that is missing or not a config; ``named`` is as in ``load``."""
    if not os.path.isfile(path):
        if named is not None:
            name, source = named
            message = f"The base config {name!r} does not exist; its path would be {path}."
            place = Origin(source.file, source.line((BASE,)))
            raise ConfigNotFoundError(message, hint=near(path), origin=place, key=BASE)
        what = "is a folder, not a config file" if os.path.isdir(path) else "does not exist"
        raise ConfigNotFoundError(f"The config {shown!r} {what}.", hint=near(path), origin=Origin(shown))
    if not path.endswith(SUFFIXES):
        name = os.path.basename(path)
        message = f"A config must be one of {', '.join(SUFFIXES)}, not {name!r}."
        raise ConfigFormatError(message, origin=Origin(shown))


def _can_be_value(name: str, value: object, shown: str) -> bool:
    """Return whether a name of a Python config is one of its keys: not that of a module, function or class."""
    if isinstance(value, io.IOBase | GeneratorType):
        message = f"{name!r} in {shown} is {value!r}, which cannot be a value of a config: it is left out."
        warnings.warn(message, ConfigWarning, stacklevel=stack_level())
        return False
    return not (isinstance(value, ModuleType) or inspect.isroutine(value) or inspect.isclass(value))
