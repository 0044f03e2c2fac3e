"""Tools for whole models: fusing, freezing, counting FLOPs, and replacing synchronized batch normalization."""

from typing import TYPE_CHECKING

from cfgtrain.cnn.tools import complexity, freezing, fusing, sync_bn
from cfgtrain.cnn.tools.complexity import *
from cfgtrain.cnn.tools.freezing import *
from cfgtrain.cnn.tools.fusing import *
from cfgtrain.cnn.tools.sync_bn import *

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = [*complexity.__all__, *freezing.__all__, *fusing.__all__, *sync_bn.__all__]
