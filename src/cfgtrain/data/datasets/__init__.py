"""Datasets."""

import typing

from cfgtrain.data.datasets.cifar import *
from cfgtrain.data.datasets.classification import *
from cfgtrain.data.datasets.digits import *
from cfgtrain.data.datasets.idx_images import *
from cfgtrain.data.datasets.image_folder import *
from cfgtrain.data.datasets.image_list import *
from cfgtrain.data.datasets.packed_strings import *
from cfgtrain.data.datasets.table import *
from cfgtrain.data.datasets.text_file import *
from cfgtrain.data.datasets.wrappers import *
from cfgtrain.introspection.exports import public_names as _public_names

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
