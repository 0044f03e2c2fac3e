"""What becomes of ``custom_imports`` when configs are merged: nothing is dropped in silence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cfgtrain.config.dict import DELETE, ConfigDict, set_trace
from cfgtrain.config.key_paths import KeyPath
from cfgtrain.config.trace import MovedSource, Trace
from cfgtrain.origin import Origin, place_text
from cfgtrain.suggestions import one_of

__all__ = ["CUSTOM_IMPORTS", "IMPORTS", "import_names", "is_import_list", "join_imports", "replaced_imports"]

CUSTOM_IMPORTS, IMPORTS, ALLOW = "custom_imports", "imports", "allow_failed_imports"


def is_import_list(value: object) -> bool:
    """Return whether a value is a valid ``custom_imports``."""
    if not isinstance(value, Mapping) or not {IMPORTS} <= set(value) <= {IMPORTS, ALLOW}:
        return False
    names = value[IMPORTS]
    listed = names if isinstance(names, list | tuple) else [names or ""]
    return all(isinstance(name, str) for name in listed) and value.get(ALLOW, False) in (True, False)


def import_names(value: Mapping[str, Any]) -> list[str]:
    """Return the modules of a valid ``custom_imports``."""
    names = value[IMPORTS] or []
    return [names] if isinstance(names, str) else list(names)


def join_imports(first: Any, second: Any) -> ConfigDict | None:
    """Return the ``custom_imports`` of two bases as one: the modules of both, each once.

    A module may only fail to be imported if both bases allow it. Each module keeps its origin.

    Returns:
        None if one of them is not a valid ``custom_imports``.
    """
    if not is_import_list(first) or not is_import_list(second):
        return None
    names = import_names(first)
    added = [(i, name) for i, name in enumerate(import_names(second)) if name not in names]
    if (
        not added
        and type(first) is ConfigDict
        and type(first[IMPORTS]) is list
        and not {*first, *second} - {IMPORTS}
    ):
        return first  # as it is
    joined = ConfigDict({IMPORTS: names + [name for _, name in added]})
    if ALLOW in first or ALLOW in second:
        joined[ALLOW] = first.get(ALLOW, False) and second.get(ALLOW, False)
    trace, other = getattr(first, "_trace", None), getattr(second, "_trace", None)
    if trace is not None and other is not None:
        moves = [_item(first, i) for i in range(len(names))], [_item(second, i) for i, _ in added]
        set_trace(joined, _joined_trace(trace, other, *moves))
    return joined


def replaced_imports(base: Any, child: Any, place: Origin | None) -> str | None:
    """Return the warning about modules of a base that are not imported because a child has its own list.

    Args:
        base: ``custom_imports`` of the base.
        child: That of the child. With ``_delete_=True`` it replaces the base on purpose.
        place: Where the child sets its list.

    Returns:
        None if all modules of the base are still imported.
    """
    if not isinstance(child, Mapping) or child.get(DELETE) is True:
        return None
    own = {key: value for key, value in child.items() if key != DELETE}
    if not is_import_list(base) or not is_import_list(own):
        return None
    inherited, names = import_names(base), import_names(own)
    dropped = [name for name in inherited if name not in names]
    if not dropped:
        return None
    trace = getattr(base, "_trace", None)
    origins = (trace.origin(*_item(base, inherited.index(name))) for name in dropped) if trace else ()
    places = ", ".join(dict.fromkeys(str(origin) for origin in origins if origin is not None))
    listed = one_of(dropped).replace(" or ", " and ")
    subject = f"module {listed}" if len(dropped) == 1 else f"modules {listed}"
    verb, it, they = ("is", "it", "it is") if len(dropped) == 1 else ("are", "them", "they are")
    everything = [*inherited, *(name for name in names if name not in inherited)]
    return (
        f"The {subject}{f' ({places})' if places else ''} {verb} no longer imported, because a list replaces the "
        f"inherited one. To keep {it}, write imports={everything!r}. If {they} not needed, add {DELETE}=True to "
        f"{CUSTOM_IMPORTS}.\n  at {place_text(place, f'{CUSTOM_IMPORTS}.{IMPORTS}')}"
    )


def _item(value: Mapping[str, Any], index: int) -> KeyPath:
    """Return the path of a module in a ``custom_imports``, whose ``imports`` may be one name or a list."""
    return (IMPORTS,) if isinstance(value[IMPORTS], str) else (IMPORTS, index)


def _joined_trace(first: Trace, second: Trace, kept: list[KeyPath], added: list[KeyPath]) -> Trace:
    """Return the trace of joined lists, whose items are at new places.

    Args:
        first: Trace of the first ``custom_imports``.
        second: Trace of the second one.
        kept: Paths of the modules in the first one.
        added: Paths of those that were added in the second one.
    """
    here = (*first.path, IMPORTS)
    sources = list(first.sources)
    sources += [
        MovedSource(source, (*first.path, *path), (*here, i))
        for i, path in enumerate(kept)
        if len(path) == 1
        for source in first.sources
    ]
    sources += [
        MovedSource(source, (*second.path, *path), (*here, i))
        for i, path in enumerate(added, len(kept))
        for source in second.sources
    ]
    return Trace(first.path, tuple(sources), first.edits)
