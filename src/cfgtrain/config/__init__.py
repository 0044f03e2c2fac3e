"""Configs: files with inheritance, merged into one tree that records where each value came from."""

from cfgtrain.config.config import Config
from cfgtrain.config.dict import ConfigDict
from cfgtrain.config.options import DictAction, parse_options
from cfgtrain.config.provenance.lint import lint

__all__ = ["Config", "ConfigDict", "DictAction", "lint", "parse_options"]
