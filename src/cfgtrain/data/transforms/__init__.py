"""Transforms: the steps of a pipeline.

A transform is a callable that takes a dict of results and returns a dict of results. If it returns None, the sample
is dropped, and the dataset must return another one. The keys are those of MMCV: ``img`` is an (H, W) or (H, W, C)
array with channels in the order BGR, and ``gt_label`` is an int. Random transforms use the global random
generators, which a loader seeds for each sample.
"""

from typing import TYPE_CHECKING

from cfgtrain.data.transforms import compose, formatting, image, point_operations
from cfgtrain.data.transforms.compose import *
from cfgtrain.data.transforms.formatting import *
from cfgtrain.data.transforms.image import *
from cfgtrain.data.transforms.point_operations import *

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = [*compose.__all__, *formatting.__all__, *image.__all__, *point_operations.__all__]
