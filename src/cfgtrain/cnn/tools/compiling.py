"""Compiling a model with ``torch.compile``, in place."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cfgtrain.errors import ArgumentError
from cfgtrain.random_state import isolated_random_state

__all__ = ["check_compile_settings", "compile_model", "compile_settings", "try_compiler"]

DEFAULT_BACKEND = "inductor"
_SETTINGS: dict[str, tuple[Any, str]] = {
    "mode": (str | None, "the name of a mode"),
    "backend": (str, "the name of a backend"),
    "dynamic": (bool, "True or False"),
    "fullgraph": (bool, "True or False"),
    "options": (Mapping | None, "a dict of options of the backend"),
}
_MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")
_CUDA_GRAPH_MODES = ("reduce-overhead", "max-autotune")


def compile_settings(compile_: bool | Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the arguments for ``torch.compile``, or None to compile nothing.

    ``dynamic`` is False unless it is given. PyTorch would decide it by the shapes it has seen so far, which a resumed
    run has not seen: it would run other kernels than an unbroken run.

    Args:
        compile_: True, False, None, or a dict of arguments.
    """
    if compile_ is None or compile_ is False:
        return None
    return {"dynamic": False, **({} if compile_ is True else dict(compile_))}


def check_compile_settings(compile_: Any) -> None:
    """Raise if a value is not one that ``compile_settings`` accepts, with values that ``torch.compile`` accepts.

    Raises:
        ArgumentError: It is not. The error names the argument of ``torch.compile``, if it is about one.
    """
    if compile_ is None or isinstance(compile_, bool):
        return
    if not isinstance(compile_, Mapping):
        raise ArgumentError(
            f"compile must be True, False or a dict such as dict(mode='max-autotune'), not {compile_!r}."
        )
    for name, value in compile_.items():
        if name not in _SETTINGS:
            raise ArgumentError(
                f"compile has no setting {name!r}; it has {', '.join(_SETTINGS)}.",
                near=(str(name), list(_SETTINGS)),
                argument=name,
            )
        kind, what = _SETTINGS[name]
        if not isinstance(value, kind):
            raise ArgumentError(f"{name} must be {what}, not {value!r}.", argument=name)
    _check_names(compile_.get("backend", DEFAULT_BACKEND), compile_.get("mode"), compile_.get("options"))


def _check_names(backend: str, mode: str | None, options: Mapping[str, Any] | None) -> None:
    known = torch.compiler.list_backends(exclude_tags=())
    if backend not in known:
        usual = ", ".join(map(repr, (*torch.compiler.list_backends(), "aot_eager", "eager")))
        message = f"There is no backend {backend!r}; such as {usual} are known."
        raise ArgumentError(message, near=(backend, known), argument="backend")
    if mode is None:
        return
    if mode not in _MODES:
        message = f"There is no mode {mode!r}; known are {', '.join(map(repr, _MODES))}."
        raise ArgumentError(message, near=(mode, _MODES), argument="mode")
    if options is not None:
        raise ArgumentError("Only one of mode and options can be given.", argument="mode")
    if backend != DEFAULT_BACKEND:
        message = f"mode is a setting of the backend {DEFAULT_BACKEND!r}, which {backend!r} does not have."
        raise ArgumentError(message, argument="mode")


def try_compiler(settings: Mapping[str, Any], device: torch.device) -> None:
    """Compile a small function, and raise if that fails.

    The default backend needs a C++ compiler on the CPU and Triton on CUDA devices.

    Args:
        settings: As ``compile_settings`` returns them.
        device: Where the compiled function runs.

    Raises:
        ArgumentError: Nothing can be compiled with these settings on this machine.
    """
    size = 64 + os.getpid() % 10_000  # a size that is seldom compiled, so that no earlier result is found
    given = {key: value for key, value in settings.items() if key != "mode"}
    try:
        with isolated_random_state():
            torch.compile(_trial, **given)(torch.zeros(size, device=device))
    except Exception as error:  # each backend has its own
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = next((line for line in lines if not line.endswith(":")), type(error).__name__)
        needs = {"cpu": "a C++ compiler, such as g++", "cuda": "Triton and a C compiler"}.get(device.type)
        hint = (
            f"It needs {needs}. "
            if needs and settings.get("backend", DEFAULT_BACKEND) == DEFAULT_BACKEND
            else ""
        )
        raise ArgumentError(
            f"torch.compile does not work on this machine: {reason.rstrip('.')}.",
            hint=f"{hint}compile=False trains without it.",
            argument="backend",
        ) from error


def _trial(values: Tensor) -> Tensor:
    return values.sin() + 1


def compile_model(model: nn.Module, settings: Mapping[str, Any]) -> None:
    """Compile the calls of a model, in place, so that the names in its state dict do not change.

    Nothing is compiled before its first call. Each shape of the inputs is compiled on its own, unless ``dynamic``
    is True.

    Args:
        model: The model, without wrappers.
        settings: As ``compile_settings`` returns them.
    """
    model.compile(**settings)
    if settings.get("mode") in _CUDA_GRAPH_MODES or settings.get("backend") == "cudagraphs":
        # The next call overwrites the outputs of a CUDA graph, and the log keeps losses for longer.
        model._compiled_call_impl = _with_copied_outputs(model._compiled_call_impl)  # type: ignore[arg-type]  # set by compile


def _with_copied_outputs(call: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        return _copied(call(*args, **kwargs))

    return run


def _copied(outputs: Any) -> Any:
    if isinstance(outputs, Tensor):
        return outputs.clone()
    if isinstance(outputs, dict):
        return {key: _copied(each) for key, each in outputs.items()}
    if type(outputs) in (list, tuple):
        return type(outputs)(_copied(each) for each in outputs)
    return outputs
