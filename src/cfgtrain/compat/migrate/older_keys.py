"""Offer the newer spellings of keys that configs written for MMCV have. Configs run with either."""

from __future__ import annotations

import ast
import os.path
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cfgtrain.compat.migrate.as_is import quiet
from cfgtrain.compat.migrate.configs import assigned, literal
from cfgtrain.compat.migrate.mmengine_settings import plain
from cfgtrain.compat.migrate.report import FileReport
from cfgtrain.compat.migrate.source import Edit, Source
from cfgtrain.config.config import Config
from cfgtrain.config.loader import load_file
from cfgtrain.config.pretty import pretty_python
from cfgtrain.config.provenance.file_source import FileSource
from cfgtrain.experiment.older_keys import UNUSED, replace_older_keys
from cfgtrain.runner.hook_configs import optimizer_settings

_LENGTHS = {
    "total_epochs": ("EpochBasedRunner", "max_epochs"),
    "total_iters": ("IterBasedRunner", "max_iters"),
}
_STEP_HOOKS = ("OptimizerHook", "GradientCumulativeOptimizerHook")
_HALF_STEP_HOOKS = ("Fp16OptimizerHook", "GradientCumulativeFp16OptimizerHook")


@dataclass
class PythonConfig:
    """A Python config, and the edits that write its keys in the newer way.

    Attributes:
        source: The file.
        tree: Its syntax tree.
        report: Gets the spellings.
        edits: The edits by line, each with what it does.
    """

    source: Source
    tree: ast.Module
    report: FileReport
    edits: list[tuple[int, Edit, str]] = field(default_factory=list)

    @property
    def key(self) -> str:
        """The path as the loader knows it."""
        return os.path.abspath(self.source.path)

    def edited(self) -> str:
        """Return the text in the newer spellings, for the loader."""
        text = self.source.edited(edit for _, edit, _ in self.edits)
        return text.replace("\r\n", "\n").replace("\r", "\n")


def find_newer_spellings(configs: Sequence[PythonConfig], code: Iterable[str]) -> None:
    """Find the keys that have a newer spelling, and list them in the reports.

    A spelling is only offered if each of the configs has the same settings with it, also those that inherit it, and if no code
    mentions the older key.

    Args:
        configs: The configs; their edits are set.
        code: The texts of the other Python files.
    """
    older = "|".join([*_LENGTHS, *UNUSED, "auto_resume", "fp16", "find_unused_parameters"])
    words = {word for text in code for word in re.findall(rf"[.'\"]({older})\b", text)}
    for config in configs:
        config.edits = list(_spellings(config, words))
    by_path = {config.key: config for config in configs}
    while changed := [config for config in configs if config.edits]:
        texts = {config.key: config.edited() for config in changed}
        wrong = {path for config in configs for path in _changed_by(config, texts)} & set(texts)
        if not wrong:
            break
        for path in wrong:
            by_path[path].edits = []
    for config in configs:
        for line, _, message in config.edits:
            config.report.add(line, message, "", "optional")


def _changed_by(config: PythonConfig, texts: Mapping[str, str]) -> set[str]:
    """Return the files that a config inherits from, and itself, if it has other settings with the new texts."""
    files = {config.key}
    try:
        with quiet():
            old = load_file(config.key)
            files |= set(_files(old.source))
            if not files & set(texts):
                return set()
            new = load_file(config.key, texts=texts)
            if _settings(old.tree) == _settings(new.tree):
                return set()
    except Exception:  # the code of a config can raise anything
        return files
    return files


def _files(source: FileSource) -> Iterator[str]:
    yield os.path.abspath(source.file)
    for base in source.bases:
        yield from _files(base)


def _settings(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a config sets, whatever the spelling."""
    cfg = Config(plain(tree))
    replace_older_keys(cfg)
    settings: dict[str, Any] = plain(cfg._cfg_dict)
    step = plain(optimizer_settings(cfg._cfg_dict))
    if isinstance(step, dict):
        kind = step.pop("type", "OptimizerHook")
        if kind in _HALF_STEP_HOOKS:
            step = {"dtype": "float16", "loss_scale": 512.0, **step}
        elif step.get("dtype") == "float16":
            step.setdefault("loss_scale", "dynamic")
        if kind not in (*_STEP_HOOKS, *_HALF_STEP_HOOKS):
            step["type"] = kind
    half = settings.get("precision") is not None or settings.get("fp16") is not None
    parallel = {"find_unused_parameters": settings.get("find_unused_parameters", False)}
    parallel |= settings.get("parallel") or {"type": "DDP"}
    for key in (*_LENGTHS, *UNUSED, "auto_resume", "fp16", "precision", "find_unused_parameters"):
        settings.pop(key, None)
    return settings | {"optimizer_config": step, "is_half": half, "parallel": parallel}


def _spellings(config: PythonConfig, used_by_code: set[str]) -> Iterator[tuple[int, Edit, str]]:
    body = config.tree.body
    names = list(assigned(body))
    read = {
        node.id
        for node in ast.walk(config.tree)
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store)
    }
    for statement in body:
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
            continue
        target = statement.targets[0]
        name = target.id if isinstance(target, ast.Name) else ""
        if names.count(name) != 1 or name in read | used_by_code:
            continue
        if name in UNUSED:
            message = f"{name} has no effect and can be left out: {UNUSED[name]}."
            yield statement.lineno, _removal(config.source, statement), message
            continue
        try:
            new = _newer(name, literal(statement.value), names)
        except (ValueError, TypeError):  # an expression, which is kept
            continue
        if new:
            edit = Edit(*config.source.span(statement), new)
            shown = new.replace("\n", " and ") if all(" = " in line for line in new.split("\n")) else new
            yield statement.lineno, edit, f"{config.source.of(statement)} can be written {shown}."


def _newer(name: str, value: Any, names: Sequence[str]) -> str | None:
    """Return the newer spelling of a setting in a file that sets ``names``, or None."""
    new: dict[str, Any] = {}
    if name in _LENGTHS and isinstance(value, int):
        kind, length = _LENGTHS[name]
        new = {"runner": {"type": kind, length: value}}
    elif name == "auto_resume" and value is True:
        new = {"resume_from": "auto"}
    elif name == "find_unused_parameters" and value is True:
        new = {"parallel": {"type": "DDP", "find_unused_parameters": True}}
    elif name == "fp16" and value == {"loss_scale": "dynamic"}:
        new = {"precision": "fp16"}
    elif name == "fp16" and isinstance(value, dict) and set(value) == {"loss_scale"}:
        new = {"precision": "fp16", "optimizer_config": {"loss_scale": value["loss_scale"]}}
    elif name == "optimizer_config" and isinstance(value, dict) and value.get("type") in _STEP_HOOKS:
        settings = {key: each for key, each in value.items() if key != "type"}
        return pretty_python({name: settings}).rstrip("\n")
    if not new or set(new) & set(names):
        return None
    return pretty_python(new).rstrip("\n")


def _removal(source: Source, statement: ast.Assign) -> Edit:
    """Return the edit that removes a statement, with its line if it is alone on it."""
    start, end = source.span(statement)
    first, after = source.line_start(statement.lineno), source.line_start((statement.end_lineno or 0) + 1)
    rest = source.text[end:after].strip()
    if not source.text[first:start].strip() and (not rest or rest.startswith("#")):
        return Edit(first, after, "")
    return Edit(start, end, "pass")
