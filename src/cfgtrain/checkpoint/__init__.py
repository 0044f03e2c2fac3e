"""Checkpoints: written atomically, verified, and loaded without running code."""

import typing

from cfgtrain.checkpoint.load import *
from cfgtrain.checkpoint.save import *
from cfgtrain.checkpoint.schemes import CheckpointLoader as CheckpointLoader
from cfgtrain.checkpoint.schemes import register_scheme as register_scheme
from cfgtrain.checkpoint.state_dict import *
from cfgtrain.introspection.exports import public_names as _public_names

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
