"""Find the configs that a config inherits from."""

from __future__ import annotations

import ast
import importlib.util
import os.path
from pathlib import Path

from cfgtrain.errors import ConfigNotFoundError
from cfgtrain.suggestions import close_names, suggest

SUFFIXES = (".py", ".json", ".yaml", ".yml")
BASE = "_base_"
DEPRECATION = "_deprecation_"

# Where packages that were written for MMCV 1.x keep their configs.
_PACKAGE_FOLDERS = ("", "configs", ".mim", ".mim/configs")


def is_private(name: object) -> bool:
    """Return whether a top-level name of a file is not a key of the config."""
    return isinstance(name, str) and name.startswith("_") and (name == BASE or name.startswith("__"))


def locate_base(name: str, folder: str) -> str:
    """Return the absolute path of a config that is named in a file in ``folder``.

    Symbolic links are not resolved, because the folder of the target may contain other bases.

    Args:
        name: Relative to ``folder``, absolute, below ``~``, or ``package::path`` for a config in an
            installed package, in its folder or in ``configs/`` or ``.mim/`` there.
        folder: The folder that a relative name is relative to.

    Raises:
        ConfigNotFoundError: There is no such package, or it has no such config.
    """
    # pathlib cannot normalize a path without following links, and is slower than reading a small file.
    if "::" in name:
        return _in_package(*name.split("::", 1))
    name = os.path.expanduser(name) if name.startswith("~") else name
    return os.path.abspath(os.path.join(folder, name))


def _in_package(package: str, name: str) -> str:
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    homes = list(spec.submodule_search_locations or ()) if spec else []
    if not homes:
        raise ConfigNotFoundError(
            f"The config {name!r} is in the package {package!r}, which is not installed."
        )
    tried = [os.path.abspath(os.path.join(home, inner, name)) for home in homes for inner in _PACKAGE_FOLDERS]
    for path in tried:
        if os.path.isfile(path):
            return path
    listed = ", ".join(tried)
    raise ConfigNotFoundError(
        f"The package {package!r} has no config {name!r}; searched {listed}.",
        hint=next(filter(None, map(near, tried)), ""),
    )


def literal_bases(tree: ast.Module) -> object:
    """Return the value of the last top-level ``_base_ = <literal>`` of a file, or None."""
    for statement in reversed(tree.body):
        if isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == BASE for target in statement.targets
        ):
            try:
                return ast.literal_eval(statement.value)
            except ValueError:
                return None
    return None


def near(path: str) -> str:
    """Return a hint with the configs in the same folder whose names are similar, or ``""``."""
    file = Path(path)
    there = [p for p in sorted(file.parent.iterdir()) if p.suffix in SUFFIXES] if file.parent.is_dir() else []
    close = close_names(file.stem, {p.stem for p in there})
    return suggest(file.name, [p.name for p in there if p.stem in close])
