"""Optimizers: built from configs, with settings for single parameters."""

from typing import TYPE_CHECKING

from cfgtrain.optim import builder, paramwise
from cfgtrain.optim.builder import *
from cfgtrain.optim.paramwise import *
from cfgtrain.registries import OPTIMIZER_BUILDERS as OPTIMIZER_BUILDERS
from cfgtrain.registries import OPTIMIZERS as OPTIMIZERS

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = ["OPTIMIZERS", "OPTIMIZER_BUILDERS", *builder.__all__, *paramwise.__all__]
