"""Datasets, the pipelines that transform their samples, samplers and loaders."""

import typing

from cfgtrain.data.builder import *
from cfgtrain.data.datasets import *
from cfgtrain.data.loader import *
from cfgtrain.data.samplers import *
from cfgtrain.data.seeded import *
from cfgtrain.data.transforms import *
from cfgtrain.introspection.exports import public_names as _public_names
from cfgtrain.metrics.classification import accuracy as accuracy
from cfgtrain.registries import BATCH_TRANSFORMS as BATCH_TRANSFORMS
from cfgtrain.registries import DATASETS as DATASETS
from cfgtrain.registries import PIPELINES as PIPELINES
from cfgtrain.registries import SAMPLERS as SAMPLERS

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
