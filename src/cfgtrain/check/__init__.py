"""Checks of a config before the run."""

from cfgtrain.check.checker import check, find_problems

__all__ = ["check", "find_problems"]
