"""How the parameters of a model came to their values."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from cfgtrain.errors import ArgumentError

__all__ = ["update_init_info"]

UNCHANGED = "The value is the same before and after calling `init_weights`"


class InitRecord:
    """How the parameters of a model came to their values.

    Args:
        model: As it is before.
    """

    def __init__(self, model: nn.Module) -> None:
        self.how: dict[nn.Parameter, str] = {}
        self._seen: dict[nn.Parameter, tuple[Any, ...]] = {}
        for _, parameter in model.named_parameters():
            self.how[parameter] = f"{UNCHANGED} of {type(model).__name__}  "
            self._seen[parameter] = _print_of(parameter)
        self.changed = False

    def note(self, module: nn.Module, how: str) -> None:
        """Write down ``how`` for the parameters of ``module`` that have changed since the last time.

        Raises:
            ArgumentError: There are parameters that there were not.
        """
        for name, parameter in module.named_parameters():
            if parameter not in self._seen:
                raise ArgumentError(
                    f"{type(module).__name__} got a new parameter {name!r} during init_weights: make all of them "
                    "in the constructor, so that the optimizer knows them."
                )
            now = _print_of(parameter)
            if now != self._seen[parameter]:
                self._seen[parameter], self.how[parameter] = now, how
                self.changed = True


def update_init_info(module: nn.Module, init_info: str) -> None:
    """Note how those parameters of ``module`` were initialized that have just changed.

    Args:
        module: Within a ``BaseModule`` whose ``init_weights`` is under way.
        init_info: How.

    Raises:
        ArgumentError: No ``init_weights`` is under way, or it has added parameters.
    """
    record = getattr(module, "_params_init_info", None)
    if record is None:
        raise ArgumentError(f"No init_weights of {type(module).__name__} is under way.")
    record.note(module, init_info)


def _print_of(parameter: nn.Parameter) -> tuple[Any, ...]:
    """Return what differs once a parameter was written to: PyTorch counts that, but not through ``.data``."""
    if parameter.is_meta or isinstance(parameter, nn.parameter.UninitializedParameter):
        return (parameter._version,)  # it has no values
    values = parameter.detach()
    values = torch.view_as_real(values) if values.is_complex() else values
    return parameter._version, values.data_ptr(), values.sum(dtype=torch.float64).item()
