"""Config: a merged config that can be changed and written, and records where its values came from."""

from __future__ import annotations

import argparse
import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cfgtrain.config.argparser import CONFIG, add_args, config_parser
from cfgtrain.config.custom_imports import import_names, is_import_list
from cfgtrain.config.dict import DELETE, ConfigDict, copy_tree
from cfgtrain.config.dump import config_text
from cfgtrain.config.key_paths import KeyPath, NoSuchKeyError, look_up, split_key, step
from cfgtrain.config.loader import Loaded, load_file, load_text
from cfgtrain.config.merge import merge_in_place, remove_markers
from cfgtrain.config.overrides import check_form, check_known, override_tree, type_changes
from cfgtrain.config.trace import Trace, stack_level
from cfgtrain.errors import ConfigImportError, ConfigKeyError, ConfigMergeError, ConfigWarning
from cfgtrain.filesystem.atomic import atomic_write
from cfgtrain.origin import Origin, dotted, location, where
from cfgtrain.suggestions import with_article
from cfgtrain.utils.imports import import_modules_from_strings

RESERVED_KEYS = ("filename", "text", "pretty_text")


class Config:
    """A config with attribute and item access that records where each value came from.

    Args:
        cfg_dict: The values; copied. None is an empty config.
        cfg_text: The text that they were read from; by default the text of ``filename``.
        filename: The file that they were read from.

    Raises:
        ConfigMergeError: ``cfg_dict`` is not a mapping.
        ConfigKeyError: A top-level key has the name of a property of this class.
    """

    _cfg_dict: ConfigDict
    _filename: str | None
    _text: str

    def __init__(
        self,
        cfg_dict: Mapping[str, Any] | None = None,
        cfg_text: str | None = None,
        filename: str | Path | None = None,
    ) -> None:
        if not isinstance(cfg_dict, Mapping | None):
            raise ConfigMergeError(
                f"A config is made from a mapping, not from {with_article(type(cfg_dict).__name__)}."
            )
        tree = copy_tree(cfg_dict) if type(cfg_dict) is ConfigDict else ConfigDict(cfg_dict or {})
        _check_reserved(tree)
        text = cfg_text or (Path(filename).read_text(encoding="utf-8") if filename else "")
        self.__setstate__((tree, None if filename is None else str(filename), text))

    @staticmethod
    def fromfile(
        filename: str | Path, use_predefined_variables: bool = True, import_custom_modules: bool = True
    ) -> Config:
        """Read a ``.py``, ``.json``, ``.yaml`` or ``.yml`` config and its bases.

        Args:
            filename: The file. A Python config is executed: only load files that you trust.
            use_predefined_variables: Whether ``{{ fileDirname }}`` and similar placeholders are replaced.
            import_custom_modules: Whether the modules of ``custom_imports`` are imported.

        Raises:
            ConfigError: One of its subclasses, with file, line and key path. Exceptions from the code
                of a Python config are not caught.
        """
        loaded = load_file(filename, use_predefined_variables)
        cfg = _from_loaded(loaded, str(filename))
        if import_custom_modules:
            cfg.import_custom_modules()
        return cfg

    @staticmethod
    def fromstring(cfg_str: str, file_format: str) -> Config:
        """Read a config from text in the format of an extension, such as ``".py"``."""
        cfg = _from_loaded(load_text(cfg_str, file_format)._replace(text=cfg_str), None)
        cfg.import_custom_modules()
        return cfg

    @staticmethod
    def auto_argparser(description: str | None = None) -> tuple[argparse.ArgumentParser, Config]:
        """Return a parser with an option for each leaf of the config in ``sys.argv``, and that config.

        ``merge_from_args`` merges the options that are given into the config:

            parser, cfg = Config.auto_argparser()
            cfg.merge_from_args(parser.parse_args())

        ``--help``, and a command line without a config, exit as usual in argparse.
        """
        file, parser = config_parser(description)
        cfg = Config.fromfile(file)
        return add_args(parser, cfg._cfg_dict), cfg

    def merge_from_args(self, args: argparse.Namespace) -> None:
        """Merge the options that the parser of ``auto_argparser`` has parsed into the config.

        Options that are not keys of the config, because a script added them to the parser, are ignored.
        """
        given = {key: value for key, value in vars(args).items() if key != CONFIG}
        for key, value in given.items():
            try:
                old = look_up(self._cfg_dict, key)
            except NoSuchKeyError:
                continue
            if isinstance(old, tuple):
                value = tuple(value)  # argparse makes lists
            self.merge_from_dict({key: value}, origin=Origin(None, None, f"--{key} {value}"))

    def import_custom_modules(self) -> None:
        """Import the modules in ``custom_imports``.

        Raises:
            ConfigImportError: A module cannot be imported; the error has the location of the key.
            ConfigMergeError: ``custom_imports`` is not a dict of known keys.
        """
        wanted = self._cfg_dict.get("custom_imports")
        if not wanted:
            return
        if not is_import_list(wanted):
            raise ConfigMergeError(
                f"custom_imports must be dict(imports=[...], allow_failed_imports=False), not {wanted!r}.",
                **location(self, "custom_imports"),
            )
        is_list = not isinstance(wanted["imports"], str)
        for i, name in enumerate(import_names(wanted)):
            try:
                import_modules_from_strings(name, wanted.get("allow_failed_imports", False))
            except ConfigImportError as error:
                error.key = f"custom_imports.imports[{i}]" if is_list else "custom_imports.imports"
                error.origin = self.origin(error.key)
                raise

    def merge_from_dict(
        self,
        options: Mapping[str, Any],
        allow_list_keys: bool = True,
        *,
        strict: bool = False,
        origin: Origin | Callable[[str, Any], Origin] | None = None,
        typed: Mapping[str, str] | None = None,
    ) -> None:
        """Merge options into the config.

        Args:
            options: Values by dotted key, such as ``{"optimizer.lr": 0.1}``. Not changed.
            allow_list_keys: Whether ``"pipeline.0.size"`` sets a key of an item of a list.
            strict: Whether to follow the rules of the command line: a key that is not in the config is
                an error unless it begins with ``+``, and a value whose type differs from that of the old
                value causes a warning. By default, unknown keys are added.
            origin: Where the options came from, or a function that returns this for a key and
                its value; ``origin()`` of the keys returns it.
            typed: Text of each value on the command line, by option, which messages and origins show.

        Raises:
            ConfigKeyError: A key is unknown (with ``strict``) or not a string, or an index is out of range.
            ConfigMergeError: A dict cannot be merged into the old value, or the options are not a mapping.
        """
        check_form(options)
        if strict:
            check_known(self._cfg_dict, options)
        merged = copy_tree(self._cfg_dict)
        # _delete_ only concerns the inherited keys, so its position among the options does not matter.
        for option in sorted(options, key=lambda option: split_key(option)[-1] != DELETE):
            place = _place_of(origin, option, (typed or {}).get(option, options[option]))
            tree = override_tree({option: options[option]}, place, merged)
            _check_reserved(tree)
            merged = merge_in_place(merged, tree, list_keys=allow_list_keys)
        remove_markers(merged)
        if strict:
            for change in type_changes(self._cfg_dict, options, self.origin, typed or {}):
                warnings.warn(change, ConfigWarning, stacklevel=stack_level())
        self._set("_cfg_dict", merged)  # last, so that a wrong option leaves the config unchanged

    def origin(self, key: str | Sequence[object]) -> Origin | None:
        """Return the last place that set ``key``, or None if it is unknown; see ``history``."""
        trace, rest = self._trace_of(key)
        return None if trace is None else trace.origin(*rest)

    def history(self, key: str | Sequence[object]) -> list[Origin]:
        """Return all places that set ``key``, oldest first.

        Args:
            key: A dotted key, such as ``"data.train.pipeline[-1].scale"``, or its parts:
                ``("data", "train", "pipeline", 2, "scale")``.

        Raises:
            ConfigKeyError: There is no such key.
        """
        trace, rest = self._trace_of(key)
        return [] if trace is None else trace.history(*rest)

    def _trace_of(self, key: str | Sequence[object]) -> tuple[Trace | None, KeyPath]:
        """Return the trace of the innermost dict that contains a value, and the path from there."""
        node: Any = self._cfg_dict
        owner: ConfigDict = self._cfg_dict
        rest: KeyPath = ()
        for part in split_key(key) if isinstance(key, str) else key:
            if type(node) is ConfigDict:
                owner, rest = node, ()
            try:
                name, node = step(node, part)
            except KeyError:
                shown = key if isinstance(key, str) else dotted(key)
                hint = NoSuchKeyError(rest, part, node).hint()
                raise ConfigKeyError(f"There is no key {shown!r}.", hint=hint, key=shown) from None
            rest = (*rest, name)
        return owner._trace, rest

    @property
    def filename(self) -> str | None:
        """The file that the config was read from, as it was given."""
        return self._filename

    @property
    def text(self) -> str:
        """The texts of all files that the config was read from, each after a line with its path."""
        return self._text

    @property
    def pretty_text(self) -> str:
        """The config as Python source, which loads to an equal config."""
        return self.dumps("py")

    def dump(self, file: str | Path | None = None) -> str | None:
        """Write the config in the format of the file's extension, or return its text.

        Without a file, the text is in the format of ``filename``, or in Python if there is none.
        The config is written without ``_base_``, comments and ``{{ }}``.

        Raises:
            ConfigFormatError: The extension is not one of a config.
            ConfigValueError: The format cannot represent a value; the error has its key path.
            ConfigKeyError: A key, such as one that begins with ``__``, would be lost when the text is loaded.
        """
        if file is None:
            return self.dumps(Path(self._filename).suffix.lstrip(".") if self._filename else "py")
        text = self.dumps(Path(file).suffix.lstrip("."))
        with atomic_write(Path(file)) as out:
            out.write(text.encode())
        return None

    def dumps(self, file_format: str = "py") -> str:
        """Return the config as text; ``file_format`` is ``py``, ``json``, ``yaml`` or ``yml``.

        Raises:
            ConfigFormatError: The format is unknown.
            ConfigValueError: The format cannot represent a value; the error has its key path.
            ConfigKeyError: A key, such as one that begins with ``__``, would be lost when the text is loaded.
        """
        return config_text(self._cfg_dict, file_format)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("_cfg_dict", "_filename", "_text"):
            raise AttributeError(name)  # copy and pickle read attributes before the state is set
        return getattr(self._cfg_dict, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        delattr(self._cfg_dict, name)

    def __getitem__(self, name: Any) -> Any:
        return self._cfg_dict[name]

    def __setitem__(self, name: Any, value: Any) -> None:
        _check_reserved({name: value})
        self._cfg_dict[name] = value

    def __delitem__(self, name: Any) -> None:
        del self._cfg_dict[name]

    def __contains__(self, name: object) -> bool:
        return name in self._cfg_dict

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cfg_dict)

    def __len__(self) -> int:
        return len(self._cfg_dict)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Config):
            return bool(self._cfg_dict == other._cfg_dict)
        return bool(self._cfg_dict == other) if isinstance(other, dict) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # mutable, as a dict is

    def __repr__(self) -> str:
        return f"Config (path: {self._filename}): {self._cfg_dict!r}"

    def __getstate__(self) -> tuple[ConfigDict, str | None, str]:
        return self._cfg_dict, self._filename, self._text

    def __setstate__(self, state: tuple[ConfigDict, str | None, str]) -> None:
        for name, value in zip(("_cfg_dict", "_filename", "_text"), state, strict=True):
            self._set(name, value)

    def __copy__(self) -> Config:
        twin = Config.__new__(Config)
        twin.__setstate__(self.__getstate__())
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Config:
        twin = memo[id(self)] = Config.__new__(Config)
        twin.__setstate__((copy.deepcopy(self._cfg_dict, memo), self._filename, self._text))
        return twin

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


def _place_of(origin: Origin | Callable[[str, Any], Origin] | None, option: str, value: Any) -> Origin:
    """Return the origin of one option."""
    if origin is not None and not isinstance(origin, Origin):
        return origin(option, value)
    place = origin or Origin(None, None, "merge_from_dict")
    return place._replace(text=f"{place.text} {option}={value}".strip())


def _from_loaded(loaded: Loaded, filename: str | None) -> Config:
    """Return a config of a tree that the loader made, without copying it: nothing else refers to it."""
    _check_reserved(loaded.tree)
    cfg = Config.__new__(Config)
    cfg.__setstate__((loaded.tree, filename, loaded.text))
    return cfg


def _check_reserved(tree: Mapping[Any, Any]) -> None:
    for key in RESERVED_KEYS:
        if key in tree:
            raise ConfigKeyError(
                f"The key {key!r} is reserved: Config has a property of that name. Choose another.",
                origin=where(tree, key),
                key=key,
            )
