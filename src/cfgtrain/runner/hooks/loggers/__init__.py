"""Hooks that write the log of a run."""

from cfgtrain.runner.hooks.loggers.base import LoggerHook
from cfgtrain.runner.hooks.loggers.progress import ProgressHook
from cfgtrain.runner.hooks.loggers.text import TextLoggerHook

__all__ = ["LoggerHook", "ProgressHook", "TextLoggerHook"]
