"""Write a config in one of its formats, such that it loads back equal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cfgtrain.config.bases import DEPRECATION, is_private
from cfgtrain.config.dict import DELETE, plain
from cfgtrain.config.key_paths import Path
from cfgtrain.config.pretty import pretty_python
from cfgtrain.errors import ConfigFormatError, ConfigKeyError, ConfigValueError
from cfgtrain.fileio.handlers import SafeDumper, file_handlers
from cfgtrain.origin import dotted, where
from cfgtrain.suggestions import with_article

_NAMES = {"json": "JSON", "yaml": "YAML", "yml": "YAML"}


def config_text(tree: Any, file_format: str, path: Path = (), **layout: Any) -> str:
    """Return a config, or a part of one, as text.

    Args:
        tree: Dicts, lists, tuples and leaves; a dict for ``"py"``.
        file_format: ``"py"``, ``"json"``, ``"yaml"`` or ``"yml"``.
        path: Where the part stands in the config, for messages.
        layout: Passed to the writer of JSON or YAML, such as ``indent=4``.

    Raises:
        ConfigFormatError: The format is another one.
        ConfigValueError: A value cannot be held by the format; its key path is named.
        ConfigKeyError: A key would be lost when the text is read.
    """
    text = pretty_python(tree) if file_format == "py" else _data_text(plain(tree), file_format, path, layout)
    if not path:
        check_names(tree)
    if DELETE in text:
        check_markers(tree, path)
    return text


def check_names(tree: Any) -> None:
    """Raise for a key that is none at the top of a file."""
    for key in tree:
        if is_private(key) or key == DEPRECATION:
            raise _lost(tree, key, (key,), "at the top of a file it is no key of the config")


def check_markers(value: Any, path: Path) -> None:
    """Raise for a key that says how a dict is merged, and is gone once it has been."""
    if isinstance(value, dict):
        if DELETE in value:
            raise _lost(value, DELETE, (*path, DELETE), "it says how a dict is merged, and goes with that")
        for key, part in value.items():
            check_markers(part, (*path, key))
    elif isinstance(value, (list, tuple)):
        for index, part in enumerate(value):
            check_markers(part, (*path, index))


def _lost(node: Any, key: object, path: Path, why: str) -> ConfigKeyError:
    return ConfigKeyError(
        f"The key {key!r} cannot be written: {why}, so that it would be lost. Take it out, or rename it.",
        origin=where(node, key),
        key=dotted(path),
    )


def _data_text(tree: Any, file_format: str, path: Path, layout: dict[str, Any]) -> str:
    """Return JSON or YAML."""
    if file_format not in _NAMES or file_format not in file_handlers:
        raise ConfigFormatError(f"A config is written as py, json or yaml, not {file_format!r}.")
    try:
        if file_format == "json":
            _check_keys(tree, path)
        text = str(file_handlers[file_format].dump_to_str(tree, **layout))
        # A loader fills in {{ fileDirname }} and the like: what is written is to stay as it is. Two
        # braces stand side by side in strings only, and in YAML those are then put in double quotes.
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


def _explained(tree: Any, file_format: str, path: Path) -> ConfigValueError:
    where, value = next(leaf for leaf in _leaves(tree, path) if not _can_hold(leaf[1], file_format))
    return ConfigValueError(
        f"{_NAMES[file_format]} cannot hold {value!r}, which is {_named(value)}.",
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


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Yield the path and value of everything that is no dict, list or tuple, keys included."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield (*path, key), key
            yield from _leaves(part, (*path, key))
    elif isinstance(value, (list, tuple)):
        for index, part in enumerate(value):
            yield from _leaves(part, (*path, index))
    else:
        yield path, value


def _check_keys(value: Any, path: Path) -> None:
    """Raise for two keys of one dict that JSON would write as one, and for keys that it has no form of."""
    if isinstance(value, dict):
        written: dict[str, Any] = {}
        for key, part in value.items():
            if not isinstance(key, (str, int, float, bool, type(None))):
                raise ConfigValueError(
                    f"JSON cannot hold the key {key!r}, which is {_named(key)}.",
                    key=dotted((*path, key)),
                )
            text = key if isinstance(key, str) else _json_key(key)
            if text in written:
                raise ConfigValueError(
                    f"JSON would write the keys {written[text]!r} and {key!r} as the same one.",
                    key=dotted((*path, key)),
                )
            written[text] = key
            _check_keys(part, (*path, key))
    elif isinstance(value, (list, tuple)):
        for index, part in enumerate(value):
            _check_keys(part, (*path, index))


def _json_key(key: object) -> str:
    return str(file_handlers["json"].dump_to_str(key))


class _QuotingDumper(SafeDumper):
    """Puts strings with two opening braces in double quotes, in which they can be escaped."""


_QuotingDumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style='"' if "{{" in text else None
    ),
)
