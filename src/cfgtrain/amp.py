"""Mixed precision with MMCV's decorators ``auto_fp16`` and ``force_fp32``.

A model without these decorators does not need this module: ``OptimizerHook(dtype="bfloat16")`` runs its whole
training step under autocast.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from cfgtrain.arguments import check_choice
from cfgtrain.errors import ArgumentError, ArgumentTypeError

__all__ = [
    "LossScaler",
    "as_half_dtype",
    "auto_fp16",
    "cast_tensor_type",
    "force_fp32",
    "inference_autocast",
    "set_inference_dtype",
    "patch_forward_method",
    "patch_norm_fp32",
    "wrap_fp16_model",
]

HALF_DTYPES = {
    "float16": torch.float16,
    "fp16": torch.float16,
    "half": torch.float16,
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
}


def as_half_dtype(dtype: str | torch.dtype) -> torch.dtype:
    """Return a 16-bit dtype by name.

    Args:
        dtype: ``"float16"`` (also ``"fp16"`` and ``"half"``), ``"bfloat16"`` (also ``"bf16"``), or one of these
            dtypes itself.

    Raises:
        ArgumentError: ``dtype`` is not a 16-bit dtype.
    """
    half = HALF_DTYPES.get(str(dtype).removeprefix("torch."))
    if half is None:
        message = f"dtype must be 'float16' or 'bfloat16', not {dtype!r}."
        raise ArgumentError(message, near=(str(dtype), list(HALF_DTYPES)), argument="dtype")
    return half


def cast_tensor_type(inputs: Any, src_type: torch.dtype, dst_type: torch.dtype) -> Any:
    """Return ``inputs`` with every tensor of dtype ``src_type`` cast to ``dst_type``.

    Mappings, sequences, sets and named tuples are copied at any depth. All other values, such as strings,
    arrays and modules, are returned unchanged.
    """
    if isinstance(inputs, Tensor):
        return inputs.to(dst_type) if inputs.dtype == src_type else inputs
    if isinstance(inputs, (str, bytes)):
        return inputs
    kind: Any = type(inputs)
    if isinstance(inputs, Mapping):
        copy = {key: cast_tensor_type(value, src_type, dst_type) for key, value in inputs.items()}
        return copy if kind is dict else kind(copy)
    if isinstance(inputs, (Sequence, Set)):
        cast = [cast_tensor_type(value, src_type, dst_type) for value in inputs]
        return kind(*cast) if hasattr(inputs, "_fields") else kind(cast)
    return inputs


def auto_fp16(
    apply_to: Iterable[str] | None = None,
    out_fp32: bool = False,
    supported_types: tuple[type, ...] = (nn.Module,),
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that runs a method of a module in half precision if ``fp16_enabled`` is true.

    The float32 arguments of the method are cast, and its operations run under autocast. The dtype is the one
    passed to ``wrap_fp16_model``, by default float16.

    Args:
        apply_to: Names of the arguments to cast. By default all of them are cast.
        out_fp32: Whether to cast half-precision results back to float32.
        supported_types: Classes whose methods may be decorated.

    Raises:
        ArgumentError: The method does not have an argument named in ``apply_to``.
        ArgumentTypeError: When the method is called: its class is not one of ``supported_types``.
    """
    return _casting(apply_to, supported_types, "auto_fp16", to_half=True, cast_output=out_fp32)


def force_fp32(
    apply_to: Iterable[str] | None = None,
    out_fp16: bool = False,
    supported_types: tuple[type, ...] = (nn.Module,),
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that runs a method of a module in float32 even if ``fp16_enabled`` is true.

    It is for losses and other sums that need the range of float32.

    Args:
        apply_to: Names of the arguments to cast to float32. By default all of them are cast.
        out_fp16: Whether to cast float32 results back to half precision.
        supported_types: Classes whose methods may be decorated.

    Raises:
        ArgumentError: The method does not have an argument named in ``apply_to``.
        ArgumentTypeError: When the method is called: its class is not one of ``supported_types``.
    """
    return _casting(apply_to, supported_types, "force_fp32", to_half=False, cast_output=out_fp16)


def wrap_fp16_model(model: nn.Module, dtype: torch.dtype = torch.float16) -> bool:
    """Enable the decorators ``auto_fp16`` and ``force_fp32`` in a model.

    Args:
        model: The model. Modules with an attribute ``fp16_enabled`` are changed in place: it is set to True, and
            ``amp_dtype`` to ``dtype``.
        dtype: Half-precision dtype to cast to.

    Returns:
        Whether the model has a module with an attribute ``fp16_enabled``.
    """
    wrapped = [module for module in model.modules() if hasattr(module, "fp16_enabled")]
    for module in wrapped:
        module.fp16_enabled = True  # type: ignore[assignment]  # a plain attribute
        module.amp_dtype = dtype  # type: ignore[assignment]  # likewise
    return bool(wrapped)


def set_inference_dtype(model: nn.Module, dtype: torch.dtype) -> None:
    """Let a model be evaluated and predict in mixed precision, as ``OptimizerHook`` trains it.

    Args:
        model: The model, without wrappers.
        dtype: A 16-bit dtype.
    """
    vars(model)["inference_dtype"] = dtype
    vars(model)["autocasts_inference"] = not wrap_fp16_model(model, dtype)


def inference_autocast(model: nn.Module) -> AbstractContextManager[Any]:
    """Return the context manager in which a model predicts in the precision of ``set_inference_dtype``.

    It does nothing for a model without such a precision, and for one whose methods are decorated with ``auto_fp16``,
    because they choose their precision themselves.

    Args:
        model: The model, without wrappers.
    """
    if not vars(model).get("autocasts_inference", False):
        return nullcontext()
    return torch.autocast(_device_type(model, (), {}), dtype=vars(model)["inference_dtype"])


def patch_norm_fp32(module: nn.Module) -> nn.Module:
    """Keep batch and group normalization in float32 in a model that is converted to float16 (MMCV name).

    Models under autocast, which the hooks of cfgtrain use, do not need it.

    Args:
        module: The model. The parameters and buffers of such layers are changed to float32 in place. A group
            normalization casts its float16 inputs to float32, and its outputs back; torch does so itself in a
            batch normalization.

    Returns:
        The model.
    """
    for each in module.modules():
        if isinstance(each, _BatchNorm | nn.GroupNorm):
            each.float()
        if isinstance(each, nn.GroupNorm):  # hooks, and no new forward, so that a deep copy is independent
            each.register_forward_pre_hook(_inputs_to_float, with_kwargs=True)
            each.register_forward_hook(_output_to_half)
    return module


def _inputs_to_float(module: nn.Module, args: Any, kwargs: Any) -> Any:
    return cast_tensor_type((args, kwargs), torch.float16, torch.float32)


def _output_to_half(module: nn.Module, args: Any, output: Any) -> Any:
    return cast_tensor_type(output, torch.float32, torch.float16)


def patch_forward_method(
    func: Callable[..., Any], src_type: torch.dtype, dst_type: torch.dtype, convert_output: bool = True
) -> Callable[..., Any]:
    """Return a function that casts its arguments from one dtype to another and calls ``func`` (MMCV name).

    Args:
        func: The function, such as the ``forward`` of a module.
        src_type: Tensors of this dtype are cast, at any depth of the arguments.
        dst_type: The dtype that ``func`` gets them in.
        convert_output: Whether to cast tensors of ``dst_type`` in its result to ``src_type``.
    """

    @functools.wraps(func)
    def in_dtype(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = cast_tensor_type((args, kwargs), src_type, dst_type)
        output = func(*args, **kwargs)
        return cast_tensor_type(output, dst_type, src_type) if convert_output else output

    return in_dtype


class LossScaler:
    """MMCV's loss scaler, kept for compatibility. The hooks of cfgtrain use ``torch.amp.GradScaler`` instead.

    Args:
        init_scale: Initial loss scale.
        mode: ``"dynamic"``, or ``"static"`` for a constant scale.
        scale_factor: The scale is divided by this factor after an overflow, and multiplied by it after
            ``scale_window`` iterations without one.
        scale_window: Number of iterations without overflow before the scale grows.

    Raises:
        ArgumentError: ``mode`` is unknown.
    """

    def __init__(
        self,
        init_scale: float = 2**32,
        mode: str = "dynamic",
        scale_factor: float = 2.0,
        scale_window: int = 1000,
    ) -> None:
        check_choice("mode", mode, ("dynamic", "static"))
        self.cur_scale, self.cur_iter = init_scale, 0
        self.mode, self.last_overflow_iter = mode, -1
        self.scale_factor, self.scale_window = scale_factor, scale_window

    @property
    def loss_scale(self) -> float:
        """The factor by which to multiply a loss."""
        return self.cur_scale

    def has_overflow(self, params: Iterable[Tensor]) -> bool:
        """Return whether a gradient is infinite or NaN. The result is always False in static mode."""
        if self.mode != "dynamic":
            return False
        return any(p.grad is not None and not torch.isfinite(p.grad.float().sum()) for p in params)

    def update_scale(self, overflow: bool) -> None:
        """Update the scale after an iteration.

        Args:
            overflow: Whether the gradients of the iteration overflowed.
        """
        if self.mode == "dynamic":
            if overflow:
                self.cur_scale = max(self.cur_scale / self.scale_factor, 1)
                self.last_overflow_iter = self.cur_iter
            elif (self.cur_iter - self.last_overflow_iter) % self.scale_window == 0:
                self.cur_scale *= self.scale_factor
        self.cur_iter += 1

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the scaler."""
        return dict(vars(self))

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore the state that ``state_dict`` returned."""
        vars(self).update(state_dict)


def _casting(
    apply_to: Iterable[str] | None,
    supported_types: tuple[type, ...],
    name: str,
    *,
    to_half: bool,
    cast_output: bool,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def decorate(method: Callable[..., Any]) -> Callable[..., Any]:
        parameters = list(inspect.signature(method).parameters.values())[1:]
        chosen = None if apply_to is None else _checked_names(set(apply_to), parameters, method)

        @functools.wraps(method)
        def in_precision(module: Any, *args: Any, **kwargs: Any) -> Any:
            if not isinstance(module, supported_types):
                kinds = " or ".join(kind.__name__ for kind in supported_types)
                raise ArgumentTypeError(
                    f"{name} decorates methods of {kinds}, not of {type(module).__name__}."
                )
            if not getattr(module, "fp16_enabled", False):
                return method(module, *args, **kwargs)
            half = getattr(module, "amp_dtype", torch.float16)
            to, back = (half, torch.float32) if to_half else (torch.float32, half)
            device = _device_type(module, args, kwargs)
            args, kwargs = _cast_arguments(parameters, chosen, args, kwargs, back, to)
            with torch.autocast(device, dtype=half, enabled=to_half):
                output = method(module, *args, **kwargs)
            return cast_tensor_type(output, to, back) if cast_output else output

        return in_precision

    return decorate


def _checked_names(
    chosen: set[str], parameters: Sequence[inspect.Parameter], method: Callable[..., Any]
) -> set[str]:
    names = [parameter.name for parameter in parameters]
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    for name in sorted(chosen):
        if name not in names and not takes_any:
            raise ArgumentError(f"{method.__qualname__} has no argument {name!r}.", near=(name, names))
    return chosen


def _cast_arguments(
    parameters: Sequence[inspect.Parameter],
    chosen: set[str] | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    src: torch.dtype,
    dst: torch.dtype,
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Cast the chosen arguments. Arguments in ``*args`` are chosen by the name of that parameter."""
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "")
    by_name = [names[i] if i < len(names) else rest for i in range(len(args))]

    def cast(name: str, value: Any) -> Any:
        return cast_tensor_type(value, src, dst) if chosen is None or name in chosen else value

    return (
        tuple(cast(name, value) for name, value in zip(by_name, args, strict=True)),
        {name: cast(name, value) for name, value in kwargs.items()},
    )


def _device_type(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Return the device type of the first tensor argument, or of the first parameter of the module, or "cpu"."""
    parameters = module.parameters() if isinstance(module, nn.Module) else ()
    inputs = (value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
    tensor = next(inputs, None)
    tensor = next(iter(parameters), None) if tensor is None else tensor
    return "cpu" if tensor is None else tensor.device.type
