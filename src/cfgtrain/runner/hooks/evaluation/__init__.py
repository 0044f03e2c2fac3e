"""Hooks that evaluate a model and act on its scores."""

from typing import TYPE_CHECKING

from cfgtrain.runner.hooks.evaluation import dist_eval_hook, early_stopping, eval_hook
from cfgtrain.runner.hooks.evaluation.dist_eval_hook import *
from cfgtrain.runner.hooks.evaluation.early_stopping import *
from cfgtrain.runner.hooks.evaluation.eval_hook import *

if not TYPE_CHECKING:  # type checkers use the imports above
    __all__ = [*dist_eval_hook.__all__, *early_stopping.__all__, *eval_hook.__all__]
