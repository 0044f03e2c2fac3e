"""Load configs of MMEngine that import their bases with ``read_base`` and name classes by the classes themselves.

None of the imported packages is imported: a class stands for its import path.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import os.path
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from cfgtrain.config.bases import BASE
from cfgtrain.errors import ConfigCycleError, ConfigError, ConfigNotFoundError, ConfigSyntaxError
from cfgtrain.origin import Origin

READ_BASE = "read_base"
_NAMED = "_cfgtrain_named"
_OF_MODULE = (_NAMED, "__file__", "__name__", "__builtins__")  # names that no config has set


@dataclass
class LazyConfig:
    """A config that was loaded with its bases.

    Attributes:
        tree: The merged settings; classes are ``Named``.
        origins: Where settings are set, by key path.
        bases: The files that it imports from, as absolute paths, in order.
        is_whole: Whether it imports all names of these files.
        imported: The names in the tree that are imported, which are no settings.
    """

    tree: dict[str, Any]
    origins: dict[tuple[Any, ...], Origin] = field(default_factory=dict)
    bases: list[str] = field(default_factory=list)
    is_whole: bool = True
    imported: set[str] = field(default_factory=set)

    def settings(self) -> dict[str, Any]:
        """Return the tree without what is no setting."""
        return {
            name: value
            for name, value in self.tree.items()
            if name not in self.imported
            and not name.startswith("__")
            and not (isinstance(value, ModuleType) or inspect.isroutine(value) or inspect.isclass(value))
        }

    def origin(self, path: tuple[Any, ...]) -> Origin | None:
        """Return where a setting, or the nearest one around it, is set."""
        for length in range(len(path), 0, -1):
            if found := self.origins.get(path[:length]):
                return found
        return None


class Named:
    """What a config imports: a module, class or function, or an attribute of one.

    Args:
        path: Its import path.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def __getattr__(self, name: str) -> Named:
        """Return an attribute, which is not looked up."""
        if name.startswith("__"):
            raise AttributeError(name)
        return Named(f"{self.path}.{name}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Raise: what a config imports is not there."""
        raise ConfigError(f"The config calls {self.path}, which is not imported while it is converted.")

    def __deepcopy__(self, memo: object) -> Named:
        """Return the same object."""
        return self

    def __repr__(self) -> str:
        return self.path


class Settings(dict[str, Any]):
    """The dict of a base: keys are attributes too, and ``update`` and ``merge`` merge the dicts inside."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        del self[name]

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set items; those that are dicts on both sides are updated in turn."""
        for key, value in dict(*args, **kwargs).items():
            if isinstance(self.get(key), Settings) and isinstance(value, Mapping):
                self[key].update(value)
            else:
                self[key] = _settings(value)

    def merge(self, other: Mapping[str, Any]) -> None:
        """Set items as ``update``; a dict with ``_delete_=True`` replaces the one that is there."""
        for key, value in other.items():
            if isinstance(value, Mapping):
                inner = {name: each for name, each in value.items() if name != "_delete_"}
                if isinstance(self.get(key), Settings) and value.get("_delete_") is not True:
                    self[key].merge(inner)
                else:
                    self[key] = _settings(inner)
            else:
                self[key] = _settings(value)


def is_lazy(tree: ast.Module) -> bool:
    """Return whether a config imports something of a package of OpenMMLab, such as ``read_base`` or the class of a model."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level and _is_openmmlab(node.module or ""):
            return True
        if isinstance(node, ast.Import) and any(_is_openmmlab(alias.name) for alias in node.names):
            return True
    return False


def read_base_line(tree: ast.Module) -> int | None:
    """Return the line on which a file imports ``read_base``, or None."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(alias.name == READ_BASE for alias in node.names):
            return node.lineno
    return None


def imported_bases(tree: ast.Module, path: str) -> Iterator[str]:
    """Yield the absolute paths of the bases that a config at ``path`` imports with ``read_base``, if they exist."""
    for statement in tree.body:
        for inner in statement.body if isinstance(statement, ast.With) and _is_read_base(statement) else ():
            if isinstance(inner, ast.ImportFrom):
                with suppress(ConfigNotFoundError):
                    yield _locate(inner, path)


def load_lazy(path: str, chain: tuple[str, ...] = ()) -> LazyConfig:
    """Execute a config and the files that it imports with ``read_base``.

    Args:
        path: The absolute path.
        chain: Those of the files that import it.

    Raises:
        ConfigError: A file is missing, is not Python, or imports itself; or the config calls what it imports.
            Exceptions of its code are not caught.
    """
    if path in chain:
        raise ConfigCycleError(f"The configs import each other in a cycle: {' -> '.join((*chain, path))}.")
    shown = os.path.relpath(path)
    try:
        tree = ast.parse(Path(path).read_text(encoding="utf-8-sig"))
    except (SyntaxError, ValueError) as error:
        raise ConfigSyntaxError(f"{shown} is not valid Python: {error}.", origin=Origin(shown)) from error
    except OSError as error:
        raise ConfigNotFoundError(f"{shown} cannot be read: {error.strerror}.") from error
    namespace: dict[str, Any] = {_NAMED: Named, "__file__": path, "__name__": "<config>"}
    loaded = LazyConfig(namespace, imported={_NAMED})
    body = list(_without_bases(tree.body, loaded, path, (*chain, path)))
    imports = _Imports()
    module = imports.visit(ast.Module(body, type_ignores=[]))
    exec(compile(ast.fix_missing_locations(module), path, "exec"), namespace)  # noqa: S102  # configs are code
    loaded.imported.update(imports.names)
    for statement in tree.body:
        loaded.origins.update({keys: Origin(shown, line) for keys, line in _lines(statement)})
    return loaded


def type_name(named: Named) -> str:
    """Return the ``type`` for a class: its name if it is registered under it, else its import path."""
    is_registered = _is_openmmlab(named.path) or named.path.startswith((".", "mmcv.", "torch.optim."))
    return named.path.rpartition(".")[2] if is_registered else named.path


def without_named(value: Any, path: tuple[Any, ...] = (), others: list[tuple[Any, ...]] | None = None) -> Any:
    """Return a copy in which classes are replaced by their names.

    Args:
        value: The value.
        path: Its key path.
        others: Gets the paths of what is not a ``type``.
    """
    if isinstance(value, Named):
        if others is not None and path[-1:] != ("type",):
            others.append(path)
        return type_name(value)
    if isinstance(value, Mapping):
        return {key: without_named(each, (*path, key), others) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(without_named(each, (*path, i), others) for i, each in enumerate(value))
    return value


def _settings(value: Any) -> Any:
    if isinstance(value, Mapping):
        return Settings({key: _settings(each) for key, each in value.items()})
    if isinstance(value, (list, tuple)):
        return type(value)(map(_settings, value))
    return value


def _without_bases(
    body: list[ast.stmt], loaded: LazyConfig, path: str, chain: tuple[str, ...]
) -> Iterator[ast.stmt]:
    """Yield the statements without those that import the bases, whose names are added to the namespace."""
    loaded_bases: dict[str, tuple[LazyConfig, dict[str, Any]]] = {}  # two imports give the same objects
    for statement in body:
        if not (isinstance(statement, ast.With) and _is_read_base(statement)):
            yield statement
            continue
        for inner in statement.body:
            if isinstance(inner, ast.Pass):
                continue
            if not isinstance(inner, ast.ImportFrom):
                raise ConfigError(f"Line {inner.lineno} in `with read_base()` is not `from ... import ...`.")
            found = _locate(inner, path)
            if found not in loaded_bases:
                base = load_lazy(found, chain)
                own_names = {name: each for name, each in base.tree.items() if name not in _OF_MODULE}
                loaded_bases[found] = base, _settings(own_names)
                loaded.bases.append(found)
            base, values = loaded_bases[found]
            whole = [alias.name for alias in inner.names] == ["*"]
            names = {name: name for name in base.tree} if whole else {
                alias.name: alias.asname or alias.name for alias in inner.names
            }  # fmt: skip
            loaded.is_whole &= whole
            for name, own in names.items():
                if name not in base.tree:
                    raise ConfigError(
                        f"{os.path.relpath(found)} has no {name!r}, which line {inner.lineno} imports."
                    )
                if name in _OF_MODULE:
                    continue
                loaded.tree[own] = values[name]
                if name in base.imported:
                    loaded.imported.add(own)
            for keys, origin in base.origins.items():
                if keys[0] in names:
                    loaded.origins[names[keys[0]], *keys[1:]] = origin


def _is_read_base(statement: ast.With) -> bool:
    call = statement.items[0].context_expr
    return isinstance(call, ast.Call) and READ_BASE in ast.unparse(call.func)


def _locate(node: ast.ImportFrom, path: str) -> str:
    """Return the absolute path of the file that a base is imported from."""
    parts = (node.module or "").split(".")
    if node.level:
        folder = os.path.join(os.path.dirname(path), *[os.pardir] * (node.level - 1))
    else:
        spec = importlib.util.find_spec(parts[0]) if parts[0] else None
        homes = list(spec.submodule_search_locations or ()) if spec else []
        if not homes:
            raise ConfigNotFoundError(
                f"The base {node.module!r} is in the package {parts[0]!r}, which is not installed."
            )
        parts = parts[1:]
        folder = next(
            (home for home in homes if os.path.isfile(os.path.join(home, *parts) + ".py")), homes[0]
        )
        if not os.path.isfile(os.path.join(folder, *parts) + ".py"):
            folder = os.path.join(folder, ".mim")
    found = os.path.abspath(os.path.join(folder, *parts) + ".py")
    if not os.path.isfile(found):
        raise ConfigNotFoundError(f"The base {found} does not exist.")
    return found


class _Imports(ast.NodeTransformer):
    """Replace imports, except those of Python's own library, by assignments of ``Named``."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def visit_Import(self, node: ast.Import) -> ast.stmt | list[ast.stmt]:
        """Replace ``import a.b`` and ``import a.b as c``."""
        new: list[ast.stmt] = []
        for alias in node.names:
            root = alias.name.partition(".")[0]
            self.names.add(alias.asname or root)
            if root in sys.stdlib_module_names:
                new.append(ast.Import([alias]))
            else:
                new.append(_binding(alias.asname or root, alias.name if alias.asname else root))
        return [ast.copy_location(each, node) for each in new]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt | list[ast.stmt]:
        """Replace ``from a import b``."""
        self.names.update(alias.asname or alias.name for alias in node.names)
        module = "." * node.level + (node.module or "")
        if module.partition(".")[0] in sys.stdlib_module_names:
            return node
        if any(alias.name == "*" for alias in node.names):
            raise ConfigError(f"Line {node.lineno} imports * outside of `with read_base()`.")
        return [
            ast.copy_location(_binding(alias.asname or alias.name, f"{module}.{alias.name}"), node)
            for alias in node.names
        ]


def _binding(name: str, path: str) -> ast.stmt:
    call = ast.Call(ast.Name(_NAMED, ast.Load()), [ast.Constant(path)], [])
    return ast.Assign([ast.Name(name, ast.Store())], call)


def _is_openmmlab(path: str) -> bool:
    root = path.partition(".")[0]
    return root.startswith("mm") and root not in sys.stdlib_module_names and root != "mmcv"


def _lines(statement: ast.stmt) -> Iterator[tuple[tuple[Any, ...], int]]:
    """Yield the key paths that a statement sets, with their lines."""
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        for target in statement.targets if isinstance(statement, ast.Assign) else [statement.target]:
            if (path := _target(target)) is not None and path[0] != BASE:
                yield path, statement.lineno
                yield from _inner_lines(statement.value, path)
    elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        call = statement.value
        if isinstance(call.func, ast.Attribute) and call.func.attr in ("update", "merge"):
            path = _target(call.func.value)
            if path is not None:
                for value in [*call.args, ast.Call(ast.Name("dict", ast.Load()), [], call.keywords)]:
                    yield from _inner_lines(value, path)


def _target(node: ast.expr) -> tuple[Any, ...] | None:
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        before = _target(node.value)
        return None if before is None else (*before, node.attr)
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        before = _target(node.value)
        return None if before is None else (*before, node.slice.value)
    return None


def _inner_lines(node: ast.expr | None, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], int]]:
    items: list[tuple[Any, ast.expr]] = []
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        items = [(keyword.arg, keyword.value) for keyword in node.keywords if keyword.arg is not None]
    elif isinstance(node, ast.Dict):
        items = [
            (key.value, value)
            for key, value in zip(node.keys, node.values, strict=True)
            if isinstance(key, ast.Constant)
        ]
    elif isinstance(node, ast.List | ast.Tuple):
        items = list(enumerate(node.elts))
    for key, value in items:
        yield (*path, key), value.lineno
        yield from _inner_lines(value, (*path, key))
