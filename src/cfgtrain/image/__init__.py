"""Image functions on NumPy arrays of shape (H, W, C), with channels in the order BGR."""

import typing

# imported first, since it explains how to repair an OpenCV that cannot be imported
import cfgtrain.image.array as _array  # noqa: F401
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
from cfgtrain.introspection.exports import public_names as _public_names

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
