"""The names of ``mmcv.utils.ext_loader``, which load MMCV's compiled operators: here there are none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, NoReturn

from cfgtrain.errors import CompatError

__all__ = ["check_ops_exist", "get_fake_func", "load_ext"]


def check_ops_exist() -> bool:
    """Return False: there are no compiled operators."""
    return False


def get_fake_func(name: str, e: BaseException) -> Callable[..., NoReturn]:
    """Return a function that raises.

    Args:
        name: Name of the function.
        e: What it raises.
    """

    def fake_func(*args: Any, **kwargs: Any) -> NoReturn:
        raise e

    fake_func.__name__ = name
    return fake_func


def load_ext(name: str, funcs: Sequence[str]) -> SimpleNamespace:
    """Return a stand-in for an extension module, so that modules that load one can be imported.

    Args:
        name: Name of the extension module, such as ``"_ext"``.
        funcs: The functions that it is to have. Each raises a CompatError, which is an ImportError, when called.
    """
    reason = (
        "is compiled code of MMCV, which cfgtrain does not have. torchvision.ops has some of its operators."
    )
    return SimpleNamespace(
        **{func: get_fake_func(func, CompatError(f"mmcv.{name}.{func} {reason}")) for func in funcs}
    )
