"""Write the settings that a config leaves open into it, so that the saved config repeats the run."""

from __future__ import annotations

import random
from pathlib import Path

from cfgtrain.checkpoint.find import Resumed
from cfgtrain.config.config import Config
from cfgtrain.data.builder import parts_of
from cfgtrain.data.paths import resolve_paths
from cfgtrain.experiment.work_dir import config_stem
from cfgtrain.parallel.device import pick_device

__all__ = ["fill_data_paths", "fill_device_and_work_dir", "fill_seed"]


def fill_device_and_work_dir(cfg: Config) -> None:
    """Write the device and the work directory into the config, where it does not set them."""
    cfg.device = str(pick_device(cfg.get("device")))
    cfg.work_dir = str(cfg.get("work_dir") or Path("work_dirs") / config_stem(cfg))


def fill_data_paths(cfg: Config) -> None:
    """Write the absolute paths of data that is found in the folder of the config into the config."""
    for part in parts_of(cfg):
        resolve_paths(cfg.data.get(part))


def fill_seed(cfg: Config, resumed: Resumed | None) -> None:
    """Write the seed into the config.

    A resumed run keeps the seed that it began with, unless the config sets one.
    """
    if cfg.get("seed") is None:
        begun_with = resumed.checkpoint["meta"].get("seed") if resumed is not None else None
        cfg.seed = random.SystemRandom().randrange(2**31) if begun_with is None else begun_with
