"""What a checkpoint may contain without being trusted: tensors, plain types and NumPy numbers."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

__all__ = ["allow_numpy", "objects_in"]

_PLAIN = (type(None), bool, int, float, complex, str, bytes, torch.Size, torch.dtype, torch.device)
_NUMPY_KINDS = "biufcSUmM"  # numbers, text and dates; objects and records are not plain data


_lock = threading.RLock()


@contextmanager
def allow_numpy() -> Iterator[None]:
    """Return a context in which ``weights_only`` also reads NumPy scalars and arrays of numbers, text and dates.

    Code written for MMCV saves them in ``meta``, for example as ``best_score``. A pickle of NumPy 1 calls their
    module ``numpy.core``, one of NumPy 2 ``numpy._core``; either version reads both.
    """
    with _lock, torch.serialization.safe_globals(_SAFE):  # the list of what is safe belongs to all threads
        yield


def objects_in(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield the key path and the type of everything that is neither plain data nor a tensor."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from objects_in(each, f"{key}.{name}" if key else str(name))
    elif type(value) in (list, tuple, set):
        for number, each in enumerate(value):
            yield from objects_in(each, f"{key}[{number}]")
    elif isinstance(value, np.generic) or type(value) is np.ndarray:
        if value.dtype.kind not in _NUMPY_KINDS:
            yield key, f"{type(value).__module__}.{type(value).__qualname__} of {value.dtype}"
    elif not isinstance(value, torch.Tensor) and type(value) not in _PLAIN:
        yield key, f"{type(value).__module__}.{type(value).__qualname__}"


_make_scalar: Any = np.float64(0).__reduce__()[0]
_make_array: Any = np.zeros(0).__reduce__()[0]


def _scalar(dtype: Any, content: Any) -> Any:
    """Return a NumPy scalar, as the function does that its pickle names."""
    if dtype.kind not in _NUMPY_KINDS:
        raise pickle.UnpicklingError(f"a NumPy scalar of {dtype} is no plain data")
    return _make_scalar(dtype, content)


def _array(cls: Any, shape: Any, dtype: Any) -> Any:
    """Return an empty NumPy array, as the function does that its pickle names."""
    return _make_array(np.ndarray, shape, dtype)


def _no_bytes() -> bytes:
    """Return the data of an empty array."""
    return b""


_DTYPES = {type(np.dtype(code)) for code in np.typecodes["All"] if np.dtype(code).kind in _NUMPY_KINDS}
_SAFE: list[Any] = [
    *((_scalar, f"{module}.multiarray.scalar") for module in ("numpy.core", "numpy._core")),
    *((_array, f"{module}.multiarray._reconstruct") for module in ("numpy.core", "numpy._core")),
    *((_no_bytes, f"{module}.bytes") for module in ("builtins", "__builtin__")),
    (np.ndarray, "numpy.ndarray"),
    (np.dtype, "numpy.dtype"),
    *_DTYPES,
]
