"""Hooks that evaluate a model and act on its scores."""

from cfgtrain.runner.hooks.evaluation.dist_eval_hook import DistEvalHook
from cfgtrain.runner.hooks.evaluation.early_stopping import EarlyStoppingHook
from cfgtrain.runner.hooks.evaluation.eval_hook import EvalHook

__all__ = ["DistEvalHook", "EarlyStoppingHook", "EvalHook"]
