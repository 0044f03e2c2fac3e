"""Metrics that score predictions."""

import typing

from cfgtrain.introspection.exports import public_names as _public_names
from cfgtrain.metrics.classification import *
from cfgtrain.metrics.language import *
from cfgtrain.metrics.metric import *
from cfgtrain.metrics.metric_set import *
from cfgtrain.metrics.multi_label import *
from cfgtrain.metrics.regression import *
from cfgtrain.metrics.torch_metric import *
from cfgtrain.registries import METRICS as METRICS

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
