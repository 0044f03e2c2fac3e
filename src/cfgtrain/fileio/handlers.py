"""File formats: how JSON, YAML and pickle become objects and back."""

from __future__ import annotations

import io
import json
import pickle
import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

import yaml

from cfgtrain.errors import ArgumentError, ArgumentTypeError, NameTakenError
from cfgtrain.filesystem.atomic import atomic_write
from cfgtrain.suggestions import with_article

__all__ = ["BaseFileHandler", "JsonHandler", "PickleHandler", "YamlHandler", "register_handler"]

Handler = TypeVar("Handler", bound="type[BaseFileHandler]")


class BaseFileHandler(ABC):
    """Reads and writes one format.

    Attributes:
        str_like: Whether the format is text; if not, files are opened in binary mode.
    """

    str_like = True

    @abstractmethod
    def load_from_fileobj(self, file: IO[Any], **kwargs: Any) -> Any:
        """Read one object from an open file."""

    @abstractmethod
    def dump_to_fileobj(self, obj: Any, file: IO[Any], **kwargs: Any) -> None:
        """Write one object to an open file."""

    @abstractmethod
    def dump_to_str(self, obj: Any, **kwargs: Any) -> str | bytes:
        """Return one object as text, or as bytes where the format is binary."""

    def load_from_path(self, filepath: str | Path, mode: str | None = None, **kwargs: Any) -> Any:
        """Read one object from a file, opened as text or as ``str_like`` says."""
        mode = mode or ("r" if self.str_like else "rb")
        with Path(filepath).open(mode, encoding=None if "b" in mode else "utf-8") as file:
            return self.load_from_fileobj(file, **kwargs)

    def dump_to_path(self, obj: Any, filepath: str | Path, mode: str | None = None, **kwargs: Any) -> None:
        """Write one object to a file, whole or not at all, as text or as ``str_like`` says."""
        file: IO[Any] = io.BytesIO() if "b" in (mode or "") or not self.str_like else io.StringIO()
        self.dump_to_fileobj(obj, file, **kwargs)
        content = file.getvalue()  # type: ignore[attr-defined]  # both have it
        with atomic_write(filepath) as out:
            out.write(content.encode() if isinstance(content, str) else content)


class JsonHandler(BaseFileHandler):
    """JSON. Sets, ranges, NumPy arrays and NumPy scalars are written as lists and numbers."""

    def load_from_fileobj(self, file: IO[Any], **kwargs: Any) -> Any:
        """Read one object; see ``json.load`` for ``kwargs``."""
        return json.load(file, **kwargs)

    def dump_to_fileobj(self, obj: Any, file: IO[Any], **kwargs: Any) -> None:
        """Write one object; see ``json.dump`` for ``kwargs``."""
        file.write(self.dump_to_str(obj, **kwargs))  # json.dump itself writes in small pieces, 4 times slower

    def dump_to_str(self, obj: Any, **kwargs: Any) -> str:
        """Return one object as text; see ``json.dumps`` for ``kwargs``."""
        kwargs.setdefault("default", _json_default)
        return json.dumps(obj, **kwargs)


class YamlHandler(BaseFileHandler):
    """YAML, read with a safe loader that never runs code; tuples survive a round trip.

    Ranges, NumPy arrays and NumPy scalars are written as lists and numbers.
    """

    def load_from_fileobj(self, file: IO[Any], **kwargs: Any) -> Any:
        """Read one object with ``SafeLoader``, unless ``Loader`` names another."""
        kwargs.setdefault("Loader", SafeLoader)
        return yaml.load(file, **kwargs)  # noqa: S506  # safe unless the caller asks otherwise

    def dump_to_fileobj(self, obj: Any, file: IO[Any], **kwargs: Any) -> None:
        """Write one object; see ``yaml.dump`` for ``kwargs``."""
        _dump_yaml(obj, file, **kwargs)

    def dump_to_str(self, obj: Any, **kwargs: Any) -> str:
        """Return one object as text; see ``yaml.dump`` for ``kwargs``."""
        return str(_dump_yaml(obj, None, **kwargs))


class PickleHandler(BaseFileHandler):
    """Pickle, protocol 2 unless told otherwise. Loading a pickle runs code: only load your own."""

    str_like = False

    def load_from_fileobj(self, file: IO[Any], **kwargs: Any) -> Any:
        """Read one object; see ``pickle.load`` for ``kwargs``. Once per process it warns."""
        _warn_of_pickle()
        return pickle.load(file, **kwargs)  # noqa: S301  # the format is what the caller named

    def dump_to_fileobj(self, obj: Any, file: IO[Any], **kwargs: Any) -> None:
        """Write one object; see ``pickle.dump`` for ``kwargs``."""
        kwargs.setdefault("protocol", 2)
        pickle.dump(obj, file, **kwargs)

    def dump_to_str(self, obj: Any, **kwargs: Any) -> bytes:
        """Return one object as bytes; see ``pickle.dumps`` for ``kwargs``."""
        kwargs.setdefault("protocol", 2)
        return pickle.dumps(obj, **kwargs)


class SafeLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # C or Python
    """YAML's safe loader, plus tuples and numbers such as ``1e-3``."""


class SafeDumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # C or Python
    """YAML's safe dumper, plus tuples, ranges and NumPy; it quotes strings that look like ``1e-3``."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write repeated values out: a config is read by people."""
        return True


def _dump_yaml(obj: Any, file: IO[Any] | None, **kwargs: Any) -> Any:
    kwargs.setdefault("Dumper", SafeDumper)
    try:
        return yaml.dump(obj, file, **kwargs)
    except yaml.representer.RepresenterError as error:
        culprit = error.args[-1]
        raise ArgumentTypeError(f"YAML cannot hold {_named(culprit)}.") from error
    except RecursionError as error:
        raise ArgumentError("YAML cannot hold what contains itself, or is nested very deep.") from error


def _named(value: object) -> str:
    return f"{value!r}, which is {with_article(type(value).__name__)}"


def _represent_other(dumper: Any, data: Any) -> Any:
    plain = _plain(data)
    return dumper.represent_undefined(data) if plain is _NOTHING else dumper.represent_data(plain)


def _json_default(obj: Any) -> Any:
    plain = list(obj) if isinstance(obj, (set, frozenset)) else _plain(obj)
    if plain is _NOTHING:
        raise ArgumentTypeError(f"JSON cannot hold {_named(obj)}.")
    return plain


def _plain(obj: Any) -> Any:
    """Return a range, or an array or number of NumPy, as lists and numbers; else ``_NOTHING``."""
    if isinstance(obj, range):
        return list(obj)
    # NumPy is known by name, so that writing a file never imports it.
    kinds = {(base.__module__, base.__name__) for base in type(obj).__mro__}
    if kinds & {("numpy", "ndarray"), ("numpy", "generic")}:
        plain = obj.tolist()
        if type(plain) is not type(obj):  # numbers that Python has no type for stay what they are
            return plain
    return _NOTHING


def _warn_of_pickle() -> None:
    if not _warned_of_pickle:
        _warned_of_pickle.append(True)
        warnings.warn(
            "Loading a pickle runs what is written in it: load only files that you trust.", stacklevel=4
        )


def _tuple_of(loader: Any, node: Any) -> tuple[Any, ...]:
    return tuple(loader.construct_sequence(node, deep=True))


_NOTHING = object()
_warned_of_pickle: list[bool] = []
_TUPLE = "tag:yaml.org,2002:python/tuple"
_FLOAT = "tag:yaml.org,2002:float"
# YAML 1.1 asks for a dot and a sign in an exponent; everybody else writes 1e-3.
_EXPONENT = re.compile(r"^[-+]?\d[\d_]*(\.[\d_]*)?[eE][-+]?\d+$")

SafeLoader.add_constructor(_TUPLE, _tuple_of)
SafeDumper.add_multi_representer(dict, lambda dumper, data: dumper.represent_dict(data))
SafeDumper.add_representer(tuple, lambda dumper, data: dumper.represent_sequence(_TUPLE, data))
SafeDumper.add_representer(None, _represent_other)
for _yaml_class in (SafeLoader, SafeDumper):
    _yaml_class.add_implicit_resolver(_FLOAT, _EXPONENT, list("-+0123456789"))

file_handlers: dict[str, BaseFileHandler] = {
    "json": JsonHandler(),
    "yaml": YamlHandler(),
    "yml": YamlHandler(),
    "pickle": PickleHandler(),
    "pkl": PickleHandler(),
}


def register_handler(
    formats: str | Sequence[str], *, force: bool = False, **kwargs: Any
) -> Callable[[Handler], Handler]:
    """Return a class decorator that makes ``load`` and ``dump`` know a format.

    Args:
        formats: File extension or extensions, without the dot.
        force: Whether to replace the handler of a format that has one. A class may always
            replace itself, as it does when its module is run again.
        kwargs: Arguments for the handler's constructor.

    Raises:
        ArgumentTypeError: The class is no ``BaseFileHandler``, or a format is not a str.
        NameTakenError: A format has a handler and ``force`` is not set; nothing is changed.
    """
    names: list[Any] = [formats] if isinstance(formats, str) else list(formats)
    if not all(isinstance(name, str) for name in names):
        raise ArgumentTypeError(f"A format is a str or a list of str, not {formats!r}.")

    def register(cls: Handler) -> Handler:
        given: Any = cls
        if not (isinstance(given, type) and issubclass(given, BaseFileHandler)):
            raise ArgumentTypeError(f"A handler is a subclass of BaseFileHandler, which {cls!r} is not.")
        for name in names:
            holder = type(file_handlers[name]) if name in file_handlers else cls
            if not force and (holder.__module__, holder.__qualname__) != (cls.__module__, cls.__qualname__):
                raise NameTakenError(
                    f"The format {name!r} is {holder.__qualname__}'s; register_handler(..., force=True) replaces it."
                )
        file_handlers.update(dict.fromkeys(names, cls(**kwargs)))
        return cls

    return register
