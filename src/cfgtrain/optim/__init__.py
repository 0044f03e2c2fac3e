"""Optimizers: built from configs, with settings for single parameters."""

from cfgtrain.optim.builder import TORCH_OPTIMIZERS, are_several, build_optimizer, build_optimizer_constructor
from cfgtrain.optim.paramwise import DefaultOptimizerConstructor, ParamwiseProblem, paramwise_problems
from cfgtrain.registries import OPTIMIZER_BUILDERS, OPTIMIZERS

__all__ = [
    "OPTIMIZERS",
    "OPTIMIZER_BUILDERS",
    "TORCH_OPTIMIZERS",
    "DefaultOptimizerConstructor",
    "ParamwiseProblem",
    "are_several",
    "build_optimizer",
    "build_optimizer_constructor",
    "paramwise_problems",
]
