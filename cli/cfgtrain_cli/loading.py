"""Loading a config for a command: overrides, warnings and custom imports."""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cfgtrain.config.config import Config
from cfgtrain.config.custom_imports import CUSTOM_IMPORTS, replaced_imports
from cfgtrain.config.dict import DELETE
from cfgtrain.config.options import parse_options, typed_values
from cfgtrain.config.provenance.lint import lint
from cfgtrain.errors import CfgTrainError, ConfigError, ConfigWarning
from cfgtrain.introspection.imports import missing_module_hint
from cfgtrain.origin import Origin
from cfgtrain_cli.console import log_to_terminal

# The option of a config key, where their names differ.
_FLAGS = {"resume_from": "resume"}


def load_config(
    file: Path,
    cfg_options: list[str] | None,
    settings: Mapping[str, Any] | None = None,
    *,
    warn: bool = True,
) -> Config:
    """Load a config, apply the overrides of the command line, and warn about probable mistakes.

    Args:
        file: The config file.
        cfg_options: ``KEY=VALUE`` overrides.
        settings: Values of options such as ``--seed``, by config key. None leaves the key unchanged.
        warn: Whether to look for probable mistakes.

    Raises:
        ConfigError: The file or an override is invalid, or an override has an unknown key.
    """
    try:
        cfg = Config.fromfile(file, import_custom_modules=False)
    except CfgTrainError:
        raise
    except (Exception, SystemExit) as error:
        raise _failure_in(file, error) from error
    inherited = cfg.get(CUSTOM_IMPORTS)
    cfg.merge_from_dict(
        parse_options(cfg_options or []),
        strict=True,
        origin=Origin(None, None, "--cfg-options"),
        typed=typed_values(cfg_options or []),
    )
    on_purpose = any(CUSTOM_IMPORTS in word and DELETE in word for word in cfg_options or [])
    if inherited is not None and not on_purpose:
        text = replaced_imports(inherited, cfg[CUSTOM_IMPORTS], cfg.origin(CUSTOM_IMPORTS))
        if text is not None:
            warnings.warn(text, ConfigWarning, stacklevel=2)
    for key, value in (settings or {}).items():
        if value is not None:
            word = f"--{_FLAGS.get(key, key.replace('_', '-'))} {value}"
            value = str(value) if isinstance(value, Path) else value
            cfg.merge_from_dict({key: value}, origin=lambda *_, word=word: Origin(None, None, word))
    for warning in lint(cfg) if warn else ():
        warnings.warn(warning, stacklevel=2)
    return cfg


def load_project(
    file: Path, cfg_options: list[str] | None, settings: Mapping[str, Any] | None = None
) -> Config:
    """Load a config as `load_config` does, log to the terminal, and import the ``custom_imports``.

    The overrides may change ``custom_imports``, so they are applied first.
    """
    cfg = load_config(file, cfg_options, settings)
    log_to_terminal()
    import_custom_modules(cfg)
    return cfg


def import_custom_modules(cfg: Config) -> None:
    """Import the ``custom_imports`` of a config, and make the modules that its import paths name importable.

    With ``custom_imports`` the current folder is searched first, as with ``python -m``, and the folder of the config
    last: a config may have the same name as a module. Without them both are searched last, since a file that only
    has the name of an installed module must not replace it.
    """
    here, beside = str(Path.cwd()), str(Path(cfg.filename or ".").absolute().parent)
    if cfg.get("custom_imports"):
        sys.path[:] = [here, *(entry for entry in sys.path if entry not in (here, beside)), beside]
    else:
        sys.path += [each for each in dict.fromkeys((here, beside)) if each not in sys.path]
    cfg.import_custom_modules()


def _failure_in(file: Path, error: BaseException) -> ConfigError:
    """Return an error that names the line of the config, rather than of this program, that raised."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if frame.name == "<module>" and frame.filename.endswith(".py")]
    last = inside[-1] if inside else None
    message = f"The config raised {type(error).__name__}: {error}. {missing_module_hint(error)}".rstrip()
    return ConfigError(
        message + (f"\n    {last.line}" if last else ""),
        origin=Origin(last.filename, last.lineno) if last else Origin(str(file)),
    )
