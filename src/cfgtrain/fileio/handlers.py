"""File formats: how JSON, YAML and pickle become objects and back."""

from __future__ import annotations

import json
import pickle
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import IO, Any, TypeVar

import yaml

from cfgtrain.errors import ArgumentTypeError

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


class JsonHandler(BaseFileHandler):
    """JSON. Sets, ranges, NumPy arrays and NumPy scalars are written as lists and numbers."""

    def load_from_fileobj(self, file: IO[Any], **kwargs: Any) -> Any:
        """Read one object; see ``json.load`` for ``kwargs``."""
        return json.load(file, **kwargs)

    def dump_to_fileobj(self, obj: Any, file: IO[Any], **kwargs: Any) -> None:
        """Write one object; see ``json.dump`` for ``kwargs``."""
        kwargs.setdefault("default", _json_default)
        json.dump(obj, file, **kwargs)

    def dump_to_str(self, obj: Any, **kwargs: Any) -> str:
        """Return one object as text; see ``json.dumps`` for ``kwargs``."""
        kwargs.setdefault("default", _json_default)
        return json.dumps(obj, **kwargs)


class YamlHandler(BaseFileHandler):
    """YAML, read with a safe loader that never runs code; tuples survive a round trip."""

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
        """Read one object; see ``pickle.load`` for ``kwargs``."""
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
    """YAML's safe dumper, plus tuples; it quotes strings that look like ``1e-3``."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write repeated values out: a config is read by people."""
        return True


def _dump_yaml(obj: Any, file: IO[Any] | None, **kwargs: Any) -> Any:
    kwargs.setdefault("Dumper", SafeDumper)
    try:
        return yaml.dump(obj, file, **kwargs)
    except yaml.representer.RepresenterError as error:
        culprit = error.args[-1]
        raise ArgumentTypeError(
            f"YAML cannot hold {culprit!r}, which is a {type(culprit).__name__}."
        ) from error


def _json_default(obj: Any) -> Any:
    if isinstance(obj, (set, range)):
        return list(obj)
    # NumPy is known by its methods, so that writing JSON never imports it.
    for method in ("tolist", "item"):
        if type(obj).__module__ == "numpy" and hasattr(obj, method):
            return getattr(obj, method)()
    raise ArgumentTypeError(f"JSON cannot hold {obj!r}, which is a {type(obj).__name__}.")


def _tuple_of(loader: Any, node: Any) -> tuple[Any, ...]:
    return tuple(loader.construct_sequence(node, deep=True))


_TUPLE = "tag:yaml.org,2002:python/tuple"
_FLOAT = "tag:yaml.org,2002:float"
# YAML 1.1 asks for a dot and a sign in an exponent; everybody else writes 1e-3.
_EXPONENT = re.compile(r"^[-+]?\d[\d_]*(\.[\d_]*)?[eE][-+]?\d+$")

SafeLoader.add_constructor(_TUPLE, _tuple_of)
SafeDumper.add_multi_representer(dict, lambda dumper, data: dumper.represent_dict(data))
SafeDumper.add_representer(tuple, lambda dumper, data: dumper.represent_sequence(_TUPLE, data))
for _yaml_class in (SafeLoader, SafeDumper):
    _yaml_class.add_implicit_resolver(_FLOAT, _EXPONENT, list("-+0123456789"))

file_handlers: dict[str, BaseFileHandler] = {
    "json": JsonHandler(),
    "yaml": YamlHandler(),
    "yml": YamlHandler(),
    "pickle": PickleHandler(),
    "pkl": PickleHandler(),
}


def register_handler(formats: str | Sequence[str], **kwargs: Any) -> Callable[[Handler], Handler]:
    """Return a class decorator that makes ``load`` and ``dump`` know a format.

    Args:
        formats: File extension or extensions, without the dot.
        kwargs: Arguments for the handler's constructor.

    Raises:
        ArgumentTypeError: The class is no ``BaseFileHandler``, or a format is not a str.
    """
    names: list[Any] = [formats] if isinstance(formats, str) else list(formats)
    if not all(isinstance(name, str) for name in names):
        raise ArgumentTypeError(f"A format is a str or a list of str, not {formats!r}.")

    def register(cls: Handler) -> Handler:
        if not issubclass(cls, BaseFileHandler):
            raise ArgumentTypeError(f"A handler is a subclass of BaseFileHandler, which {cls!r} is not.")
        file_handlers.update(dict.fromkeys(names, cls(**kwargs)))
        return cls

    return register
