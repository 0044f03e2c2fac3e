"""Transforms: the steps of a pipeline.

A transform is a callable that takes a dict of results and returns a dict of results. If it returns None, the sample
is dropped, and the dataset must return another one. The keys are those of MMCV: ``img`` is an (H, W) or (H, W, C)
array with channels in the order BGR, and ``gt_label`` is an int. Random transforms use the global random
generators, which a loader seeds for each sample.
"""

import typing

from cfgtrain.data.transforms.batch import *
from cfgtrain.data.transforms.color import *
from cfgtrain.data.transforms.compose import *
from cfgtrain.data.transforms.erasing import *
from cfgtrain.data.transforms.formatting import *
from cfgtrain.data.transforms.geometry import *
from cfgtrain.data.transforms.loading import *
from cfgtrain.data.transforms.point_operations import *
from cfgtrain.introspection.exports import public_names as _public_names

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
