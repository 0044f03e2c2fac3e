"""FileClient: one interface to files on different storage backends."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from cfgtrain.arguments import check_type
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
    """Reads and writes files through a backend, selected by its name or by a URI prefix.

    ========= ==================== ==========================================================
    backend   prefixes             storage
    ========= ==================== ==========================================================
    disk      none, file           the local file system
    http      http, https          a web server, read only
    petrel    s3                   an object store, through the SDK ``petrel_client``
    fsspec    memory, gs, ssh, ... any protocol of fsspec; also s3 if Petrel is not installed
    lmdb                           an LMDB database, read only
    memcached                      a memcached cluster, through the SDK ``mc``, read only
    ceph                           an object store, through the SDK ``ceph``, read only
    ========= ==================== ==========================================================

    Clients are cached: the same arguments return the same client, unless an argument is not hashable. A
    client is pickled and copied as its arguments.

    Args:
        backend: Name of a backend.
        prefix: URI prefix that selects the backend; ignored if ``backend`` is given. If neither is given,
            the backend is ``disk``.
        kwargs: Passed to the backend.

    Attributes:
        client: The backend.

    Raises:
        BackendError: The backend or prefix is unknown.
        ArgumentTypeError: The backend does not accept one of ``kwargs``, or a required argument is missing.
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
        """Return the cached client for these arguments, or create it."""
        if backend is None and prefix is None:
            backend = "disk"
        key: Hashable
        try:
            options = frozenset((name, _hashable_key(value)) for name, value in kwargs.items())
            key = (cls, backend, None if backend is not None else prefix, options)
            cached: Self | None = cls._instances.get(key)
        except TypeError:  # an argument is not hashable: the client cannot be cached
            key, cached = None, None
        if cached is not None:
            return cached
        self = super().__new__(cls)
        if backend is not None:
            create_backend = cls._backend_by_name(backend)
        else:
            create_backend = cls._backend_by_prefix(str(prefix), kwargs)
        problem = argument_problem(create_backend, kwargs)
        if problem is not None:
            raise ArgumentTypeError(problem.message, hint=problem.hint)
        self.client = create_backend(**kwargs)
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
        """Whether the backend supports symbolic links."""
        return self.client.allow_symlink

    @classmethod
    def _backend_by_name(cls, backend: str) -> Callable[..., BaseStorageBackend]:
        if backend not in cls._backends:
            known = ", ".join(sorted(cls._backends))
            hint = suggest(str(backend), cls._backends)
            if backend in cls._prefix_to_backends:
                hint = f" {backend!r} is a prefix: use FileClient(prefix={backend!r})."
            raise BackendError(f"Unknown file backend {backend!r}. Known backends: {known}.{hint}")
        return cls._backends[backend]

    @classmethod
    def _backend_by_prefix(cls, prefix: str, kwargs: Mapping[str, Any]) -> Callable[..., BaseStorageBackend]:
        for scheme in (prefix, prefix.lower()):  # URI schemes are case-insensitive
            backend = cls._prefix_to_backends.get(scheme)
            if backend is None and scheme in fsspec_protocols():
                return partial(FsspecBackend, scheme)
            if backend is PetrelBackend and not PetrelBackend.handles_s3(kwargs):
                return partial(FsspecBackend, scheme)
            if backend is not None:
                return backend
        known = sorted(cls._prefix_to_backends)
        hint = suggest(prefix, [*known, *fsspec_protocols()])
        raise BackendError(
            f"No file backend reads {prefix}://. Known prefixes: {', '.join(known)} and the protocols of fsspec.{hint}"
        )

    @staticmethod
    def parse_uri_prefix(uri: str | Path) -> str | None:
        """Return the prefix of a URI, or None for a path.

        It is the part before ``://``, without a cluster name: ``"s3"`` for ``"cluster:s3://..."``.

        Raises:
            ArgumentError: ``uri`` is neither a str nor a Path, or it is a Path created from a URI.
        """
        return uri_prefix(uri)

    @classmethod
    def infer_client(
        cls, file_client_args: Mapping[str, Any] | None = None, uri: str | Path | None = None
    ) -> Self:
        """Return the client for a path or URI.

        Args:
            file_client_args: Arguments of ``FileClient``. If they contain ``backend`` or ``prefix``, ``uri`` is
                ignored. Otherwise the prefix of ``uri`` selects the backend.
            uri: A path or URI.

        Raises:
            ArgumentError: Both arguments are None.
            ArgumentTypeError: ``file_client_args`` is not a dict.
            BackendError: The prefix of ``uri`` is unknown.
        """
        if file_client_args is None and uri is None:
            raise ArgumentError("infer_client() requires file_client_args or uri.")
        check_type("file_client_args", file_client_args, Mapping | None, "a dict")
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
        """Register a backend class, by a call or as a class decorator.

        Args:
            name: Name of the backend, for ``FileClient(name)``.
            backend: The class. If None, a class decorator is returned.
            force: Whether to replace a backend that is registered with the same name or prefix.
            prefixes: URI prefix or prefixes that the backend handles.

        Raises:
            ArgumentTypeError: ``name`` is not a str, or ``backend`` is not a subclass of
                ``BaseStorageBackend``.
            ArgumentError: ``prefixes`` is neither a str nor a list or tuple of str.
            NameTakenError: The name or a prefix is registered already and ``force`` is False. Nothing is
                registered then.
        """
        check_type("name", name, str, "a str")
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
                f"A file backend must be a subclass of BaseStorageBackend, not {backend!r}."
            )
        prefix_list = [prefixes] if isinstance(prefixes, str) else [] if prefixes is None else prefixes
        if not isinstance(prefix_list, (list, tuple)) or not all(
            isinstance(each, str) for each in prefix_list
        ):
            raise ArgumentError(f"prefixes must be a str or a list or tuple of str, not {prefixes!r}.")
        for kind, table, names in (
            ("backend", cls._backends, [name]),
            ("prefix", cls._prefix_to_backends, prefix_list),
        ):
            taken = [each for each in names if each in table]
            if taken and not force:
                raise NameTakenError(
                    f"The {kind} {taken[0]!r} is already registered for {table[taken[0]].__qualname__}. "
                    "To replace it, pass force=True."
                )
        cls._backends[name] = backend
        cls._prefix_to_backends.update(dict.fromkeys(prefix_list, backend))
        for key in list(cls._instances):
            if isinstance(key, tuple) and (key[1] == name or key[2] in prefix_list):
                del cls._instances[key]

    def get(self, filepath: str | Path) -> bytes | memoryview:
        """Return the content of a file as bytes."""
        return self.client.get(filepath)

    def get_text(self, filepath: str | Path, encoding: str = "utf-8") -> str:
        """Return the content of a file as text."""
        return self.client.get_text(filepath, *_encoding_args(encoding))

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a file, replacing its content."""
        self.client.put(obj, filepath)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = "utf-8") -> None:
        """Write text to a file, replacing its content."""
        self.client.put_text(obj, filepath, *_encoding_args(encoding))

    def remove(self, filepath: str | Path) -> None:
        """Remove a file."""
        self.client.remove(filepath)

    def exists(self, filepath: str | Path) -> bool:
        """Return whether a file or folder exists."""
        return self.client.exists(filepath)

    def isdir(self, filepath: str | Path) -> bool:
        """Return whether a path is an existing folder."""
        return self.client.isdir(filepath)

    def isfile(self, filepath: str | Path) -> bool:
        """Return whether a path is an existing file."""
        return self.client.isfile(filepath)

    def join_path(self, filepath: str | Path, *filepaths: str | Path) -> str:
        """Join the parts of a path."""
        return self.client.join_path(filepath, *filepaths)

    def get_local_path(self, filepath: str | Path) -> AbstractContextManager[str | Path]:
        """Return a context manager that yields a local path of the file.

        A remote file is downloaded to a temporary file, which is removed when the ``with`` block ends.
        """
        return self.client.get_local_path(str(filepath))

    def list_dir_or_file(
        self,
        dir_path: str | Path,
        list_dir: bool = True,
        list_file: bool = True,
        suffix: str | tuple[str, ...] | None = None,
        recursive: bool = False,
    ) -> Iterator[str]:
        """Yield the entries of a folder; see ``BaseStorageBackend.list_dir_or_file``."""
        return self.client.list_dir_or_file(dir_path, list_dir, list_file, suffix, recursive)


def _encoding_args(encoding: str) -> tuple[str, ...]:
    """Return the encoding as an argument list, empty for UTF-8.

    The methods of a custom backend may lack the ``encoding`` parameter.
    """
    return () if encoding == "utf-8" else (encoding,)


def _hashable_key(value: Any) -> Hashable:
    """Return a hashable key for an argument; it includes the type, so that 1, 1.0 and True have different keys."""
    if isinstance(value, Mapping):
        return "mapping", tuple((key, _hashable_key(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return type(value), tuple(map(_hashable_key, value))
    return type(value), value
