"""Everything that can be wrong with a config, found before the run."""

from cfgtrain.check.checker import TOP_LEVEL_KEYS, check, find_problems

__all__ = ["TOP_LEVEL_KEYS", "check", "find_problems"]
