"""Runners, and the hooks that give them something to do."""

import typing

from cfgtrain.amp import LossScaler as LossScaler
from cfgtrain.amp import auto_fp16 as auto_fp16
from cfgtrain.amp import force_fp32 as force_fp32
from cfgtrain.amp import wrap_fp16_model as wrap_fp16_model
from cfgtrain.checkpoint.load import _load_checkpoint as _load_checkpoint
from cfgtrain.checkpoint.load import _load_checkpoint_with_prefix as _load_checkpoint_with_prefix
from cfgtrain.checkpoint.load import load_checkpoint as load_checkpoint
from cfgtrain.checkpoint.save import save_checkpoint as save_checkpoint
from cfgtrain.checkpoint.schemes import CheckpointLoader as CheckpointLoader
from cfgtrain.checkpoint.schemes import register_scheme as register_scheme
from cfgtrain.checkpoint.state_dict import get_state_dict as get_state_dict
from cfgtrain.checkpoint.state_dict import load_state_dict as load_state_dict
from cfgtrain.checkpoint.state_dict import weights_to_cpu as weights_to_cpu
from cfgtrain.cnn.module import BaseModule as BaseModule
from cfgtrain.cnn.module import ModuleDict as ModuleDict
from cfgtrain.cnn.module import ModuleList as ModuleList
from cfgtrain.cnn.module import Sequential as Sequential
from cfgtrain.introspection.exports import public_names as _public_names
from cfgtrain.optim.builder import build_optimizer as build_optimizer
from cfgtrain.optim.builder import build_optimizer_constructor as build_optimizer_constructor
from cfgtrain.optim.paramwise import DefaultOptimizerConstructor as DefaultOptimizerConstructor
from cfgtrain.parallel.dist import allreduce_grads as allreduce_grads
from cfgtrain.parallel.dist import allreduce_params as allreduce_params
from cfgtrain.parallel.dist import get_dist_info as get_dist_info
from cfgtrain.parallel.dist import init_dist as init_dist
from cfgtrain.parallel.dist import master_only as master_only
from cfgtrain.registries import OPTIMIZER_BUILDERS as OPTIMIZER_BUILDERS
from cfgtrain.registries import OPTIMIZERS as OPTIMIZERS
from cfgtrain.registries import RUNNER_BUILDERS as RUNNER_BUILDERS
from cfgtrain.registries import RUNNERS as RUNNERS
from cfgtrain.runner.base import *
from cfgtrain.runner.builder import *
from cfgtrain.runner.epoch_based import *
from cfgtrain.runner.hooks import *
from cfgtrain.runner.iter_based import *
from cfgtrain.runner.log_buffer import *
from cfgtrain.runner.protocol import *
from cfgtrain.runner.utils import *

if not typing.TYPE_CHECKING:  # type checkers use the imports above
    __all__ = _public_names(globals())
