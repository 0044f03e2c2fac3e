"""Mixed precision: the casts, and the decorators that models of MMCV carry.

A model without decorators needs nothing of this: ``OptimizerHook(dtype="bfloat16")`` runs its
whole training step under autocast.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any

import torch
from torch import Tensor, nn

from cfgtrain.arguments import check_choice
from cfgtrain.errors import ArgumentError, ArgumentTypeError

__all__ = [
    "LossScaler",
    "as_half_dtype",
    "auto_fp16",
    "cast_tensor_type",
    "force_fp32",
    "wrap_fp16_model",
]

_HALVES = {
    "float16": torch.float16,
    "fp16": torch.float16,
    "half": torch.float16,
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
}


def as_half_dtype(dtype: str | torch.dtype) -> torch.dtype:
    """Return the 16-bit type that ``"float16"``, ``"bfloat16"``, or short for them, names."""
    found = _HALVES.get(str(dtype).removeprefix("torch."))
    if found is None:
        message = f"dtype is 'float16' or 'bfloat16', not {dtype!r}."
        raise ArgumentError(message, near=(str(dtype), list(_HALVES)), argument="dtype")
    return found


def cast_tensor_type(inputs: Any, src_type: torch.dtype, dst_type: torch.dtype) -> Any:
    """Return ``inputs`` with every tensor of type ``src_type`` in it cast to ``dst_type``.

    Mappings, sequences and sets are rebuilt, at any depth, named tuples included; strings,
    arrays, modules and whatever else is not a tensor are handed on as they are.
    """
    if isinstance(inputs, Tensor):
        return inputs.to(dst_type) if inputs.dtype == src_type else inputs
    if isinstance(inputs, (str, bytes)):
        return inputs
    kind: Any = type(inputs)
    if isinstance(inputs, Mapping):
        twin = {key: cast_tensor_type(value, src_type, dst_type) for key, value in inputs.items()}
        return twin if kind is dict else kind(twin)
    if isinstance(inputs, (Sequence, Set)):
        cast = [cast_tensor_type(value, src_type, dst_type) for value in inputs]
        return kind(*cast) if hasattr(inputs, "_fields") else kind(cast)
    return inputs


def auto_fp16(
    apply_to: Iterable[str] | None = None,
    out_fp32: bool = False,
    supported_types: tuple[type, ...] = (nn.Module,),
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a method of a module to run in half precision while the module's ``fp16_enabled`` is true.

    Its float32 arguments are cast, and its operations run under autocast, in float16 or in
    what ``wrap_fp16_model`` was told.

    Args:
        apply_to: Names of the arguments to cast; None casts all of them.
        out_fp32: Whether half precision results are cast back to float32.
        supported_types: Classes whose methods may be decorated.

    Raises:
        ArgumentError: The method has no argument of such a name.
        ArgumentTypeError: When called: the method belongs to no supported class.
    """
    return _casting(apply_to, supported_types, "auto_fp16", to_half=True, cast_output=out_fp32)


def force_fp32(
    apply_to: Iterable[str] | None = None,
    out_fp16: bool = False,
    supported_types: tuple[type, ...] = (nn.Module,),
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a method of a module to run in float32 even while ``fp16_enabled`` is true.

    For losses and other sums that need the range. The arguments are as in ``auto_fp16``.
    """
    return _casting(apply_to, supported_types, "force_fp32", to_half=False, cast_output=out_fp16)


def wrap_fp16_model(model: nn.Module, dtype: torch.dtype = torch.float16) -> bool:
    """Turn on the decorators of every module that has an attribute ``fp16_enabled``.

    Args:
        model: Changed in place: ``fp16_enabled`` and ``amp_dtype`` of its modules.
        dtype: What they cast to.

    Returns:
        Whether there is any such module.
    """
    wrapped = [module for module in model.modules() if hasattr(module, "fp16_enabled")]
    for module in wrapped:
        module.fp16_enabled = True  # type: ignore[assignment]  # a plain attribute
        module.amp_dtype = dtype  # type: ignore[assignment]  # likewise
    return bool(wrapped)


class LossScaler:
    """The loss scale of MMCV before PyTorch had one; ``torch.amp.GradScaler`` is what hooks use.

    Args:
        init_scale: The first scale.
        mode: ``"dynamic"``, or ``"static"``, which keeps it.
        scale_factor: Divides the scale after an overflow, and multiplies it
        scale_window: after so many iterations without one.
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
        """What a loss is multiplied by."""
        return self.cur_scale

    def has_overflow(self, params: Iterable[Tensor]) -> bool:
        """Say whether a gradient is infinite or not a number; never in static mode."""
        if self.mode != "dynamic":
            return False
        return any(p.grad is not None and not torch.isfinite(p.grad.float().sum()) for p in params)

    def update_scale(self, overflow: bool) -> None:
        """Go on by one iteration."""
        if self.mode == "dynamic":
            if overflow:
                self.cur_scale = max(self.cur_scale / self.scale_factor, 1)
                self.last_overflow_iter = self.cur_iter
            elif (self.cur_iter - self.last_overflow_iter) % self.scale_window == 0:
                self.cur_scale *= self.scale_factor
        self.cur_iter += 1

    def state_dict(self) -> dict[str, Any]:
        """Return all of it."""
        return dict(vars(self))

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` returned."""
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
        chosen = None if apply_to is None else _checked(set(apply_to), parameters, method)

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


def _checked(
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
    """Cast the chosen arguments; those that ``*args`` takes go by its name, as the rest by theirs."""
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
    """Return the type of device that a call works on: of its tensors, else of the module's."""
    own = module.parameters() if isinstance(module, nn.Module) else ()
    given = (value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
    tensor = next(given, None)
    tensor = next(iter(own), None) if tensor is None else tensor
    return "cpu" if tensor is None else tensor.device.type
