"""Find classes of a project that have the name of one of cfgtrain's, where a config would build cfgtrain's."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cfgtrain.compat.migrate.as_is import place
from cfgtrain.compat.migrate.mmengine_settings import known
from cfgtrain.compat.migrate.report import FileReport
from cfgtrain.config.config import Config
from cfgtrain.errors import ConfigValueError
from cfgtrain.origin import location
from cfgtrain.registries import DATASETS, HOOKS, MODELS, RUNNERS
from cfgtrain.registry.registry import Registry

_OWN = {"MODELS": MODELS, "HOOKS": HOOKS, "RUNNERS": RUNNERS, "DATASETS": DATASETS}


@dataclass(frozen=True)
class Registered:
    """A class or function that a project registers.

    Attributes:
        name: The name that a config has.
        registry: The variable of the registry.
        is_forced: Whether it replaces what is registered already.
        is_shared: Whether the registry is one of MMCV or cfgtrain, imported from there.
        line: The 1-based line.
        report: The report of the file.
    """

    name: str
    registry: str
    is_forced: bool
    is_shared: bool
    line: int
    report: FileReport

    @property
    def place(self) -> str:
        """The file and the line."""
        return f"{self.report.path}:{self.line}"


def registered(tree: ast.Module, report: FileReport) -> Iterator[Registered]:
    """Yield what the decorators ``register_module`` in a file register."""
    shared = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ("mmcv", "cfgtrain")
        for alias in node.names
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef | ast.FunctionDef):
            continue
        for call in node.decorator_list:
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
                continue
            if call.func.attr != "register_module":
                continue
            given = {keyword.arg: keyword.value for keyword in call.keywords}
            forced = given.get("force")
            variable = ast.unparse(call.func.value)
            is_forced = isinstance(forced, ast.Constant) and forced.value is True
            for name in _names(given.get("name", next(iter(call.args), None)), node.name):
                yield Registered(name, variable, is_forced, variable in shared, node.lineno, report)


def list_taken_names(found: Iterable[Registered]) -> None:
    """List what cannot be registered, because the registry of cfgtrain has the name."""
    for each in found:
        registry = _OWN.get(each.registry)
        if each.is_shared and not each.is_forced and registry is not None and known(registry, each.name):
            message = (
                f"{each.name} is already in {each.registry}: cfgtrain has one. Registering it is an error."
            )
            each.report.add(each.line, message, "Rename it, or add force=True to replace cfgtrain's.")
            each.report.decide(False, "does not run as it is")


def list_ambiguous_types(cfg: Config, report: FileReport, found: Mapping[str, Registered]) -> None:
    """List the types in a config that are cfgtrain's, although the project has a class of this name.

    Only what cfgtrain builds itself is looked at. A model of a project builds its parts from the registries of the project.
    """
    for registry, path, settings in _built(cfg):
        name = settings.get("type")
        other = found.get(name) if isinstance(name, str) else None
        if other is None or other.is_forced or other.is_shared or known(registry, name) is None:
            continue
        error = ConfigValueError(
            f"type={name!r} is cfgtrain's own; the project registers another one ({other.place}).",
            **location(settings, "type"),
        )
        error.key = f"{path}.type"
        hint = (
            "To use that one, write its scope before it, as in type='scope.Name', or register it with force=True in cfgtrain's "
            "registry."
        )
        report.add(*place(error, report), hint)
        report.decide(False, "would use a class of cfgtrain in place of one of the project")


def _built(cfg: Config) -> Iterator[tuple[Registry, str, Any]]:
    """Yield what cfgtrain builds from a config, with its registry and its key path."""
    data = cfg.get("data")
    for key in ("train", "val", "test"):
        dataset, path = data.get(key) if isinstance(data, Mapping) else None, f"data.{key}"
        while isinstance(dataset, Mapping):
            yield DATASETS, path, dataset
            dataset, path = dataset.get("dataset"), f"{path}.dataset"
    for registry, key in ((MODELS, "model"), (RUNNERS, "runner")):
        if isinstance(cfg.get(key), Mapping):
            yield registry, key, cfg[key]
    hooks = cfg.get("custom_hooks")
    for index, hook in enumerate(hooks if isinstance(hooks, (list, tuple)) else ()):
        if isinstance(hook, Mapping):
            yield HOOKS, f"custom_hooks[{index}]", hook


def _names(node: ast.expr | None, default: str) -> list[str]:
    if node is None or (isinstance(node, ast.Constant) and node.value is None):
        return [default]
    items = node.elts if isinstance(node, ast.List | ast.Tuple) else [node]
    return [item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str)]
