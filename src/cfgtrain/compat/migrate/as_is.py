"""Check whether a config runs as it is."""

from __future__ import annotations

import contextlib
import importlib
import sys
import warnings
from collections.abc import Iterator, Mapping

from cfgtrain.check.checker import find_problems, merged
from cfgtrain.compat.migrate.report import FileReport
from cfgtrain.config.config import Config
from cfgtrain.config.key_paths import split_key, value_at
from cfgtrain.config.loader import load_file
from cfgtrain.errors import CfgTrainError, ConfigKeyError, UnknownNameError
from cfgtrain.experiment.older_keys import replace_older_keys
from cfgtrain.keys import KEYS
from cfgtrain.registry.lookup_errors import OF_MMCV
from cfgtrain.suggestions import listed

RUNS = "runs as it is"
PART = "part of a config"
ALIAS = "the alias of mmcv"
_SHOWN = 3  # types, in a verdict


class ConfigChecker:
    """Checks configs as ``cfgtrain train`` does, without building anything.

    Args:
        uses_mmcv: Whether the code of the project imports mmcv.
    """

    def __init__(self, uses_mmcv: bool = False) -> None:
        self._uses_mmcv = uses_mmcv
        self._failed: dict[str, str] = {}  # what was said about custom_imports that failed

    def decide(self, cfg: Config, report: FileReport) -> None:
        """Set the verdict of a config that is in cfgtrain's language, and list what is wrong with it.

        The modules in ``custom_imports`` are imported, under the alias of MMCV.
        """
        failure = self._import(cfg)
        if failure:
            report.decide(None, f"not checked: {failure}")
            return
        try:
            with quiet():
                problems = list(find_problems(cfg))
        except (Exception, SystemExit) as error:  # of the modules of the project
            report.decide(None, f"not checked: {type(error).__name__}: {error}".partition("\n")[0])
            return
        missing = missing_keys(cfg)
        problems = [
            each for each in problems if not (isinstance(each, ConfigKeyError) and each.key in missing)
        ]
        unknown: dict[str, str] = {}
        of_mmcv: list[CfgTrainError] = []
        for each in problems:
            name = value_at(cfg._cfg_dict, tuple(split_key(each.key or "")))
            if not (isinstance(each, UnknownNameError) and isinstance(name, str)):
                continue
            if name in OF_MMCV:
                of_mmcv.append(each)
            else:
                unknown.setdefault(name, each.hint)
        if of_mmcv:
            for each in merged(of_mmcv):
                report.add(*place(each, report), each.hint)
            report.decide(False, "does not run as it is")
        elif unknown:
            _add_unknown(unknown, report)
        elif problems and missing:  # another part may change or complete it
            report.decide(None, f"{PART}, not checked alone: {place(problems[0], report)[1]}")
        elif problems:
            for each in merged(problems):
                report.add(*place(each, report), each.hint)
            report.decide(False, "does not run as it is")
        else:
            with_alias = f" with {ALIAS}" if self._uses_mmcv and cfg.get("custom_imports") else ""
            report.decide(True, f"{f'{PART}, ' if missing else ''}{RUNS}{with_alias}")

    def decide_converted(self, report: FileReport, texts: Mapping[str, str]) -> None:
        """Add to the verdict of a config that was converted whether the new config runs, and list what is wrong with it.

        Args:
            report: The report.
            texts: The new texts of files, by absolute path.
        """
        new = FileReport(report.path)
        try:
            with quiet():
                cfg = Config(load_file(report.path, texts=texts).tree)
        except CfgTrainError as error:
            report.add(0, f"The new config cannot be loaded: {load_failure(error)}")
            return
        self.decide(cfg, new)
        what = "the new part of a config" if missing_keys(cfg) else "the new config"
        says = {True: "runs", False: "does not run", None: f"is {new.verdict.removeprefix(f'{PART}, ')}"}
        report.verdict += f"; {what} {says[new.runs]}"
        for each in new.todos:
            report.add(0, f"In the new config, {each.message}", each.hint)

    def _import(self, cfg: Config) -> str:
        """Import the modules of a config; return why one cannot be imported."""
        wanted = cfg.get("custom_imports")
        if not wanted:
            return ""
        key = repr(wanted)
        if key not in self._failed:
            try:
                with quiet():
                    if "mmcv" not in sys.modules:
                        importlib.import_module("cfgtrain.compat.mmcv")
                    cfg.import_custom_modules()
                self._failed[key] = ""
            except CfgTrainError as error:
                self._failed[key] = f"custom_imports cannot be imported here. {error.message}"
        return self._failed[key]


def missing_keys(cfg: Config) -> set[str]:
    """Return the keys that a config needs to be trained and does not have: it is a part of others."""
    replace_older_keys(cfg)
    return {key.name for key in KEYS.values() if key.required and key.name not in cfg}


def load_failure(error: BaseException) -> str:
    """Return the first line of the text of an exception that a config raised."""
    text = error.message if isinstance(error, CfgTrainError) else str(error)
    return text.partition("\n")[0] or type(error).__name__


def place(error: CfgTrainError, report: FileReport) -> tuple[int, str]:
    """Return the line in the file of an error, or 0, and its message, which begins with the place in another file."""
    key = f"{error.key}: " if error.key else ""
    if error.file is None:
        return 0, f"{key}{error.message}"
    if same_file(error.file, report):
        return error.line or 0, f"{key}{error.message}"
    return 0, f"{error.origin}: {key}{error.message}"


def same_file(file: str, report: FileReport) -> bool:
    """Return whether a path leads to the file of a report."""
    with contextlib.suppress(OSError):
        return report.path.samefile(file)
    return False


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Ignore warnings, and print to stderr what would be printed to stdout, within the context."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        yield


def _add_unknown(hints: Mapping[str, str], report: FileReport) -> None:
    """Set the verdict of a config with names that are not registered here: a project's code registers them.

    Args:
        hints: The hint for each name.
        report: The report.
    """
    are = "is" if len(hints) == 1 else "are"
    report.decide(
        None, f"not checked: {listed(hints, _SHOWN)} {are} not registered before the project is imported"
    )
    for name, hint in hints.items():
        if "custom_imports" in hint:
            report.add(0, f"{name!r}: {hint}", "", "note")
