"""Turn options such as ``{"a.b": value}`` into a tree, and reject unknown keys."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from cfgtrain.config.dict import DELETE, ConfigDict, with_trace
from cfgtrain.config.key_paths import NoSuchKeyError, follow, look_up, split_key
from cfgtrain.config.trace import FixedSource
from cfgtrain.errors import CheckError, ConfigKeyError, ConfigMergeError
from cfgtrain.origin import Origin, dotted
from cfgtrain.suggestions import close_names, with_article


def override_tree(options: Mapping[str, Any], origin: Origin, config: ConfigDict | None = None) -> ConfigDict:
    """Return the options as one tree with traces.

    Args:
        options: Values by dotted key (``"a.b"``, ``"a.0.b"`` or ``"a[0].b"``) or nested. A
            leading ``+`` is ignored. Not changed.
        origin: Where the options came from.
        config: The config that the tree will be merged into, which negative indices refer to.
    """
    tree: dict[Any, Any] = {}
    for key, value in options.items():
        _insert(tree, _resolve_parts(split_key(key), config), _copy(value))
    root: ConfigDict = with_trace(tree, FixedSource(tree, origin))
    return root


def check_form(options: object) -> None:
    """Raise if the options are not values by dotted key.

    Raises:
        ConfigMergeError: The options are not a mapping.
        ConfigKeyError: A key is not a string.
    """
    if not isinstance(options, Mapping):
        raise ConfigMergeError(f"Options are a dict of values by dotted key, not {options!r}.")
    for option in options:
        if not isinstance(option, str):
            raise ConfigKeyError(f"The option {option!r} is not a dotted key, such as 'optimizer.lr'.")


def check_known(config: ConfigDict, options: Mapping[str, Any]) -> None:
    """Raise for options that would create a key, unless they begin with ``+``.

    Raises:
        ConfigKeyError: A key is unknown, or a list has no such item.
        CheckError: Several options are wrong.
    """
    errors: list[ConfigKeyError] = []
    for option in options:
        try:
            if not option.startswith("+"):
                _check_known(config, option)
        except ConfigKeyError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise CheckError(f"There are {len(errors)} problems with the options.", errors)


def type_changes(
    config: ConfigDict, options: Mapping[str, Any], origin: Callable[[str], Origin | None]
) -> Iterator[str]:
    """Yield a warning for each option whose type differs from that of the value it replaces.

    There is no warning if an int replaces a float, a list a tuple or a tuple a list, or if one of
    the values is None.

    Args:
        config: The config before the options are merged into it.
        options: Values by dotted key.
        origin: Returns the origin of a key of the config.
    """
    for option, new in options.items():
        try:
            old = look_up(config, option)
        except NoSuchKeyError:
            continue  # a new key
        if old is None or new is None or _kind(old) == _kind(new) or (type(old), type(new)) == (float, int):
            continue
        place = origin(option.removeprefix("+"))
        hint = ""
        if isinstance(old, str) and isinstance(new, (int, float)):
            hint = f" For a string write '{option}=\"{new}\"', the quotes included."
        yield (
            f"{option} is now {_named(new)}; the value that it replaces is {_named(old)}"
            f"{f' ({place})' if place else ''}.{hint}"
        )


def _kind(value: object) -> object:
    if isinstance(value, Mapping):
        return Mapping
    return list if isinstance(value, (list, tuple)) else type(value)


def _named(value: object) -> str:
    name = "dict" if isinstance(value, Mapping) else type(value).__name__
    return f"{with_article(name)} {reprlib.repr(value)}"


def _check_known(config: ConfigDict, option: str) -> None:
    parts = split_key(option)
    node: Any = config
    steps = follow(config, parts)
    for part in parts:
        if node is None or part == DELETE:
            return  # there is no value yet: the code that reads it checks it
        try:
            _, node = next(steps)
        except NoSuchKeyError as missing:
            raise _unknown(missing, option) from None


def _unknown(missing: NoSuchKeyError, option: str) -> ConfigKeyError:
    part, node, done, hint = missing.part, missing.node, missing.done, ""
    if isinstance(node, (list, tuple)):
        message = f"{dotted(done)} has no item {part}, so {option!r} cannot be set: its indices are {missing.indices()}."
    elif not isinstance(node, dict):
        message = f"{dotted(done)} is {node!r}, which has no keys, so {option!r} cannot be set."
    else:
        inside = f" in {dotted(done)}" if done else ""
        corrected = _corrected(missing, option)
        hint = missing.hint() if corrected is None else f" Did you mean {corrected!r}?"
        plus = "" if missing.listed() else f" To add a new key, begin it with a plus: '+{option}=...'."
        message = f"There is no key {part!r}{inside} to override."
        hint = hint + plus
    return ConfigKeyError(message, hint=hint, key=option)


def _corrected(missing: NoSuchKeyError, option: str) -> str | None:
    """Return the option with the wrong part corrected, if one name is similar and the rest of the option exists."""
    if missing.listed():
        return None
    close = close_names(str(missing.part), map(str, cast("dict[Any, Any]", missing.node)), count=1)
    rest = split_key(option)[len(missing.done) + 1 :]
    try:
        for _ in follow(cast("dict[Any, Any]", missing.node), [*close, *rest]):
            pass
    except NoSuchKeyError:
        return None
    return ".".join([*map(str, missing.done), *close, *rest]) if close else None


def _resolve_parts(parts: list[str], config: ConfigDict | None) -> list[object]:
    """Return the parts of a key as they are in the config: negative indices resolved, numeric keys as numbers."""
    resolved: list[object] = []
    with suppress(NoSuchKeyError):
        resolved.extend(key for key, _ in follow(config, parts))
    return resolved + parts[len(resolved) :]


def _insert(tree: dict[Any, Any], keys: Sequence[object], value: Any) -> None:
    """Set ``value`` at ``keys``; two dicts are merged, and later options override earlier ones."""
    for key in keys[:-1]:
        if not isinstance(tree.get(key), dict):
            tree[key] = {}
        tree = tree[key]
    old = tree.get(keys[-1])
    if isinstance(old, dict) and isinstance(value, dict):
        for key, item in value.items():
            _insert(old, [key], item)
    else:
        tree[keys[-1]] = value


def _copy(value: Any) -> Any:
    """Return a copy of nested dicts, in whose keys dots have no meaning."""
    return {key: _copy(item) for key, item in value.items()} if isinstance(value, Mapping) else value
