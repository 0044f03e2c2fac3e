"""Configs: files with inheritance, merged into one tree that records where each value came from."""

from cfgtrain.config.config import Config
from cfgtrain.config.dict import ConfigDict
from cfgtrain.config.lint import find_suspects
from cfgtrain.config.options import DictAction, parse_options

__all__ = ["Config", "ConfigDict", "DictAction", "find_suspects", "parse_options"]
