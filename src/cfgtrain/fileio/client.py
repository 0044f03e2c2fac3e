"""FileClient: one set of methods for files wherever they are."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from types import NoneType
from typing import Any, ClassVar, Self, TypeVar

from cfgtrain.errors import ArgumentError, ArgumentTypeError, BackendError, NameTakenError
from cfgtrain.fileio.backends.base import BaseStorageBackend
from cfgtrain.fileio.backends.disk import HardDiskBackend
from cfgtrain.fileio.backends.fsspec import FsspecBackend, fsspec_protocols
from cfgtrain.fileio.backends.http import HTTPBackend
from cfgtrain.fileio.backends.key_value import LmdbBackend, MemcachedBackend
from cfgtrain.fileio.backends.object_store import CephBackend, PetrelBackend
from cfgtrain.fileio.uri import uri_prefix
from cfgtrain.introspection.signatures import argument_problem
from cfgtrain.suggestions import suggest

__all__ = ["FileClient"]

Backend = TypeVar("Backend", bound=type[BaseStorageBackend])


class FileClient:
    """Reads and writes files through the backend that a name or a URI's prefix stands for.

    ========= ==================== ==========================================================
    backend   prefixes             storage
    ========= ==================== ==========================================================
    disk      none, file           this machine
    http      http, https          a web server, read only
    petrel    s3                   an object store, through the SDK ``petrel_client``
    fsspec    memory, gs, ssh, ... whatever fsspec knows; s3 as well where there is no Petrel
    lmdb                           a database, read only
    memcached                      a cluster, through the SDK ``mc``, read only
    ceph                           an object store, through the SDK ``ceph``, read only
    ========= ==================== ==========================================================

    The same arguments give the same client. One that is pickled or copied is made anew, or
    found, from its arguments.

    Args:
        backend: Name of a backend.
        prefix: Prefix of the URIs to come; ``backend`` goes before it. With neither it is the disk.
        kwargs: Passed to the backend.

    Attributes:
        client: The backend.

    Raises:
        BackendError: The backend or prefix is unknown.
        ArgumentTypeError: The backend does not take one of ``kwargs``, or needs another.
        MissingLibraryError: The backend needs a package that is not installed.
    """

    _backends: ClassVar[dict[str, type[BaseStorageBackend]]] = {
        "disk": HardDiskBackend,
        "ceph": CephBackend,
        "memcached": MemcachedBackend,
        "lmdb": LmdbBackend,
        "petrel": PetrelBackend,
        "http": HTTPBackend,
        "fsspec": FsspecBackend,
    }
    _prefix_to_backends: ClassVar[dict[str, type[BaseStorageBackend]]] = {
        "file": HardDiskBackend,
        "s3": PetrelBackend,
        "http": HTTPBackend,
        "https": HTTPBackend,
    }
    _instances: ClassVar[dict[Hashable, Any]] = {}

    client: BaseStorageBackend
    _arguments: tuple[str | None, str | None, dict[str, Any]]

    def __new__(cls, backend: str | None = None, prefix: str | None = None, **kwargs: Any) -> Self:
        """Return the client of these arguments, made if need be."""
        if backend is None and prefix is None:
            backend = "disk"
        key: Hashable
        try:
            options = frozenset((name, _frozen(value)) for name, value in kwargs.items())
            key = (cls, backend, None if backend is not None else prefix, options)
            known: Self | None = cls._instances.get(key)
        except TypeError:  # an argument that cannot be hashed, and so not be told from others
            key, known = None, None
        if known is not None:
            return known
        self = super().__new__(cls)
        make = cls._named(backend) if backend is not None else cls._prefixed(str(prefix), kwargs)
        problem = argument_problem(make, kwargs)
        if problem is not None:
            raise ArgumentTypeError(problem.message, hint=problem.hint)
        self.client = make(**kwargs)
        self._arguments = (backend, prefix, kwargs)
        return self if key is None else cls._instances.setdefault(key, self)

    def __reduce__(self) -> tuple[Any, ...]:
        backend, prefix, kwargs = self._arguments
        return partial(type(self), backend, prefix, **kwargs), ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"

    @property
    def name(self) -> str:
        """The name of the backend's class."""
        return self.client.name

    @property
    def allow_symlink(self) -> bool:
        """Whether files can be linked to."""
        return self.client.allow_symlink

    @classmethod
    def _named(cls, backend: str) -> Callable[..., BaseStorageBackend]:
        if backend not in cls._backends:
            known = ", ".join(sorted(cls._backends))
            hint = suggest(str(backend), cls._backends)
            if backend in cls._prefix_to_backends:
                hint = f" It is a prefix: FileClient(prefix={backend!r})."
            raise BackendError(f"There is no file backend {backend!r}; known are {known}.{hint}")
        return cls._backends[backend]

    @classmethod
    def _prefixed(cls, prefix: str, kwargs: Mapping[str, Any]) -> Callable[..., BaseStorageBackend]:
        for each in (prefix, prefix.lower()):  # schemes have no case
            found = cls._prefix_to_backends.get(each)
            if found is None and each in fsspec_protocols():
                return partial(FsspecBackend, each)
            if found is PetrelBackend and not PetrelBackend.is_meant(kwargs):
                return partial(FsspecBackend, each)
            if found is not None:
                return found
        known = sorted(cls._prefix_to_backends)
        hint = suggest(prefix, [*known, *fsspec_protocols()])
        raise BackendError(
            f"No file backend reads {prefix}://; known are {', '.join(known)} and the protocols of fsspec.{hint}"
        )

    @staticmethod
    def parse_uri_prefix(uri: str | Path) -> str | None:
        """Return what stands before ``://``, ``"s3"`` for ``"cluster:s3://..."`` too; None for a path.

        Raises:
            ArgumentError: ``uri`` is neither str nor Path, or a Path made from a URI.
        """
        return uri_prefix(uri)

    @classmethod
    def infer_client(
        cls, file_client_args: Mapping[str, Any] | None = None, uri: str | Path | None = None
    ) -> Self:
        """Return the client for a path or URI.

        Args:
            file_client_args: Arguments of ``FileClient``. With a ``backend`` or ``prefix`` they
                decide alone; others are passed to the backend that the prefix of ``uri`` stands for.
            uri: A path or URI.

        Raises:
            ArgumentError: Neither is given.
            ArgumentTypeError: ``file_client_args`` is no dict.
            BackendError: The prefix of ``uri`` is unknown.
        """
        if file_client_args is None and uri is None:
            raise ArgumentError("infer_client() needs file_client_args or a uri.")
        if not isinstance(file_client_args, (Mapping, NoneType)):
            raise ArgumentTypeError(f"file_client_args is a dict, not {file_client_args!r}.")
        args = dict(file_client_args or {})
        if args.get("backend") is None and args.get("prefix") is None and uri is not None:
            args["prefix"] = uri_prefix(uri)
        return cls(**args)

    infer = infer_client

    @classmethod
    def register_backend(
        cls,
        name: str,
        backend: type[BaseStorageBackend] | None = None,
        force: bool = False,
        prefixes: str | list[str] | tuple[str, ...] | None = None,
    ) -> Callable[[Backend], Backend] | None:
        """Make a backend known, as a call or as a decorator of its class.

        Args:
            name: For ``FileClient(name)``.
            backend: The class; without it a decorator is returned.
            force: Whether to replace what has the name or a prefix.
            prefixes: Prefixes of the URIs that it is for.

        Raises:
            ArgumentTypeError: The name is no str, or the backend no subclass of ``BaseStorageBackend``.
            ArgumentError: The prefixes are neither str nor list nor tuple.
            NameTakenError: The name or a prefix is taken and ``force`` is not set; nothing is changed.
        """
        if not isinstance(name, str):
            raise ArgumentTypeError(f"The name of a backend is a str, not {name!r}.")
        if backend is not None:
            cls._register(name, backend, force, prefixes)
            return None

        def register(backend: Backend) -> Backend:
            cls._register(name, backend, force, prefixes)
            return backend

        return register

    @classmethod
    def _register(cls, name: str, backend: Any, force: bool, prefixes: Any) -> None:
        if not (isinstance(backend, type) and issubclass(backend, BaseStorageBackend)):
            raise ArgumentTypeError(
                f"A backend is a subclass of BaseStorageBackend, which {backend!r} is not."
            )
        listed = [prefixes] if isinstance(prefixes, str) else [] if prefixes is None else prefixes
        if not isinstance(listed, (list, tuple)) or not all(isinstance(each, str) for each in listed):
            raise ArgumentError(f"prefixes is a str or a list or tuple of str, not {prefixes!r}.")
        for kind, table, words in (
            ("backend", cls._backends, [name]),
            ("prefix", cls._prefix_to_backends, listed),
        ):
            taken = [word for word in words if word in table]
            if taken and not force:
                raise NameTakenError(
                    f"The {kind} {taken[0]!r} is {table[taken[0]].__qualname__}'s; force=True replaces it."
                )
        cls._backends[name] = backend
        cls._prefix_to_backends.update(dict.fromkeys(listed, backend))
        for key in list(cls._instances):
            if isinstance(key, tuple) and (key[1] == name or key[2] in listed):
                del cls._instances[key]

    def get(self, filepath: str | Path) -> bytes | memoryview:
        """Return the content of a file."""
        return self.client.get(filepath)

    def get_text(self, filepath: str | Path, encoding: str = "utf-8") -> str:
        """Return the content of a file as text."""
        return self.client.get_text(filepath, *_unless_usual(encoding))

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a file."""
        self.client.put(obj, filepath)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = "utf-8") -> None:
        """Write text to a file."""
        self.client.put_text(obj, filepath, *_unless_usual(encoding))

    def remove(self, filepath: str | Path) -> None:
        """Remove a file."""
        self.client.remove(filepath)

    def exists(self, filepath: str | Path) -> bool:
        """Whether there is a file or folder of this name."""
        return self.client.exists(filepath)

    def isdir(self, filepath: str | Path) -> bool:
        """Whether there is a folder of this name."""
        return self.client.isdir(filepath)

    def isfile(self, filepath: str | Path) -> bool:
        """Whether there is a file of this name."""
        return self.client.isfile(filepath)

    def join_path(self, filepath: str | Path, *filepaths: str | Path) -> str:
        """Join the parts of a path."""
        return self.client.join_path(filepath, *filepaths)

    def get_local_path(self, filepath: str | Path) -> AbstractContextManager[str | Path]:
        """Return a ``with`` block's context: a local path of the file, downloaded if need be."""
        return self.client.get_local_path(str(filepath))

    def list_dir_or_file(
        self,
        dir_path: str | Path,
        list_dir: bool = True,
        list_file: bool = True,
        suffix: str | tuple[str, ...] | None = None,
        recursive: bool = False,
    ) -> Iterator[str]:
        """List a folder; see ``BaseStorageBackend.list_dir_or_file``."""
        return self.client.list_dir_or_file(dir_path, list_dir, list_file, suffix, recursive)


def _unless_usual(encoding: str) -> tuple[str, ...]:
    """Leave the default out: a backend may be written without the argument."""
    return () if encoding == "utf-8" else (encoding,)


def _frozen(value: Any) -> Hashable:
    """Return what two arguments have in common only if they mean the same; 1, 1.0, True and "1" do not."""
    if isinstance(value, Mapping):
        return "mapping", tuple((key, _frozen(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return type(value), tuple(map(_frozen, value))
    return type(value), value
