"""Transformers: their parts and how to build them from configs."""

from typing import TYPE_CHECKING

from cfgtrain.cnn.bricks.transformer import (
    adaptive_padding,
    attention,
    builders,
    ffn,
    layer,
    patch_embed,
    patch_merging,
    positional_encoding,
    sequence,
)
from cfgtrain.cnn.bricks.transformer.adaptive_padding import *
from cfgtrain.cnn.bricks.transformer.attention import *
from cfgtrain.cnn.bricks.transformer.builders import *
from cfgtrain.cnn.bricks.transformer.ffn import *
from cfgtrain.cnn.bricks.transformer.layer import *
from cfgtrain.cnn.bricks.transformer.patch_embed import *
from cfgtrain.cnn.bricks.transformer.patch_merging import *
from cfgtrain.cnn.bricks.transformer.positional_encoding import *
from cfgtrain.cnn.bricks.transformer.sequence import *

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = [
        *adaptive_padding.__all__,
        *attention.__all__,
        *builders.__all__,
        *ffn.__all__,
        *layer.__all__,
        *patch_embed.__all__,
        *patch_merging.__all__,
        *positional_encoding.__all__,
        *sequence.__all__,
    ]
