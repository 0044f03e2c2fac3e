"""The names of MMCV's ``utils``: small utilities, and some names re-exported from other packages.

Modules are imported on first use of a name, so that importing this package is fast and does not load torch.
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

if _TYPE_CHECKING:
    from cfgtrain.checkpoint.url import load_url as load_url
    from cfgtrain.cnn.checks import assert_is_norm_layer as assert_is_norm_layer
    from cfgtrain.cnn.checks import assert_params_all_zeros as assert_params_all_zeros
    from cfgtrain.cnn.checks import is_jit_tracing as is_jit_tracing
    from cfgtrain.cnn.checks import torch_meshgrid as torch_meshgrid
    from cfgtrain.config.config import Config as Config
    from cfgtrain.config.dict import ConfigDict as ConfigDict
    from cfgtrain.config.options import DictAction as DictAction
    from cfgtrain.environment import collect_env as collect_env
    from cfgtrain.random_state import worker_init_fn as worker_init_fn
    from cfgtrain.registry.registry import Registry as Registry
    from cfgtrain.registry.registry import build_cfg as build_cfg
    from cfgtrain.registry.registry import build_from_cfg as build_from_cfg
    from cfgtrain.utils.checks import *
    from cfgtrain.utils.deprecation import *
    from cfgtrain.utils.imports import *
    from cfgtrain.utils.logging import *
    from cfgtrain.utils.paths import *
    from cfgtrain.utils.prerequisites import *
    from cfgtrain.utils.progressbar import *
    from cfgtrain.utils.sequences import *
    from cfgtrain.utils.testing import *
    from cfgtrain.utils.timer import *
    from cfgtrain.utils.versions import *

# The modules, and the names that are taken from each.
_NAMES = {
    "cfgtrain.utils.checks": ("has_method", "is_method_overridden", "is_str"),
    "cfgtrain.utils.deprecation": ("deprecated_api_warning",),
    "cfgtrain.utils.imports": ("import_modules_from_strings",),
    "cfgtrain.utils.logging": ("get_logger", "print_log"),
    "cfgtrain.utils.paths": (
        "check_file_exist", "find_vcs_root", "fopen", "is_filepath", "mkdir_or_exist", "scandir", "symlink",
    ),
    "cfgtrain.utils.prerequisites": ("check_prerequisites", "requires_executable", "requires_package"),
    "cfgtrain.utils.progressbar": (
        "ProgressBar", "track_iter_progress", "track_parallel_progress", "track_progress",
    ),
    "cfgtrain.utils.sequences": (
        "concat_list", "is_list_of", "is_seq_of", "is_tuple_of", "iter_cast", "list_cast", "slice_list",
        "to_1tuple", "to_2tuple", "to_3tuple", "to_4tuple", "to_ntuple", "tuple_cast",
    ),
    "cfgtrain.utils.testing": (
        "assert_attrs_equal", "assert_dict_contains_subset", "assert_dict_has_keys", "assert_keys_equal",
        "check_python_script",
    ),
    "cfgtrain.utils.timer": ("Timer", "TimerError", "check_time"),
    "cfgtrain.utils.versions": ("digit_version", "get_git_hash", "parse_version_info"),
    "cfgtrain.config.config": ("Config",),
    "cfgtrain.config.dict": ("ConfigDict",),
    "cfgtrain.config.options": ("DictAction",),
    "cfgtrain.registry.registry": ("Registry", "build_cfg", "build_from_cfg"),
    "cfgtrain.checkpoint.url": ("load_url",),
    "cfgtrain.cnn.checks": (
        "assert_is_norm_layer", "assert_params_all_zeros", "is_jit_tracing", "torch_meshgrid",
    ),
    "cfgtrain.environment": ("collect_env",),
    "cfgtrain.random_state": ("worker_init_fn",),
}  # fmt: skip

if not _TYPE_CHECKING:  # type checkers use the imports above
    __all__ = [name for names in _NAMES.values() for name in names]


def __getattr__(name: str) -> _Any:
    import importlib

    for path, names in _NAMES.items():
        if name in names:
            return getattr(importlib.import_module(path), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
