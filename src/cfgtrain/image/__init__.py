"""Image functions on NumPy arrays of shape (H, W, C), with channels in the order BGR."""

from typing import TYPE_CHECKING

# array is imported first, since it explains how to repair an OpenCV that cannot be imported
from cfgtrain.image import (
    array,
    backends,
    boxes,
    colorspace,
    crop,
    erase,
    flip,
    io,
    normalize,
    pad,
    photometric,
    point_operations,
    rescale,
    resize,
    tensors,
    warp,
)
from cfgtrain.image.backends import *
from cfgtrain.image.boxes import *
from cfgtrain.image.colorspace import *
from cfgtrain.image.crop import *
from cfgtrain.image.erase import *
from cfgtrain.image.flip import *
from cfgtrain.image.io import *
from cfgtrain.image.normalize import *
from cfgtrain.image.pad import *
from cfgtrain.image.photometric import *
from cfgtrain.image.point_operations import *
from cfgtrain.image.rescale import *
from cfgtrain.image.resize import *
from cfgtrain.image.tensors import *
from cfgtrain.image.warp import *

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = [
        *array.__all__,
        *backends.__all__,
        *boxes.__all__,
        *colorspace.__all__,
        *crop.__all__,
        *erase.__all__,
        *flip.__all__,
        *io.__all__,
        *normalize.__all__,
        *pad.__all__,
        *photometric.__all__,
        *point_operations.__all__,
        *rescale.__all__,
        *resize.__all__,
        *tensors.__all__,
        *warp.__all__,
    ]
