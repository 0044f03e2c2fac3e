"""What the conversion of a config in the style of MMEngine shares: its settings, and what is found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from cfgtrain.compat.migrate.report import FileReport, Kind
from cfgtrain.errors import CfgTrainError
from cfgtrain.introspection.signatures import argument_problem
from cfgtrain.origin import Origin, dotted
from cfgtrain.registry import Registry

KeyPath = tuple[Any, ...]
_SHOWN = 60  # characters of a value, in a message


class Part:
    """The settings of a dict that are not converted yet.

    Attributes:
        values: The settings.
        path: Path of the dict in the config.
    """

    def __init__(self, values: Mapping[str, Any], path: KeyPath) -> None:
        self.values, self.path = dict(values), path

    def pop(self, key: str, default: Any = None) -> Any:
        """Return a setting and remove it, or return a default."""
        return self.values.pop(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self.values

    def __bool__(self) -> bool:
        return bool(self.values)


class Conversion:
    """The conversion of one config.

    Args:
        tree: The merged settings.
        origin: Returns where a setting is set, if that is known.
        path: The file.
        report: Gets what is found.

    Attributes:
        tree: The merged settings that are not converted yet, by top-level key.
        new: The new settings.
        evaluation: Those of them that become ``evaluation``.
        half_evaluation: Whether evaluations are in half precision.
        left: What is not converted, by dotted key.
        inherited: Settings in cfgtrain's own keys, such as those of a base that is converted already.
        overlap: Those of them that settings of MMEngine are written over.
        own: The variables that the file itself sets.
        helpers: The variables that the code of the file, or of a base, reads.
        report: What was found.
    """

    def __init__(
        self,
        tree: Mapping[str, Any],
        origin: Callable[[KeyPath], Origin | None],
        path: Path,
        report: FileReport,
    ) -> None:
        self._origin, self._path = origin, path
        self.tree: dict[str, Any] = plain(tree)
        self.new: dict[str, Any] = {}
        self.evaluation: dict[str, Any] = {}
        self.half_evaluation = False
        self.left: dict[str, Any] = {}
        self.inherited: dict[str, Any] = {}
        self.overlap: list[str] = []
        self.own: set[str] = set()
        self.helpers: set[str] = set()
        self.report = report

    def part(self, *path: Any, of: Part | None = None) -> Part:
        """Return the dict at a path, which is removed from ``of`` or from ``tree``; an empty one if there is none."""
        values = self.tree.pop(path[-1], None) if of is None else of.pop(path[-1])
        if values is not None and not isinstance(values, Mapping):
            self.by_hand(path, values, "A dict is expected.")
        return Part(values if isinstance(values, Mapping) else {}, path)

    def rest(self, part: Part, hint: str = "") -> None:
        """List the settings of a dict that are not converted, except those that are None."""
        for key, value in part.values.items():
            if value is not None:
                self.by_hand((*part.path, key), value, hint)

    def by_hand(self, path: KeyPath, value: Any, hint: str = "", why: str = "It has no counterpart.") -> None:
        """List a setting that is not converted, and keep it as a comment in the new file."""
        key = str(dotted(path))
        self.left[key] = value
        text = repr(value)
        text = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
        self._add(path, f"{key} = {text} is not converted. {why}", hint, "todo")

    def todo(self, path: KeyPath, message: str, hint: str = "") -> None:
        """List a setting that is converted, but has to be changed by hand."""
        self._add(path, message, hint, "todo")

    def note(self, path: KeyPath, message: str) -> None:
        """Add a note about a setting."""
        self._add(path, message, "", "note")

    def problem(self, registry: Registry, cfg: Mapping[str, Any]) -> str | None:
        """Return which arguments a component of cfgtrain does not have, or None; None for unknown components."""
        target = known(registry, cfg.get("type"))
        if target is None:
            return None
        args = {key: value for key, value in cfg.items() if key not in ("type", "_scope_")}
        found = argument_problem(target, args, partial_args=True)
        return None if found is None else found.message

    def _add(self, path: KeyPath, message: str, hint: str, kind: Kind) -> None:
        try:
            origin = self._origin(path)
        except CfgTrainError:  # a key that was computed
            origin = None
        line = 0
        if origin is not None and origin.file is not None:
            if Path(origin.file).resolve() == self._path.resolve():
                line = origin.line or 0
            else:
                message = f"{origin}: {message}"
        self.report.add(line, message, hint, kind)


def known(registry: Registry, name: Any) -> Any:
    """Return the component of cfgtrain of this name, or None."""
    registry.fill()
    return registry.module_dict.get(name) if isinstance(name, str) else None


def plain(value: Any) -> Any:
    """Return a copy with dicts instead of config dicts."""
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(plain, value))
    return deepcopy(value)


def as_list(value: Any) -> Sequence[Any]:
    """Return a list as it is, nothing for None, and a list of one item for other values."""
    if value is None:
        return []
    return value if isinstance(value, (list, tuple)) else [value]
