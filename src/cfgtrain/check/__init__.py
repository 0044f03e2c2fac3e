"""Checks of a config before the run."""

from cfgtrain.check.checker import check, check_model, check_test, find_problems
from cfgtrain.check.run_check import RunCheck, check_run

__all__ = ["RunCheck", "check", "check_model", "check_run", "check_test", "find_problems"]
