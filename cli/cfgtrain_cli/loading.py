"""From the words of a command to a config: the way all commands share."""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cfgtrain.config.config import Config
from cfgtrain.config.options import parse_options
from cfgtrain.config.provenance.lint import find_suspects
from cfgtrain.errors import CfgTrainError, ConfigError
from cfgtrain.origin import Origin

# Options whose name is not that of the key they set.
_FLAGS = {"resume_from": "resume"}


def load_config(
    file: Path,
    cfg_options: list[str] | None,
    settings: Mapping[str, Any] | None = None,
    *,
    warn: bool = True,
) -> Config:
    """Load a config, lay the command line over it, and warn of what was probably not meant.

    Args:
        file: The config.
        cfg_options: ``KEY=VALUE`` words; a key that the config does not have is an error.
        settings: Values of options such as ``--seed`` by the key they set; None sets nothing.
        warn: Whether to look for what was probably not meant.

    Raises:
        ConfigError: Whatever is wrong with the file or the words.
    """
    try:
        cfg = Config.fromfile(file, import_custom_modules=False)
    except CfgTrainError:
        raise
    except (Exception, SystemExit) as error:
        raise _failure_in(file, error) from error
    cfg.merge_from_dict(
        parse_options(cfg_options or []), strict=True, origin=Origin(None, None, "--cfg-options")
    )
    for key, value in (settings or {}).items():
        if value is not None:
            word = f"--{_FLAGS.get(key, key.replace('_', '-'))} {value}"
            value = str(value) if isinstance(value, Path) else value
            cfg.merge_from_dict({key: value}, origin=lambda *_, word=word: Origin(None, None, word))
    for warning in find_suspects(cfg) if warn else ():
        warnings.warn(warning, stacklevel=2)
    return cfg


def import_custom_modules(cfg: Config) -> None:
    """Import what ``custom_imports`` names, after the overrides, which may change it.

    The current folder is searched first, as ``python -m`` does, and the config's folder
    last: configs may have names that modules have.
    """
    if cfg.get("custom_imports"):
        here, beside = str(Path.cwd()), str(Path(cfg.filename or ".").absolute().parent)
        sys.path[:] = [here, *(entry for entry in sys.path if entry not in (here, beside)), beside]
    cfg.import_custom_modules()


def _failure_in(file: Path, error: BaseException) -> ConfigError:
    """Say which line of a config, not of this program, raised."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if frame.name == "<module>" and frame.filename.endswith(".py")]
    last = inside[-1] if inside else None
    return ConfigError(
        f"The config cannot be run: {type(error).__name__}: {error}."
        + (f"\n    {last.line}" if last else ""),
        file=last.filename if last else str(file),
        line=last.lineno if last else None,
    )
