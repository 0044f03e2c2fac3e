"""Every error that cfgtrain raises on purpose.

    CfgTrainError
    ├── ConfigError                  something in a config; knows .file .line .key
    │   ├── ConfigNotFoundError      (FileNotFoundError)
    │   ├── ConfigFormatError        (OSError)           an extension no loader knows
    │   ├── ConfigSyntaxError        (SyntaxError)
    │   ├── ConfigKeyError           (KeyError)
    │   ├── ConfigAttributeError     (AttributeError)
    │   ├── ConfigMergeError         (TypeError)
    │   ├── ConfigCycleError         (ValueError)
    │   ├── ConfigImportError        (ImportError)
    │   ├── ConfigValueError         (ValueError)        a value of the wrong kind
    │   ├── OptionError              (ValueError, AssertionError)  a KEY=VALUE word
    │   └── CheckError               several of the above, and of RegistryError, at once
    ├── RegistryError
    │   ├── UnknownNameError         (KeyError)
    │   ├── NameTakenError           (KeyError)
    │   └── BuildError               (TypeError)
    ├── HookError                    (ValueError)
    ├── InitError                    (RuntimeError)      initial weights for a part that is not there
    ├── CheckpointError              (RuntimeError)
    ├── SampleError                  (RuntimeError)      a sample that cannot be loaded
    ├── NonFiniteLossError           (ArithmeticError)
    ├── BackendError                 (ValueError)
    │   └── BackendMethodError       (NotImplementedError, AttributeError)
    ├── DownloadError                (OSError)
    ├── ImageDecodeError             (ValueError)        bytes that are no image, or half of one
    ├── MissingLibraryError          (ImportError)       an optional library that is not installed
    ├── WorkDirError                 (OSError)
    ├── PrerequisiteError            (RuntimeError)      a package or program that is missing
    ├── TimerError                                       a timer that does not run
    ├── ArgumentError                (ValueError, AssertionError)
    └── ArgumentTypeError            (TypeError)

    ConfigWarning (UserWarning)      a config that is legal and probably not what was meant
    └── ConfigDeprecationWarning     (DeprecationWarning)  a config that says it is deprecated

Each class also inherits the builtin that MMCV 1.x raised in its place, so that an
``except KeyError`` written for MMCV keeps working. The command line prints any of
them as one red message and leaves with its ``exit_code``; everything else is a bug
and shows its traceback.
"""

from __future__ import annotations

from collections.abc import Sequence

from cfgtrain.suggestions import suggest


class CfgTrainError(Exception):
    """Base of every error raised on purpose; its text is written for the user."""

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        # KeyError would print the repr of its argument, OSError its errno.
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.__dict__)


def _rebuild(cls: type[CfgTrainError], message: str, state: dict[str, object]) -> CfgTrainError:
    """Unpickle an error: the classes below have keyword-only arguments, pickle has none."""
    error = cls(message)
    error.__dict__.update(state)
    return error


class ConfigError(CfgTrainError):
    """Something in a config is wrong.

    Args:
        message: What is wrong, with the value, and what would be right.
        file: The file that says so, or None when it came from elsewhere.
        line: 1-based line in ``file``.
        key: Dotted key path, such as ``data.train.pipeline[1].type``.
        word: The word of the command line that says so, where no file does.
        near: A word that is not there, and the names that are. Those like it are looked for when
            the text is asked for: ``hasattr`` and the like never do.
    """

    exit_code = 2

    def __init__(
        self,
        message: str = "",
        *,
        file: str | None = None,
        line: int | None = None,
        key: str | None = None,
        word: str | None = None,
        near: tuple[str, Sequence[str]] | None = None,
    ) -> None:
        super().__init__(message)
        self.file = file
        self.line = line
        self.key = key
        self.word = word
        self.near = near

    def __str__(self) -> str:
        hint = suggest(*self.near) if self.near else ""
        return self.message + hint + place(self.file or self.word, self.line, self.key)


class ConfigNotFoundError(ConfigError, FileNotFoundError):
    """A config file, or one of its bases, is not there."""


class ConfigFormatError(ConfigError, OSError):
    """The extension of a config names no format that cfgtrain reads."""


class ConfigSyntaxError(ConfigError, SyntaxError):
    """A config is not valid Python, JSON or YAML."""


class ConfigKeyError(ConfigError, KeyError):
    """A key is missing, reserved, unknown or defined twice."""


class ConfigAttributeError(ConfigError, AttributeError):
    """``cfg.name`` where there is no such key."""


class ConfigMergeError(ConfigError, TypeError):
    """Two values of one key cannot be merged."""


class ConfigCycleError(ConfigError, ValueError):
    """Configs name each other as ``_base_`` in a circle."""


class ConfigImportError(ConfigError, ImportError):
    """A module of ``custom_imports`` cannot be imported."""


class ConfigValueError(ConfigError, ValueError):
    """A value is of the wrong kind or out of range."""


class OptionError(ConfigError, ValueError, AssertionError):
    """A KEY=VALUE word of the command line cannot be read."""


class CheckError(ConfigError):
    """All that is wrong with a config, at once.

    Attributes:
        errors: Each problem as the error it would have been alone.
    """

    def __init__(self, message: str = "", errors: Sequence[CfgTrainError] = ()) -> None:
        super().__init__(message)
        self.errors = tuple(errors)


class ConfigWarning(UserWarning):
    """A config is legal and probably not what was meant; its text says where and what to do."""


class ConfigDeprecationWarning(ConfigWarning, DeprecationWarning):
    """A config says that it is deprecated, and what to use instead."""


class RegistryError(CfgTrainError):
    """Something about a registry or about building from a config."""

    exit_code = 2


class UnknownNameError(RegistryError, KeyError):
    """No registry in reach holds the name."""


class NameTakenError(RegistryError, KeyError):
    """The name is registered already."""


class BuildError(RegistryError, TypeError):
    """A config does not fit the thing it is meant to build."""


class HookError(CfgTrainError, ValueError):
    """A hook is not what a runner can call."""

    exit_code = 2


class InitError(CfgTrainError, RuntimeError):
    """Initial weights are for a part of a module that it does not have."""

    exit_code = 2


class CheckpointError(CfgTrainError, RuntimeError):
    """A checkpoint cannot be written, read or trusted."""


class SampleError(CfgTrainError, RuntimeError):
    """A sample cannot be loaded, or the process that loaded it died."""


class NonFiniteLossError(CfgTrainError, ArithmeticError):
    """The loss is infinite or not a number.

    Attributes:
        name: Of the value.
        value: Which it is.
        place: (iteration, epoch, batch), 0-based, as far as it is known.
    """

    def __init__(
        self,
        message: str = "",
        *,
        name: str = "loss",
        value: float = float("nan"),
        place: tuple[int, int, int] | None = None,
    ) -> None:
        super().__init__(message or f"The {name} is {value}.")
        self.name = name
        self.value = value
        self.place = place


class BackendError(CfgTrainError, ValueError):
    """A storage backend or its prefix is unknown, or a path is not one of its."""


class BackendMethodError(BackendError, NotImplementedError, AttributeError):
    """The storage has no way to do this, such as writing over HTTP."""


class DownloadError(CfgTrainError, OSError):
    """A file cannot be fetched, or is not the one that was asked for.

    Attributes:
        status: The HTTP status of the answer, None where there was none.
    """

    def __init__(self, message: str = "", *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ImageDecodeError(CfgTrainError, ValueError):
    """The bytes of a file are no image that can be read, or only a part of one."""


class MissingLibraryError(CfgTrainError, ImportError):
    """What is asked for needs a library that is not installed."""


class WorkDirError(CfgTrainError, OSError):
    """The work directory cannot be made or written to."""


class PrerequisiteError(CfgTrainError, RuntimeError):
    """A function needs a package or a program that is not there."""


class TimerError(CfgTrainError):
    """A timer that does not run was asked for its time."""


class ArgumentError(CfgTrainError, ValueError, AssertionError):
    """An argument has a value outside what the function takes."""

    exit_code = 2


class ArgumentTypeError(CfgTrainError, TypeError):
    """An argument has a type that the function does not take."""

    exit_code = 2


def place(file: str | None, line: int | None = None, key: str | None = None) -> str:
    """Return a line of its own, "at key (file:line)", from what is known of it, or an empty str."""
    spot = f"{file}:{line}" if file and line is not None else file or ""
    if key:
        spot = f"{key} ({spot})" if spot else key
    return f"\n  at {spot}" if spot else ""
