"""Datasets, the pipelines that transform their samples, samplers and loaders."""

from typing import TYPE_CHECKING

from cfgtrain.data import builder, datasets, loader, samplers, transforms
from cfgtrain.data.builder import *
from cfgtrain.data.datasets import *
from cfgtrain.data.loader import *
from cfgtrain.data.samplers import *
from cfgtrain.data.transforms import *
from cfgtrain.metrics.classification import accuracy as accuracy
from cfgtrain.registries import DATASETS as DATASETS
from cfgtrain.registries import PIPELINES as PIPELINES
from cfgtrain.registries import SAMPLERS as SAMPLERS

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = [
        "DATASETS",
        "PIPELINES",
        "SAMPLERS",
        "accuracy",
        *builder.__all__,
        *datasets.__all__,
        *loader.__all__,
        *samplers.__all__,
        *transforms.__all__,
    ]
