"""Run a model on a dataset and score its results."""

from typing import TYPE_CHECKING

from cfgtrain.evaluation import inference, scoring
from cfgtrain.evaluation.inference import *
from cfgtrain.evaluation.scoring import *

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = [*inference.__all__, *scoring.__all__]
