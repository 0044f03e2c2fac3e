"""Hooks that evaluate a model and act on its scores."""

import typing

from cfgtrain.introspection.exports import public_names as _public_names
from cfgtrain.runner.hooks.evaluation.dist_eval_hook import *
from cfgtrain.runner.hooks.evaluation.early_stopping import *
from cfgtrain.runner.hooks.evaluation.eval_hook import *

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
