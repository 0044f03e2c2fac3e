"""Checks of a config before the run."""

from cfgtrain.check.checker import check, check_model, check_test, find_problems

__all__ = ["check", "check_model", "check_test", "find_problems"]
