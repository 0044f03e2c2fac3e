"""Which configs a config inherits from, and where they are."""

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
    """Say whether a name at the top of a file is none of the keys of its config."""
    return isinstance(name, str) and (name == BASE or name.startswith("__"))


def locate_base(name: str, folder: str) -> str:
    """Return the absolute path of a config that a file in ``folder`` names.

    Links are left alone, as the folder behind one may have other bases.

    Args:
        name: Relative to ``folder``, absolute, below ``~``, or ``package::path`` for a config that an
            installed package brings, in its own folder or in ``configs/`` or ``.mim/`` there.
        folder: Where a relative name starts.

    Raises:
        ConfigNotFoundError: There is no such package, or it has no such config.
    """
    # pathlib has no lexical normalisation, and takes longer than all the rest of reading a small file.
    if "::" in name:
        return _in_package(*name.split("::", 1))
    return os.path.abspath(os.path.join(folder, os.path.expanduser(name)))


def _in_package(package: str, name: str) -> str:
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    homes = list(spec.submodule_search_locations or ()) if spec else []
    if not homes:
        raise ConfigNotFoundError(
            f"There is no package {package!r} to take the config {name!r} from. Install it first."
        )
    tried = [os.path.abspath(os.path.join(home, inner, name)) for home in homes for inner in _PACKAGE_FOLDERS]
    for path in tried:
        if os.path.isfile(path):
            return path
    listed = ", ".join(tried)
    raise ConfigNotFoundError(f"The package {package!r} has no config {name!r}; looked for {listed}.")


def literal_bases(tree: ast.Module) -> object:
    """Return what the last ``_base_ = <literal>`` at the top of a file names, None without one."""
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
    """Suggest configs of the same folder, by their names without extension."""
    file = Path(path)
    there = [p for p in sorted(file.parent.iterdir()) if p.suffix in SUFFIXES] if file.parent.is_dir() else []
    close = close_names(file.stem, {p.stem for p in there})
    return suggest(file.name, [p.name for p in there if p.stem in close])
