"""Every error that cfgtrain raises on purpose.

    CfgTrainError                    has .message .hint .origin .key .argument
    ├── ConfigError                  something in a config
    │   ├── ConfigNotFoundError      (FileNotFoundError)
    │   ├── ConfigFormatError        (OSError)           an unknown file extension
    │   ├── ConfigSyntaxError        (SyntaxError)
    │   ├── ConfigKeyError           (KeyError)
    │   ├── ConfigAttributeError     (AttributeError)
    │   ├── ConfigMergeError         (TypeError)
    │   ├── ConfigCycleError         (ValueError)
    │   ├── ConfigImportError        (ImportError)
    │   ├── ConfigValueError         (ValueError)        a value of the wrong kind
    │   ├── OptionError              (ValueError, AssertionError)  a KEY=VALUE argument
    │   ├── DryRunError              (RuntimeError)      a batch fails before the run
    │   └── CheckError               several errors at once
    ├── RegistryError
    │   ├── UnknownNameError         (KeyError)
    │   ├── NameTakenError           (KeyError)
    │   └── BuildError               (TypeError)
    ├── HookError                    (ValueError)
    ├── InitError                    (RuntimeError)      initial weights for a missing submodule
    ├── CheckpointError              (RuntimeError)
    │   └── CheckpointNotFoundError  (FileNotFoundError)
    ├── SampleError                  (RuntimeError)      a sample that cannot be loaded
    │   └── TransformError                               a step of a pipeline that failed
    ├── WorkerError                  (RuntimeError)      a worker process, or its answer, that is lost
    ├── NonFiniteLossError           (ArithmeticError)
    ├── BackendError                 (ValueError)
    │   └── BackendMethodError       (NotImplementedError, AttributeError)
    ├── DownloadError                (OSError)
    ├── FileContentError             (ValueError)        not valid in the format of the file
    │   ├── EncodingError            (UnicodeDecodeError)
    │   └── CompressionError         (OSError, EOFError)
    ├── ImageDecodeError             (ValueError)        bytes that are not a complete image
    ├── MissingLibraryError          (ImportError)       an optional library that is not installed
    ├── CompatError                  (ImportError)       a name of another toolkit that cfgtrain does not have
    ├── ProcessError                 (RuntimeError)      another process of a distributed run that failed
    │   └── RendezvousError                              processes that do not find each other at the start
    ├── WorkDirError                 (OSError)
    ├── PrerequisiteError            (RuntimeError)      a package or program that is missing
    ├── LauncherError                (KeyError)          what a launcher of processes did not set
    ├── TimerError                                       a timer that is not running
    └── ArgumentError                (ValueError, AssertionError)
        ├── ArgumentTypeError        (TypeError)
        └── ColorConversionError     (AttributeError)    color spaces without a conversion

    ConfigWarning (UserWarning)      a valid config that is probably a mistake
    └── ConfigDeprecationWarning     (DeprecationWarning)  a config that says it is deprecated

Each class also inherits the builtin that MMCV 1.x raises instead, so that an
``except KeyError`` written for MMCV keeps working. The command line prints any of
them as one red message and exits with its ``exit_code``. Of an exception in custom code it
prints the frames of that code; every other exception is a bug and shows its traceback.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, Unpack

from cfgtrain.exit_codes import ExitCode
from cfgtrain.origin import Origin, place_text
from cfgtrain.suggestions import printable, suggest

__all__ = ["CfgTrainError"]  # what the package exports; the other classes are imported from here


MAX_SIGNATURE = 74  # characters; a longer one is only shown if there is no suggestion


class ErrorFields(TypedDict, total=False):
    """The keyword arguments of every error; see ``CfgTrainError``."""

    origin: Origin | None
    key: str | None
    hint: str
    near: tuple[str, Sequence[str]] | None
    argument: str | tuple[str, ...]


class CfgTrainError(Exception):
    """Base of every error raised on purpose; its text is written for the user.

    Args:
        message: What is wrong, with the value, and what would be right.
        origin: Where the wrong value was set: a line of a config, or a command-line argument.
        key: Dotted key path of the value, such as ``data.train.pipeline[1].type``.
        hint: A suggestion, such as ``"Did you mean 'lr'?"``.
        near: In place of ``hint``, a name that does not exist, and the names that do. The similar
            ones are searched for when the hint is read, which ``hasattr`` never does.
        argument: Name of the wrong argument of the function that raises, or its key path if the
            value is inside a dict, such as ``("loss_scale", "init_scale")``. If the arguments were
            in a config, the caller looks up the line there.
    """

    exit_code = ExitCode.FAILED

    def __init__(
        self,
        message: str = "",
        *,
        origin: Origin | None = None,
        key: str | None = None,
        hint: str = "",
        near: tuple[str, Sequence[str]] | None = None,
        argument: str | tuple[str, ...] = (),
    ) -> None:
        message = printable(message)
        super().__init__(message)
        self.message = message
        self.argument = (argument,) if isinstance(argument, str) else argument
        self.origin = origin
        self.key = key
        self.near = near
        self._hint = hint.strip()  # a text of `suggest` begins with a space

    @property
    def hint(self) -> str:
        """The suggestion, or ``""``."""
        return self._hint or (suggest(*self.near).strip() if self.near else "")

    @property
    def file(self) -> str | None:
        """The file in which the wrong value was set, if it is known."""
        return self.origin.file if self.origin is not None else None

    @property
    def line(self) -> int | None:
        """The 1-based line in ``file``, if it is known."""
        return self.origin.line if self.origin is not None else None

    def __str__(self) -> str:
        place = place_text(self.origin, self.key)
        text = " ".join(filter(None, (self.message, self.hint)))
        return printable(f"{text}\n  at {place}" if place else text)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.__dict__)


def _rebuild(cls: type[CfgTrainError], message: str, state: dict[str, object]) -> CfgTrainError:
    """Unpickle an error: pickle does not pass keyword-only arguments."""
    error = cls(message)
    error.__dict__.update(state)
    return error


class ConfigError(CfgTrainError):
    """Something in a config is wrong."""

    exit_code = ExitCode.USAGE


class ConfigNotFoundError(ConfigError, FileNotFoundError):
    """A config file, or one of its bases, does not exist."""


class ConfigFormatError(ConfigError, OSError):
    """The file extension of a config is not one that cfgtrain reads."""


class ConfigSyntaxError(ConfigError, SyntaxError):
    """A config is not valid Python, JSON or YAML."""


class ConfigKeyError(ConfigError, KeyError):
    """A key is missing, reserved, unknown or defined twice."""


class ConfigAttributeError(ConfigError, AttributeError):
    """The key of ``cfg.name`` does not exist."""


class ConfigMergeError(ConfigError, TypeError):
    """Two values of one key cannot be merged."""


class ConfigCycleError(ConfigError, ValueError):
    """The ``_base_`` keys of configs form a cycle."""


class ConfigImportError(ConfigError, ImportError):
    """A module of ``custom_imports`` cannot be imported."""


class ConfigValueError(ConfigError, ValueError):
    """A value has the wrong type or is out of range."""


class OptionError(ConfigError, ValueError, AssertionError):
    """A KEY=VALUE argument of the command line cannot be parsed."""


class DryRunError(ConfigError, RuntimeError):
    """A batch that is tried before a run cannot be loaded or processed."""


class CheckError(ConfigError):
    """Everything that is wrong with a config, at once.

    Attributes:
        errors: An error for each problem, with its own place and hint.
    """

    def __init__(
        self, message: str = "", errors: Sequence[CfgTrainError] = (), **fields: Unpack[ErrorFields]
    ) -> None:
        super().__init__(message, **fields)
        self.errors = tuple(errors)

    def __str__(self) -> str:
        listed = []
        for i, error in enumerate(self.errors, 1):
            notes = (line for note in getattr(error, "__notes__", ()) for line in note.splitlines())
            listed += [f"{i}. {error}", *(f"  {line}" for line in notes)]
        return "\n".join([super().__str__(), *listed])


class ConfigWarning(UserWarning):
    """A config is valid but probably a mistake; the text says where, and what to do.

    Args:
        message: What is probably wrong, and what to do.
        origin: Where the value was set, if it is known.
        key: Its dotted key path.
    """

    def __init__(self, message: str = "", *, origin: Origin | None = None, key: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.origin = origin
        self.key = key

    def __str__(self) -> str:
        place = place_text(self.origin, self.key)
        return f"{self.message}\n  at {place}" if place else self.message


class ConfigDeprecationWarning(ConfigWarning, DeprecationWarning):
    """A config is marked as deprecated; the text says what to use instead."""


class RegistryError(CfgTrainError):
    """A registry cannot find, register or build something."""

    exit_code = ExitCode.USAGE


class UnknownNameError(RegistryError, KeyError):
    """The name is not in the registry, nor in any registry that it can reach."""


class NameTakenError(RegistryError, KeyError):
    """The name is already registered."""


class BuildError(RegistryError, TypeError):
    """The arguments in a config do not fit what is to be built from it.

    Attributes:
        signature: Of the class or function, as in ``"Cat(name, age=0)"``, or ``""``.
    """

    def __init__(self, message: str = "", *, signature: str = "", **fields: Unpack[ErrorFields]) -> None:
        super().__init__(message, **fields)
        self.signature = signature

    def __str__(self) -> str:
        is_shown = self.signature and not (self.hint and len(self.signature) > MAX_SIGNATURE)
        return super().__str__() + (f"\n  in {self.signature}" if is_shown else "")


class HookError(CfgTrainError, ValueError):
    """A hook cannot be used by the runner."""

    exit_code = ExitCode.USAGE


class InitError(CfgTrainError, RuntimeError):
    """An ``init_cfg`` names a submodule that does not exist."""

    exit_code = ExitCode.USAGE


class CheckpointError(CfgTrainError, RuntimeError):
    """A checkpoint cannot be written, read or trusted."""


class CheckpointNotFoundError(CheckpointError, FileNotFoundError):
    """A checkpoint does not exist."""


class SampleError(CfgTrainError, RuntimeError):
    """A sample cannot be loaded, or the worker process that loaded it died."""


class TransformError(SampleError):
    """A step of a pipeline failed, for another reason than a file that cannot be read.

    Attributes:
        step: Index of the step in the pipeline, 0-based, or -1 if it is unknown.
        transform: Name of the class or function.
    """

    def __init__(
        self, message: str = "", *, step: int = -1, transform: str = "", **fields: Unpack[ErrorFields]
    ) -> None:
        super().__init__(message, **fields)
        self.step = step
        self.transform = transform


class WorkerError(CfgTrainError, RuntimeError):
    """A worker process ended, or a task or its result could not be sent to or from it."""


class NonFiniteLossError(CfgTrainError, ArithmeticError):
    """The loss is infinite or not a number.

    Attributes:
        name: Name of the value that is not finite.
        value: The value.
        place: (iteration, epoch, batch), 0-based, if it is known.
    """

    def __init__(
        self,
        message: str = "",
        *,
        name: str = "loss",
        value: float = float("nan"),
        place: tuple[int, int, int] | None = None,
        **fields: Unpack[ErrorFields],
    ) -> None:
        super().__init__(message or f"The {name} is {value}.", **fields)
        self.name = name
        self.value = value
        self.place = place


class BackendError(CfgTrainError, ValueError):
    """A storage backend or its prefix is unknown, or the path does not belong to the backend."""


class BackendMethodError(BackendError, NotImplementedError, AttributeError):
    """The storage backend does not support the operation, such as writing over HTTP."""


class DownloadError(CfgTrainError, OSError):
    """A file cannot be downloaded, or its content is not what was expected.

    Attributes:
        status: The HTTP status of the response, or None if there was no response.
    """

    def __init__(
        self, message: str = "", *, status: int | None = None, **fields: Unpack[ErrorFields]
    ) -> None:
        super().__init__(message, **fields)
        self.status = status


class _MessageOnly(Exception):
    """Ends the chain of constructors before those of builtins that need more than a message."""

    def __init__(self, message: str = "") -> None:
        Exception.__init__(self, message)


class FileContentError(CfgTrainError, _MessageOnly, ValueError):
    """The content of a file is not valid in its format; the error of the parser is the cause.

    The subclasses for JSON, YAML and pickle also inherit the errors of their parsers; see
    ``cfgtrain.fileio.content``.
    """


class EncodingError(FileContentError, UnicodeDecodeError):
    """A text file is not valid in its encoding."""


class CompressionError(FileContentError, OSError, EOFError):
    """A compressed file is not complete or not compressed."""


class ImageDecodeError(CfgTrainError, ValueError):
    """The bytes are not a complete image in a known format."""


class MissingLibraryError(CfgTrainError, ImportError):
    """An optional library that is needed is not installed."""


class CompatError(CfgTrainError, ImportError):
    """A name of MMCV that cfgtrain does not have was used, or its modules cannot be provided."""


class ProcessError(CfgTrainError, RuntimeError):
    """Another process of a distributed run has failed or was lost, which ends this one too.

    Args:
        message: What happened.
        is_reported: Whether another process reports it, so that this one need not.
    """

    def __init__(
        self, message: str = "", *, is_reported: bool = False, **fields: Unpack[ErrorFields]
    ) -> None:
        super().__init__(message, **fields)
        self.is_reported = is_reported


class RendezvousError(ProcessError):
    """The processes of a distributed run do not find each other at its start."""

    exit_code = ExitCode.USAGE


class WorkDirError(CfgTrainError, OSError):
    """The work directory cannot be created or written to."""


class PrerequisiteError(CfgTrainError, RuntimeError):
    """A function needs a package or a program that is not installed."""


class LauncherError(CfgTrainError, KeyError):
    """An environment variable that the launcher of a distributed run sets is missing or not valid."""

    exit_code = ExitCode.USAGE


class TimerError(CfgTrainError):
    """The time of a timer that is not running was read."""


class ArgumentError(CfgTrainError, ValueError, AssertionError):
    """An argument has a value that the function does not accept."""

    exit_code = ExitCode.USAGE


class ArgumentTypeError(ArgumentError, TypeError):
    """An argument has a type that the function does not accept."""


class ColorConversionError(ArgumentError, AttributeError):
    """OpenCV has no conversion between two color spaces."""
