"""The names of MMCV's ``utils``: small utilities, and some names re-exported from other packages.

Modules are imported on first use of a name, so that importing this package is fast and does not load torch.
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

_MODULES = (
    "checks",
    "deprecation",
    "imports",
    "logging",
    "paths",
    "prerequisites",
    "progressbar",
    "sequences",
    "testing",
    "timer",
    "versions",
)

if _TYPE_CHECKING:
    from cfgtrain.checkpoint.url import load_url
    from cfgtrain.cnn.checks import (
        assert_is_norm_layer,
        assert_params_all_zeros,
        is_jit_tracing,
        torch_meshgrid,
    )
    from cfgtrain.config.config import Config
    from cfgtrain.config.dict import ConfigDict
    from cfgtrain.config.options import DictAction
    from cfgtrain.environment import collect_env
    from cfgtrain.random_state import worker_init_fn
    from cfgtrain.registry.registry import Registry, build_cfg, build_from_cfg
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

__all__ = [
    # sequences and types
    "is_str", "is_seq_of", "is_list_of", "is_tuple_of", "iter_cast", "list_cast", "tuple_cast", "slice_list",
    "concat_list", "to_ntuple", "to_1tuple", "to_2tuple", "to_3tuple", "to_4tuple", "has_method",
    "is_method_overridden",
    # imports, prerequisites, deprecated names
    "import_modules_from_strings", "check_prerequisites", "requires_package", "requires_executable",
    "deprecated_api_warning",
    # files and folders
    "check_file_exist", "find_vcs_root", "fopen", "is_filepath", "mkdir_or_exist", "scandir",
    "symlink",
    # time, progress, logs, versions
    "Timer", "TimerError", "check_time", "ProgressBar", "track_progress", "track_iter_progress",
    "track_parallel_progress", "get_logger", "print_log", "digit_version", "parse_version_info", "get_git_hash",
    # for tests
    "assert_attrs_equal", "assert_dict_contains_subset", "assert_dict_has_keys", "assert_keys_equal",
    "check_python_script",
    # from other packages
    "Config", "ConfigDict", "DictAction", "Registry", "build_cfg", "build_from_cfg",
    "assert_is_norm_layer", "assert_params_all_zeros", "collect_env", "is_jit_tracing", "load_url",
    "torch_meshgrid", "worker_init_fn",
]  # fmt: skip

_REEXPORTED = {
    "cfgtrain.config.config": ("Config",),
    "cfgtrain.config.dict": ("ConfigDict",),
    "cfgtrain.config.options": ("DictAction",),
    "cfgtrain.registry.registry": ("Registry", "build_cfg", "build_from_cfg"),
    "cfgtrain.checkpoint.url": ("load_url",),
    "cfgtrain.cnn.checks": (
        "assert_is_norm_layer",
        "assert_params_all_zeros",
        "is_jit_tracing",
        "torch_meshgrid",
    ),
    "cfgtrain.environment": ("collect_env",),
    "cfgtrain.random_state": ("worker_init_fn",),
}


def __getattr__(name: str) -> _Any:
    import importlib

    for path, names in _REEXPORTED.items():
        if name in names:
            return getattr(importlib.import_module(path), name)
    for each in _MODULES if name in __all__ else ():
        module = importlib.import_module(f"cfgtrain.utils.{each}")
        if name in module.__all__:
            return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
