"""Transforms: the steps of a pipeline, from one dict of results to the next.

A transform is a callable ``results -> results``; ``None`` drops the sample, and the data set has to return another. The keys are
MMCV's: ``img`` an (H, W) or (H, W, C) array, channels BGR, and ``gt_label`` an int.
Random ones draw from the global generators, which a loader sets for each sample.
"""

from typing import TYPE_CHECKING

from cfgtrain.data.transforms import compose, formatting, image
from cfgtrain.data.transforms.compose import *
from cfgtrain.data.transforms.formatting import *
from cfgtrain.data.transforms.image import *

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = [*compose.__all__, *formatting.__all__, *image.__all__]
