"""Weight initialization: functions, initializers for ``init_cfg``, and a record of how weights were initialized."""

from typing import TYPE_CHECKING

from cfgtrain.cnn.init import functions, initializers, record
from cfgtrain.cnn.init.functions import *
from cfgtrain.cnn.init.initializers import *
from cfgtrain.cnn.init.record import *
from cfgtrain.registries import INITIALIZERS as INITIALIZERS

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = ["INITIALIZERS", *functions.__all__, *initializers.__all__, *record.__all__]
