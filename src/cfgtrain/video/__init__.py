"""Read, write and convert videos, and read, write and apply optical flow."""

import typing

from cfgtrain.introspection.exports import public_names as _public_names
from cfgtrain.video.io import *
from cfgtrain.video.optflow import *
from cfgtrain.video.processing import *

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
