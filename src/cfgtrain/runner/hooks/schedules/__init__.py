"""Hooks that set learning rates and momenta."""

from cfgtrain.runner.hooks.schedules.base import LrUpdaterHook, MomentumUpdaterHook, ScheduleHook

__all__ = ["LrUpdaterHook", "MomentumUpdaterHook", "ScheduleHook"]
