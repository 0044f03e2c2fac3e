"""Run a model on a dataset and score its results."""

import typing

from cfgtrain.evaluation.collect import *
from cfgtrain.evaluation.inference import *
from cfgtrain.evaluation.scoring import *
from cfgtrain.introspection.exports import public_names as _public_names

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
