"""Write a config in one of its formats, so that it loads to an equal config."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cfgtrain.config.bases import DEPRECATION, is_private
from cfgtrain.config.dict import DELETE, plain
from cfgtrain.config.key_paths import KeyPath, walk
from cfgtrain.config.pretty import pretty_python
from cfgtrain.errors import ConfigFormatError, ConfigKeyError, ConfigValueError
from cfgtrain.fileio.handlers import SafeDumper, file_handlers
from cfgtrain.origin import dotted, where
from cfgtrain.suggestions import with_article

_NAMES = {"json": "JSON", "yaml": "YAML", "yml": "YAML"}


def config_text(tree: Any, file_format: str, path: KeyPath = (), **layout: Any) -> str:
    """Return a config, or a part of a config, as text.

    Args:
        tree: Dicts, lists, tuples and leaves; a dict for ``"py"``.
        file_format: ``"py"``, ``"json"``, ``"yaml"`` or ``"yml"``.
        path: Path of the part in the config, for messages.
        layout: Passed to the writer of JSON or YAML, such as ``indent=4``.

    Raises:
        ConfigFormatError: The format is unknown.
        ConfigValueError: The format cannot represent a value; the error has its key path.
        ConfigKeyError: A key would be lost when the text is loaded.
    """
    text = pretty_python(tree) if file_format == "py" else _data_text(plain(tree), file_format, path, layout)
    if not path:
        check_names(tree)
    if DELETE in text:
        check_markers(tree, path)
    return text


def check_names(tree: Any) -> None:
    """Raise for a top-level key that a loader does not treat as a key of the config."""
    for key in tree:
        if is_private(key) or key == DEPRECATION:
            raise _lost(tree, key, (key,), "at the top of a file it is not a key of the config")


def check_markers(value: Any, path: KeyPath) -> None:
    """Raise for the key DELETE, which a loader removes after merging."""
    for at, node in walk(value, path):
        if isinstance(node, dict) and DELETE in node:
            raise _lost(node, DELETE, (*at, DELETE), "it controls merging, and is removed after that")


def _lost(node: Any, key: object, path: KeyPath, why: str) -> ConfigKeyError:
    return ConfigKeyError(
        f"The key {key!r} cannot be written: {why}, so that it would be lost. Take it out, or rename it.",
        origin=where(node, key),
        key=dotted(path),
    )


def _data_text(tree: Any, file_format: str, path: KeyPath, layout: dict[str, Any]) -> str:
    """Return JSON or YAML."""
    if file_format not in _NAMES or file_format not in file_handlers:
        raise ConfigFormatError(f"A config is written as py, json or yaml, not {file_format!r}.")
    try:
        if file_format == "json":
            _check_keys(tree, path)
        text = str(file_handlers[file_format].dump_to_str(tree, **layout))
        # Escape two opening braces, so that a loader does not take them for a placeholder. They can
        # occur in strings only; in YAML, these strings are written in double quotes.
        if "{{" in text and file_format == "json":
            text = text.replace("{{", r"{\u007b")
        elif "{{" in text:
            text = str(file_handlers[file_format].dump_to_str(tree, Dumper=_QuotingDumper, **layout))
            text = text.replace("{{", r"{\x7b")
        text.encode()
    except ConfigValueError:
        raise
    except (TypeError, ValueError) as error:
        raise _explained(tree, file_format, path) from error
    return text


def _explained(tree: Any, file_format: str, path: KeyPath) -> ConfigValueError:
    where, value = next(leaf for leaf in _leaves(tree, path) if not _can_hold(leaf[1], file_format))
    return ConfigValueError(
        f"{_NAMES[file_format]} cannot represent {value!r}, which is {_named(value)}.",
        key=dotted(where) or None,
    )


def _named(value: object) -> str:
    return with_article(type(value).__name__)


def _can_hold(value: Any, file_format: str) -> bool:
    try:
        str(file_handlers[file_format].dump_to_str(value)).encode()
    except (TypeError, ValueError):
        return False
    return True


def _leaves(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    """Yield the path and value of everything that is not a dict, list or tuple, including keys."""
    for at, node in walk(value, path):
        if isinstance(node, dict):
            yield from (((*at, key), key) for key in node)
        elif not isinstance(node, (list, tuple)):
            yield at, node


def _check_keys(value: Any, path: KeyPath) -> None:
    """Raise for keys that JSON cannot represent, and for two keys of a dict that it would write as one."""
    for at, node in walk(value, path):
        written: dict[str, Any] = {}
        for key in node if isinstance(node, dict) else ():
            if not isinstance(key, (str, int, float, bool, type(None))):
                raise ConfigValueError(
                    f"JSON cannot represent the key {key!r}, which is {_named(key)}.",
                    key=dotted((*at, key)),
                )
            text = key if isinstance(key, str) else str(file_handlers["json"].dump_to_str(key))
            if text in written:
                raise ConfigValueError(
                    f"JSON would write the keys {written[text]!r} and {key!r} as the same key.",
                    key=dotted((*at, key)),
                )
            written[text] = key


class _QuotingDumper(SafeDumper):
    """Writes strings with two opening braces in double quotes, in which the braces can be escaped."""


_QuotingDumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style='"' if "{{" in text else None
    ),
)
