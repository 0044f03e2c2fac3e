"""Where checkpoints are loaded from, by the scheme of their path or URI.

=================================== =============================================================
scheme                              where the file comes from
=================================== =============================================================
none, ``file://``                   this machine
``http://``, ``https://``           a web server; the file is kept in the cache of ``torch.hub``
``torchvision://``                  an address that the installed torchvision has
``modelzoo://``                     the same; deprecated
``open-mmlab://``, ``openmmlab://`` an entry of ``open_mmlab.json``; see ``model_zoo``
``mmcls://``                        an entry of ``mmcls.json``; only the backbone is loaded
``pavi://``                         the model store Pavi, by its SDK
``s3://`` and others                what ``FileClient`` reads
=================================== =============================================================
"""

from __future__ import annotations

import logging
import re
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, NamedTuple

from cfgtrain.arguments import check_choice, check_type
from cfgtrain.checkpoint.download import cached_download
from cfgtrain.checkpoint.model_zoo import (
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
    mmcv_home,
)
from cfgtrain.checkpoint.read import as_checkpoint, read_file
from cfgtrain.checkpoint.sharded import checkpoints_in, has_shards
from cfgtrain.errors import (
    ArgumentError,
    CheckpointError,
    CheckpointNotFoundError,
    ConfigDeprecationWarning,
    MissingLibraryError,
    NameTakenError,
)
from cfgtrain.fileio.client import FileClient
from cfgtrain.fileio.uri import display_name, uri_prefix
from cfgtrain.utils.logging import print_log

__all__ = [
    "CheckpointLoader",
    "checkpoint_exists",
    "load_from_ceph",
    "load_from_http",
    "load_from_local",
    "load_from_mmcls",
    "load_from_openmmlab",
    "load_from_pavi",
    "load_from_torchvision",
    "local_checkpoint",
    "read_uri",
    "register_scheme",
]

logger = logging.getLogger(__name__)

_BACKBONE = "backbone."


class CheckpointLoader:
    """Loads checkpoints by the scheme of their path or URI; other code can register more schemes."""

    _schemes: ClassVar[dict[str, Callable[..., Any]]] = {}

    @classmethod
    def register_scheme(
        cls, prefixes: str | Sequence[str], loader: Callable[..., Any] | None = None, force: bool = False
    ) -> Any:
        """Register how checkpoints of a scheme are loaded, as a call or as a decorator.

        Args:
            prefixes: Regular expressions of which one must match the beginning of a path or URI, such as
                ``"ftp://"``. Of several that match, the one that comes last in the alphabet is used: the longer of
                two that begin alike.
            loader: Called with the path or URI and the ``map_location``; returns the content of the checkpoint.
                None returns a decorator.
            force: Whether to replace a loader of the same prefix.

        Raises:
            NameTakenError: There is a loader of that prefix, and ``force`` is False.
        """
        if loader is None:
            return lambda function: cls.register_scheme(prefixes, function, force) or function
        for prefix in [prefixes] if isinstance(prefixes, str) else prefixes:
            if prefix in cls._schemes and not force:
                raise NameTakenError(
                    f"There is a loader for {prefix!r} already: force=True replaces it.", argument="prefixes"
                )
            cls._schemes[prefix] = loader
        ordered = sorted(cls._schemes.items(), key=lambda item: item[0], reverse=True)
        cls._schemes.clear()
        cls._schemes.update(ordered)
        return None

    @classmethod
    def _get_checkpoint_loader(cls, path: str | Path) -> Callable[..., Any]:
        """Return the loader for a path or URI."""
        return next(loader for prefix, loader in cls._schemes.items() if re.match(prefix, str(path)))

    @classmethod
    def load_checkpoint(
        cls, filename: str | Path, map_location: Any = None, logger: logging.Logger | str | None = None
    ) -> Any:
        """Return the content of a checkpoint.

        Args:
            filename: Its path or URI.
            map_location: Device that the tensors are loaded to.
            logger: Where the path is logged; by default the logger of this module.
        """
        loader = cls._get_checkpoint_loader(filename)
        kind = getattr(loader, "__name__", type(loader).__name__).removeprefix("load_from_")
        print_log(f"load checkpoint from {kind} path: {display_name(filename)}", logger or _logger())
        return loader(filename, map_location)


def _logger() -> logging.Logger:
    return logger


register_scheme = CheckpointLoader.register_scheme


class FileLoader:
    """A loader that finds a file and reads it, verified and without running code in it.

    Args:
        name: Name of the function that MMCV has in its place.
        locate: Context manager that returns a local path of the file, for which it may be downloaded.
        check: Returns whether the file exists, or raises an error that says what is missing. It does not access
            the network: where that would be necessary it returns True, and loading the file fails.
        select: Returns the part of the content that is used.
    """

    def __init__(
        self,
        name: str,
        locate: Callable[..., AbstractContextManager[Path]],
        check: Callable[[str], object],
        select: Callable[[dict[str, Any], str], dict[str, Any]] | None = None,
    ) -> None:
        self.__name__ = self.__qualname__ = name
        self.locate = locate
        self.check = check
        self._select = select

    def __call__(
        self,
        filename: str | Path,
        map_location: Any = None,
        *options: Any,
        trusted: bool = False,
        mmap: bool = False,
        **named: Any,
    ) -> Any:
        """Return the content of a checkpoint; ``options`` and ``named`` are those of the scheme."""
        with self.locate(_text(filename), *options, **named) as path:
            content = read_file(path, display_name(filename), map_location, trusted, mmap)
        return (
            content if self._select is None else self._select(as_checkpoint(content, filename), str(filename))
        )


def read_uri(
    filename: str | Path, map_location: Any = None, trusted: bool = False, mmap: bool = False
) -> dict[str, Any]:
    """Return the content of a checkpoint, by the loader of its scheme.

    A loader that other code has registered decides itself whether a file is verified and trusted.

    Raises:
        CheckpointError: The file does not exist, is damaged, is not a checkpoint or needs ``trusted``.
    """
    loader = CheckpointLoader._get_checkpoint_loader(filename)
    options = {"trusted": trusted, "mmap": mmap} if isinstance(loader, FileLoader) else {}
    return as_checkpoint(loader(filename, map_location, **options), display_name(filename))


def checkpoint_exists(filename: str | Path) -> bool:
    """Return whether there is a file at a path; that of a remote file is not known before it is loaded.

    Raises:
        BackendError: The scheme is unknown.
        MissingLibraryError: Reading the scheme needs a package that is not installed.
        CheckpointError: A table that the scheme needs is missing, or has no entry of that name.
    """
    loader = CheckpointLoader._get_checkpoint_loader(filename)
    return bool(loader.check(_text(filename))) if isinstance(loader, FileLoader) else True


@contextmanager
def local_checkpoint(filename: str | Path) -> Iterator[Path]:
    """Return a local path of a checkpoint; a file without a cache is removed at the end of the ``with`` block.

    Raises:
        CheckpointNotFoundError: The file does not exist.
        CheckpointError: It cannot be downloaded, or the loader of its scheme does not work with files.
        BackendError: The scheme is unknown.
        MissingLibraryError: Reading the scheme needs a package that is not installed.
    """
    loader = CheckpointLoader._get_checkpoint_loader(filename)
    if not isinstance(loader, FileLoader):
        raise CheckpointError(f"{filename} is read by a loader of custom code, which gives no file.")
    with loader.locate(_text(filename)) as path:
        yield path


def _text(filename: str | Path) -> str:
    uri_prefix(filename)  # raises for a URI that pathlib has changed
    return str(filename)


@contextmanager
def _stored(filename: str, backend: str | None = None) -> Iterator[Path]:
    """Return a local path of a file that ``FileClient`` reads."""
    client = FileClient.infer_client(uri=filename) if backend is None else FileClient(backend)
    if _is_local(filename) and not client.isfile(filename):
        if (folder := _shards(filename)) is not None:
            yield folder
            return
        folder = Path(filename).expanduser().parent
        found = {*folder.glob("*.pth"), *checkpoints_in(folder)} if folder.is_dir() else set()
        names = sorted(path.name for path in found)
        raise CheckpointNotFoundError(
            f"There is no checkpoint {filename}.", near=(Path(filename).name, names)
        )
    with ExitStack() as stack:
        try:
            local = stack.enter_context(client.get_local_path(filename))
        except OSError as error:
            raise CheckpointError(
                f"The checkpoint {display_name(filename)} cannot be downloaded: {error}"
            ) from error
        yield Path(local)


def _is_stored(filename: str) -> bool:
    client = FileClient.infer_client(uri=filename)  # raises if no backend reads the scheme
    return not _is_local(filename) or client.isfile(filename) or _shards(filename) is not None


def _shards(filename: str) -> Path | None:
    """Return the path of a local checkpoint in shards, or None."""
    if uri_prefix(filename) is not None:
        return None
    path = Path(filename).expanduser()
    return path if has_shards(path) else None


def _is_local(filename: str) -> bool:
    return (uri_prefix(filename) or "file").lower() == "file"


@contextmanager
def _downloaded(url: str, model_dir: str | Path | None = None) -> Iterator[Path]:
    path = cached_download(url, model_dir)
    try:
        yield path
    except CheckpointError as error:  # the file would be refused each time
        advice = f"The downloaded file is {path}: delete it to download it again."
        raise CheckpointError(error.message, hint=f"{error.hint} {advice}".lstrip()) from error.__cause__


class _Entry(NamedTuple):
    """An entry of a table.

    Attributes:
        name: Its name.
        address: A URL or a path.
    """

    name: str
    address: str


@contextmanager
def _at(entry: _Entry) -> Iterator[Path]:
    is_url = (uri_prefix(entry.address) or "").lower() in ("http", "https")
    with _downloaded(entry.address) if is_url else _stored(entry.address) as path:
        yield path


def _entry(filename: str, name: str, table: dict[str, str], source: str) -> _Entry:
    if name not in table:
        raise CheckpointNotFoundError(f"{filename}: {source} has no {name!r}.", near=(name, list(table)))
    return _Entry(name, table[name])


def _torchvision_entry(filename: str) -> _Entry:
    scheme, _, name = filename.partition("://")
    if scheme == "modelzoo":
        warnings.warn(
            "modelzoo:// is deprecated: use torchvision://.", ConfigDeprecationWarning, stacklevel=2
        )
    name = name.lower().replace("_weights", "")
    return _entry(filename, name, get_torchvision_models(), "torchvision")


def _openmmlab_entry(filename: str) -> _Entry:
    name = filename.partition("://")[2]
    current = get_deprecated_model_names().get(name, name)
    if current != name:
        warnings.warn(f"{filename} is deprecated: use {current}.", ConfigDeprecationWarning, stacklevel=2)
    entry = _entry(filename, current, get_external_models(), "open_mmlab.json")
    is_path = uri_prefix(entry.address) is None
    return _Entry(entry.name, str(mmcv_home() / entry.address)) if is_path else entry


def _mmcls_entry(filename: str) -> _Entry:
    return _entry(filename, filename.partition("://")[2], get_mmcls_models(), "mmcls.json")


def backbone_of(checkpoint: dict[str, Any], filename: str = "The checkpoint") -> dict[str, Any]:
    """Return the weights of the backbone of a classifier."""
    weights = checkpoint.get("state_dict", checkpoint)
    kept = {
        name.removeprefix(_BACKBONE): each for name, each in weights.items() if name.startswith(_BACKBONE)
    }
    if not kept:
        raise CheckpointError(f"{filename} has no weights whose names begin with {_BACKBONE!r}.")
    return {"state_dict": OrderedDict(kept)}


@contextmanager
def _from_pavi(filename: str) -> Iterator[Path]:
    if not filename.startswith("pavi://"):
        raise ArgumentError(f"load_from_pavi needs a path that begins with 'pavi://', not {filename!r}.")
    model = _pavi().get(filename.removeprefix("pavi://"))
    with TemporaryDirectory() as folder:
        file = Path(folder) / Path(model.name).name
        model.download(str(file))
        yield file


def _pavi(filename: str = "") -> Any:
    """Return the part of the SDK that downloads models."""
    try:
        from pavi import modelcloud
    except ImportError as error:
        raise MissingLibraryError(
            "pavi:// needs the package pavi, the SDK of the model store Pavi, which its operator gives to its "
            "users and which is not on PyPI."
        ) from error
    return modelcloud


@contextmanager
def _from_ceph(filename: str, backend: str = "petrel") -> Iterator[Path]:
    check_type("backend", backend, str, "'petrel' or 'ceph'")
    check_choice("backend", backend, ("petrel", "ceph"))
    if backend == "ceph":
        warnings.warn(
            "The backend 'ceph' is deprecated: use 'petrel'.", ConfigDeprecationWarning, stacklevel=2
        )
        with ExitStack() as stack:
            try:
                path = stack.enter_context(_stored(filename, "ceph"))
            except MissingLibraryError:
                path = stack.enter_context(_stored(filename))
            yield path
        return
    with _stored(filename) as path:  # petrel if it is installed, else fsspec
        yield path


load_from_local = FileLoader("load_from_local", _stored, _is_stored)
load_from_http = FileLoader("load_from_http", _downloaded, lambda _: True)
load_from_torchvision = FileLoader(
    "load_from_torchvision", lambda filename: _at(_torchvision_entry(filename)), _torchvision_entry
)
load_from_openmmlab = FileLoader(
    "load_from_openmmlab", lambda filename: _at(_openmmlab_entry(filename)), _openmmlab_entry
)
load_from_mmcls = FileLoader(
    "load_from_mmcls", lambda filename: _at(_mmcls_entry(filename)), _mmcls_entry, backbone_of
)
load_from_pavi = FileLoader("load_from_pavi", _from_pavi, _pavi)
load_from_ceph = FileLoader("load_from_ceph", _from_ceph, _is_stored)

register_scheme("", load_from_local)
register_scheme(["http://", "https://"], load_from_http)
register_scheme(["torchvision://", "modelzoo://"], load_from_torchvision)
register_scheme(["open-mmlab://", "openmmlab://"], load_from_openmmlab)
register_scheme("mmcls://", load_from_mmcls)
register_scheme("pavi://", load_from_pavi)
register_scheme(r"(\S+\:)?s3://", load_from_ceph)
