"""Checkpoints: written atomically, verified, and loaded without running code."""

from typing import TYPE_CHECKING

from cfgtrain.checkpoint import load, save, state_dict
from cfgtrain.checkpoint.load import *
from cfgtrain.checkpoint.save import *
from cfgtrain.checkpoint.schemes import CheckpointLoader as CheckpointLoader
from cfgtrain.checkpoint.schemes import register_scheme as register_scheme
from cfgtrain.checkpoint.state_dict import *

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = [
        "CheckpointLoader",
        "register_scheme",
        *load.__all__,
        *save.__all__,
        *state_dict.__all__,
    ]
