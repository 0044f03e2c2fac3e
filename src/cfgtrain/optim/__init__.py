"""Optimizers: built from configs, with settings for single parameters."""

from cfgtrain.optim.builder import (
    TORCH_OPTIMIZERS,
    build_optimizer,
    build_optimizer_constructor,
    is_optimizer_dict,
)
from cfgtrain.optim.paramwise import DefaultOptimizerConstructor, ParamwiseProblem, paramwise_problems
from cfgtrain.registries import OPTIMIZER_BUILDERS, OPTIMIZERS

__all__ = [
    "OPTIMIZERS",
    "OPTIMIZER_BUILDERS",
    "TORCH_OPTIMIZERS",
    "DefaultOptimizerConstructor",
    "ParamwiseProblem",
    "is_optimizer_dict",
    "build_optimizer",
    "build_optimizer_constructor",
    "paramwise_problems",
]
