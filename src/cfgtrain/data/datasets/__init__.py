"""The datasets that are included in cfgtrain."""

import typing

from cfgtrain.data.datasets.digits import *
from cfgtrain.data.datasets.table import *
from cfgtrain.data.datasets.text_file import *
from cfgtrain.data.datasets.wrappers import *
from cfgtrain.introspection.exports import public_names as _public_names

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
