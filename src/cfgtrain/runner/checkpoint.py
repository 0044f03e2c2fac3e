"""The names that MMCV 1.x has in ``mmcv.runner.checkpoint``; they are defined in ``cfgtrain.checkpoint``."""

from __future__ import annotations

from cfgtrain.checkpoint.load import (
    _load_checkpoint,
    _load_checkpoint_with_prefix,
    load_checkpoint,
)
from cfgtrain.checkpoint.model_zoo import (
    DEFAULT_CACHE_DIR,
    ENV_MMCV_HOME,
    ENV_XDG_CACHE_HOME,
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)
from cfgtrain.checkpoint.model_zoo import mmcv_home as _get_mmcv_home
from cfgtrain.checkpoint.save import save_checkpoint
from cfgtrain.checkpoint.schemes import (
    CheckpointLoader,
    load_from_ceph,
    load_from_http,
    load_from_local,
    load_from_mmcls,
    load_from_openmmlab,
    load_from_pavi,
    load_from_torchvision,
)
from cfgtrain.checkpoint.schemes import backbone_of as _process_mmcls_checkpoint
from cfgtrain.checkpoint.state_dict import get_state_dict, load_state_dict, weights_to_cpu
from cfgtrain.checkpoint.url import load_url

__all__ = [
    "DEFAULT_CACHE_DIR",
    "ENV_MMCV_HOME",
    "ENV_XDG_CACHE_HOME",
    "CheckpointLoader",
    "_load_checkpoint",
    "_get_mmcv_home",
    "_load_checkpoint_with_prefix",
    "_process_mmcls_checkpoint",
    "get_deprecated_model_names",
    "get_external_models",
    "get_mmcls_models",
    "get_state_dict",
    "get_torchvision_models",
    "load_checkpoint",
    "load_from_ceph",
    "load_from_http",
    "load_from_local",
    "load_from_mmcls",
    "load_from_openmmlab",
    "load_from_pavi",
    "load_from_torchvision",
    "load_state_dict",
    "load_url",
    "save_checkpoint",
    "weights_to_cpu",
]
