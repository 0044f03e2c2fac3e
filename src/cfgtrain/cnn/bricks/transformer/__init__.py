"""Transformers: their parts and how to build them from configs."""

import typing

from cfgtrain.cnn.bricks.transformer.adaptive_padding import *
from cfgtrain.cnn.bricks.transformer.attention import *
from cfgtrain.cnn.bricks.transformer.builders import *
from cfgtrain.cnn.bricks.transformer.ffn import *
from cfgtrain.cnn.bricks.transformer.layer import *
from cfgtrain.cnn.bricks.transformer.patch_embed import *
from cfgtrain.cnn.bricks.transformer.patch_merging import *
from cfgtrain.cnn.bricks.transformer.positional_encoding import *
from cfgtrain.cnn.bricks.transformer.sequence import *
from cfgtrain.introspection.exports import public_names as _public_names

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
