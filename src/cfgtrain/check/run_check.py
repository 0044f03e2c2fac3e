"""Check everything that a training run needs, without beginning it."""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass, field

from cfgtrain.check.checker import config_problems, merged
from cfgtrain.check.dry_run import DryRun, exception_text, try_batches
from cfgtrain.config.config import Config
from cfgtrain.errors import CfgTrainError, CheckError, DryRunError
from cfgtrain.experiment.assembly import Assembly, assemble_run
from cfgtrain.experiment.parallel_settings import check_shardable
from cfgtrain.experiment.settings import fill_data_paths, fill_device_and_work_dir, fill_seed
from cfgtrain.introspection.error_hints import torch_error_hint
from cfgtrain.introspection.user_code import user_frames
from cfgtrain.keys import setting
from cfgtrain.origin import Location
from cfgtrain.parallel.wrappers import unwrap_model
from cfgtrain.random_state import RandomState, set_random_seed

__all__ = ["RunCheck", "check_run"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunCheck:
    """The result of ``check_run``.

    Attributes:
        problems: Everything that is wrong, each with the attributes ``message``, ``hint``, ``file``, ``line`` and ``key``.
        warnings: What is probably wrong.
        skipped: What was not tried, and why, a sentence each.
        summary: What was checked, if nothing is wrong.
    """

    problems: list[CfgTrainError]
    warnings: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    summary: str = ""


def check_run(cfg: Config, data: bool = True, trusted: bool = False) -> RunCheck:
    """Return everything that is wrong with a config, and with what a run would do with it first.

    The config is checked as ``train`` does. If nothing is wrong with it, the model, the loaders and the runner are built,
    and one batch of each dataset is tried. Nothing is written, and the random states are as before.

    Args:
        cfg: Config of a training run; it is not changed.
        data: Whether to try it. Otherwise the config alone is checked, and the files that it names do not have to exist.
        trusted: Whether the checkpoints that it names may run code while they are loaded.

    Raises:
        Exception: The error of a program, which does not come from the config, the data or custom code.
    """
    problems = merged(list(config_problems(cfg, files=data, trusted=trusted)))
    if problems:
        return RunCheck(problems, skipped=["The model and the data are not tried before this is corrected."])
    if not data:
        return RunCheck(
            [], summary="nothing is wrong with the config; the model and the data were not tried."
        )
    cfg = copy.deepcopy(cfg)
    before = RandomState.capture()
    try:
        return _try(cfg)
    finally:
        RandomState.restore(before)


def _try(cfg: Config) -> RunCheck:
    fill_device_and_work_dir(cfg)
    fill_data_paths(cfg)
    fill_seed(cfg, None)
    set_random_seed(cfg.seed)
    try:
        built = assemble_run(cfg, None, logging.getLogger("cfgtrain"))
        check_shardable(cfg, built.runner.model)
    except CheckError as error:
        return RunCheck(list(error.errors))
    except CfgTrainError as error:
        return RunCheck([error])
    except (Exception, SystemExit) as error:  # of custom code or a library
        if not (getattr(error, "__notes__", ()) or user_frames(error) or isinstance(error, OSError)):
            raise
        return RunCheck([_build_error(error)])
    if not setting(cfg, "dry_run"):
        return RunCheck([], skipped=["No batch is tried, because of dry_run=False."], summary=_summary(built))
    tried = try_batches(cfg, *built[:2])
    return RunCheck(tried.problems, tried.warnings, tried.skipped, _summary(built, tried))


def _build_error(error: BaseException) -> DryRunError:
    """Return the error for an exception that is not ours, which becomes its cause."""
    place: Location = getattr(error, "build_location", Location(origin=None, key=None))
    failure = DryRunError(f"{exception_text(error)}.", hint=torch_error_hint(error), **place)
    for note in getattr(error, "__notes__", ()):
        failure.add_note(note)
    failure.__cause__ = error
    return failure


def _summary(built: Assembly, tried: DryRun | None = None) -> str:
    model = unwrap_model(built.runner.model)
    parts = list(built.loaders)
    number = "1 dataset" if len(parts) == 1 else f"{len(parts)} datasets"
    text = f"{number} ({', '.join(parts)}), {type(model).__name__}"
    if tried is None or tried.loss is None:
        return f"{text}."
    count = sum(parameter.numel() for parameter in model.parameters())
    return f"{text} with {count:,} parameters, loss {tried.loss:.4g} on a batch."
