"""Small functions and types that MMCV exports and cfgtrain itself does not use, and that do not need torch."""

from __future__ import annotations

import functools
import multiprocessing
from collections.abc import Callable
from io import BytesIO, StringIO
from multiprocessing.pool import Pool
from typing import Any, TextIO

import numpy as np

from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.image.colorspace import imconvert
from cfgtrain.visualization.color import Color

__all__ = [
    "ColorType",
    "FileLikeObject",
    "assert_tensor_type",
    "convert_color_factory",
    "init_pool",
    "set_default",
]

FileLikeObject = TextIO | StringIO | BytesIO
ColorType = Color | str | tuple[int, ...] | int | np.ndarray


def set_default(obj: Any) -> Any:
    """Return a set, range, array or number of NumPy as plain data; ``json.dump`` takes this as ``default``.

    Raises:
        ArgumentTypeError: It is none of these.
    """
    if isinstance(obj, set | range):
        return list(obj)
    if isinstance(obj, np.ndarray):
        return obj.tolist()
    if isinstance(obj, np.generic):
        return obj.item()
    raise ArgumentTypeError(f"An object of the type {type(obj).__name__} cannot be written to JSON.")


def convert_color_factory(src: str, dst: str) -> Callable[[Any], Any]:
    """Return a function that converts images between two color spaces.

    Args:
        src: Color space of the input, such as ``"bgr"``.
        dst: Color space of the result.
    """

    def convert_color(img: Any) -> Any:
        return imconvert(img, src, dst)

    convert_color.__doc__ = f"Convert an image from {src.upper()} to {dst.upper()}."
    return convert_color


def assert_tensor_type(func: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of a DataContainer that raises if its data is not a tensor."""

    @functools.wraps(func)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if args[0].datatype == "torch.Tensor" or _is_tensor(args[0].data):
            return func(*args, **kwargs)
        name = type(args[0]).__name__
        raise ArgumentError(f"{name} has no attribute {func.__name__} for type {args[0].datatype}.")

    return checked


def _is_tensor(value: Any) -> bool:
    return any(f"{kind.__module__}.{kind.__name__}" == "torch.Tensor" for kind in type(value).__mro__)


def init_pool(
    process_num: int, initializer: Callable[..., Any] | None = None, initargs: tuple[Any, ...] | None = None
) -> Pool:
    """Return a pool of processes.

    Args:
        process_num: Number of processes.
        initializer: Called in each process; None calls nothing.
        initargs: Its arguments; None for no arguments.
    """
    return multiprocessing.Pool(process_num, initializer, initargs or ())
