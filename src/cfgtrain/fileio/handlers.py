"""File formats: read and write JSON, YAML and pickle."""

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
    """Base class of file handlers, each of which reads and writes one format.

    Attributes:
        str_like: Whether the format is text. Files of other formats are opened in binary mode.
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
        """Return one object as text, or as bytes if the format is binary."""

    def load_from_path(self, filepath: str | Path, mode: str | None = None, **kwargs: Any) -> Any:
        """Read one object from a file.

        Args:
            filepath: Local path of the file.
            mode: Mode for opening the file; by default ``"r"`` for a text format and ``"rb"`` for a binary one.
            kwargs: Passed to ``load_from_fileobj``.
        """
        mode = mode or ("r" if self.str_like else "rb")
        with Path(filepath).open(mode, encoding=None if "b" in mode else "utf-8-sig") as file:
            return self.load_from_fileobj(file, **kwargs)

    def dump_to_path(self, obj: Any, filepath: str | Path, mode: str | None = None, **kwargs: Any) -> None:
        """Write one object to a file atomically: the file is either written completely or left as it was.

        Args:
            obj: The object to write.
            filepath: Local path of the file.
            mode: A mode that contains ``"b"`` makes the handler write bytes. By default ``str_like`` decides.
            kwargs: Passed to ``dump_to_fileobj``.
        """
        file: IO[Any] = io.BytesIO() if "b" in (mode or "") or not self.str_like else io.StringIO()
        self.dump_to_fileobj(obj, file, **kwargs)
        content = file.getvalue()  # type: ignore[attr-defined]  # both have it
        with atomic_write(filepath) as out:
            out.write(content.encode() if isinstance(content, str) else content)


class JsonHandler(BaseFileHandler):
    """JSON. Sets, ranges, NumPy arrays and NumPy scalars are written as lists and numbers."""

    def load_from_fileobj(self, file: IO[Any], **kwargs: Any) -> Any:
        """Read one object; see ``json.load`` for ``kwargs``."""
        content = file.read()
        if isinstance(content, str):
            content = content.removeprefix("\ufeff")  # the byte order mark of UTF-8
        return json.loads(content, **kwargs)

    def dump_to_fileobj(self, obj: Any, file: IO[Any], **kwargs: Any) -> None:
        """Write one object; see ``json.dump`` for ``kwargs``."""
        file.write(self.dump_to_str(obj, **kwargs))  # json.dump writes small pieces and is 4 times slower

    def dump_to_str(self, obj: Any, **kwargs: Any) -> str:
        """Return one object as text; see ``json.dumps`` for ``kwargs``."""
        kwargs.setdefault("default", _json_default)
        return json.dumps(obj, **kwargs)


class YamlHandler(BaseFileHandler):
    """YAML, read with a safe loader that never runs code. Tuples are preserved.

    Ranges, NumPy arrays and NumPy scalars are written as lists and numbers.
    """

    def load_from_fileobj(self, file: IO[Any], **kwargs: Any) -> Any:
        """Read one object with ``SafeLoader``, or with the ``Loader`` in ``kwargs``."""
        kwargs.setdefault("Loader", SafeLoader)
        return yaml.load(file, **kwargs)  # noqa: S506  # safe unless the caller passes another Loader

    def dump_to_fileobj(self, obj: Any, file: IO[Any], **kwargs: Any) -> None:
        """Write one object; see ``yaml.dump`` for ``kwargs``."""
        _dump_yaml(obj, file, **kwargs)

    def dump_to_str(self, obj: Any, **kwargs: Any) -> str:
        """Return one object as text; see ``yaml.dump`` for ``kwargs``."""
        return str(_dump_yaml(obj, None, **kwargs))


class PickleHandler(BaseFileHandler):
    """Pickle, by default with protocol 2. Loading a pickle can run any code: only load files that you trust."""

    str_like = False

    def load_from_fileobj(self, file: IO[Any], **kwargs: Any) -> Any:
        """Read one object; see ``pickle.load`` for ``kwargs``.

        The first call in a process issues a warning that a pickle can run code.
        """
        _warn_about_pickle()
        return pickle.load(file, **kwargs)  # noqa: S301  # the caller chose the format

    def dump_to_fileobj(self, obj: Any, file: IO[Any], **kwargs: Any) -> None:
        """Write one object; see ``pickle.dump`` for ``kwargs``."""
        kwargs.setdefault("protocol", 2)
        pickle.dump(obj, file, **kwargs)

    def dump_to_str(self, obj: Any, **kwargs: Any) -> bytes:
        """Return one object as bytes; see ``pickle.dumps`` for ``kwargs``."""
        kwargs.setdefault("protocol", 2)
        return pickle.dumps(obj, **kwargs)


class SafeLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # C or Python
    """YAML's safe loader, extended by tuples and numbers such as ``1e-3``."""


class SafeDumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # C or Python
    """YAML's safe dumper, extended by tuples, ranges and NumPy; it quotes strings such as ``"1e-3"``."""

    def ignore_aliases(self, data: Any) -> bool:
        """Disable aliases: a value that occurs twice is written twice, which is easier to read."""
        return True


def _dump_yaml(obj: Any, file: IO[Any] | None, **kwargs: Any) -> Any:
    kwargs.setdefault("Dumper", SafeDumper)
    try:
        return yaml.dump(obj, file, **kwargs)
    except yaml.representer.RepresenterError as error:
        culprit = error.args[-1]
        raise ArgumentTypeError(f"YAML cannot represent {_describe(culprit)}.") from error
    except RecursionError as error:
        raise ArgumentError(
            "YAML cannot represent an object that contains itself or is nested too deeply."
        ) from error


def _describe(value: object) -> str:
    return f"{value!r}, which is {with_article(type(value).__name__)}"


def _represent_other(dumper: Any, data: Any) -> Any:
    builtin = _to_builtin(data)
    return dumper.represent_undefined(data) if builtin is _UNSUPPORTED else dumper.represent_data(builtin)


def _json_default(obj: Any) -> Any:
    builtin = list(obj) if isinstance(obj, (set, frozenset)) else _to_builtin(obj)
    if builtin is _UNSUPPORTED:
        raise ArgumentTypeError(f"JSON cannot represent {_describe(obj)}.")
    return builtin


def _to_builtin(obj: Any) -> Any:
    """Convert a range, a NumPy array or a NumPy scalar to lists and numbers; return ``_UNSUPPORTED`` for others."""
    if isinstance(obj, range):
        return list(obj)
    # NumPy types are recognized by name, so that writing a file does not import NumPy.
    kinds = {(base.__module__, base.__name__) for base in type(obj).__mro__}
    if kinds & {("numpy", "ndarray"), ("numpy", "generic")}:
        builtin = obj.tolist()
        # tolist() returns a scalar without an equivalent in Python unchanged.
        if type(builtin) is not type(obj):
            return builtin
    return _UNSUPPORTED


def _warn_about_pickle() -> None:
    if not _pickle_warned:
        _pickle_warned.append(True)
        warnings.warn(
            "Loading a pickle can run any code that is in it: load only files that you trust.", stacklevel=4
        )


def _construct_tuple(loader: Any, node: Any) -> tuple[Any, ...]:
    return tuple(loader.construct_sequence(node, deep=True))


_UNSUPPORTED = object()
_pickle_warned: list[bool] = []
_TUPLE = "tag:yaml.org,2002:python/tuple"
_FLOAT = "tag:yaml.org,2002:float"
# YAML 1.1 requires a dot in the number and a sign in its exponent (1.0e-3), but most people write 1e-3.
_EXPONENT = re.compile(r"^[-+]?\d[\d_]*(\.[\d_]*)?[eE][-+]?\d+$")

SafeLoader.add_constructor(_TUPLE, _construct_tuple)
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
    """Return a class decorator that registers a handler, for ``load`` and ``dump``.

    Args:
        formats: File extension or extensions, without the dot.
        force: Whether to replace the handler of a format that has one. A class may always replace
            itself, which happens when its module is executed again.
        kwargs: Arguments of the handler's constructor.

    Raises:
        ArgumentTypeError: A format is not a str, or the class is not a subclass of ``BaseFileHandler``.
        NameTakenError: A format has a handler already and ``force`` is False. Nothing is registered then.
    """
    names: list[Any] = [formats] if isinstance(formats, str) else list(formats)
    if not all(isinstance(name, str) for name in names):
        raise ArgumentTypeError(f"formats must be a str or a list of str, not {formats!r}.")

    def register(cls: Handler) -> Handler:
        given: Any = cls
        if not (isinstance(given, type) and issubclass(given, BaseFileHandler)):
            raise ArgumentTypeError(f"A file handler must be a subclass of BaseFileHandler, not {cls!r}.")
        for name in names:
            holder = type(file_handlers[name]) if name in file_handlers else cls
            if not force and (holder.__module__, holder.__qualname__) != (cls.__module__, cls.__qualname__):
                raise NameTakenError(
                    f"The format {name!r} is already registered for {holder.__qualname__}. To replace it, use "
                    "register_handler(..., force=True)."
                )
        file_handlers.update(dict.fromkeys(names, cls(**kwargs)))
        return cls

    return register
