"""A record of how the parameters of a model were initialized."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import torch
from torch import nn

from cfgtrain.errors import ArgumentError

__all__ = ["update_init_info"]

UNCHANGED = "The value is the same before and after calling `init_weights`"


class InitRecord:
    """A record of how the parameters of a model were initialized.

    Args:
        model: The model before its initialization.

    Attributes:
        info: Description of the initialization of each parameter.
        changed: Whether any parameter has changed.
    """

    def __init__(self, model: nn.Module) -> None:
        self.info: dict[nn.Parameter, str] = {}
        self._fingerprints: dict[nn.Parameter, tuple[Any, ...]] = {}
        for _, parameter in model.named_parameters():
            self.info[parameter] = f"{UNCHANGED} of {type(model).__name__}  "
            self._fingerprints[parameter] = _fingerprint(parameter)
        self.changed = False

    def update(self, module: nn.Module, info: str) -> None:
        """Set the description of all parameters of ``module`` that have changed since the last call.

        Raises:
            ArgumentError: The module has a parameter that did not exist before the initialization.
        """
        for name, parameter in module.named_parameters():
            if parameter not in self._fingerprints:
                raise _new_parameter(module, name)
            current = _fingerprint(parameter)
            if current != self._fingerprints[parameter]:
                self._fingerprints[parameter], self.info[parameter] = current, info
                self.changed = True


def update_init_info(module: nn.Module, init_info: str) -> None:
    """Record how the parameters of ``module`` were initialized. Call this within ``init_weights``.

    Code written for MMCV may set the attribute ``_params_init_info`` of a module to a dict of its own. By
    parameter, it contains dicts of the keys ``init_info``, the description, and ``tmp_mean_value``, the mean when
    it was written. These are updated.

    Args:
        module: A module inside a ``BaseModule`` whose ``init_weights`` is running. The description is set for
            those of its parameters that have changed since the last call.
        init_info: Description of the initialization.

    Raises:
        ArgumentError: ``init_weights`` is not running, or it has added a parameter.
    """
    record = getattr(module, "_params_init_info", None)
    if record is None:
        raise ArgumentError(
            f"update_init_info() was called for {type(module).__name__} outside of init_weights()."
        )
    if isinstance(record, MutableMapping):
        _update_mapping(record, module, init_info)
    else:
        record.update(module, init_info)


def _update_mapping(
    record: MutableMapping[nn.Parameter, dict[str, Any]], module: nn.Module, info: str
) -> None:
    """Update a record in the form of MMCV; the fingerprint of the last call is kept under a key of its own."""
    for name, parameter in module.named_parameters():
        if parameter not in record:
            raise _new_parameter(module, name)
        entry, current = record[parameter], _fingerprint(parameter)
        if "fingerprint" in entry:
            changed = entry["fingerprint"] != current
        else:  # written by MMCV's code, which compares means
            mean = _mean(parameter)
            changed = "tmp_mean_value" not in entry or (
                mean is not None and bool(mean != entry["tmp_mean_value"])
            )
        entry["fingerprint"] = current
        if changed:
            entry["init_info"], entry["tmp_mean_value"] = info, _mean(parameter)


def _mean(parameter: nn.Parameter) -> Any:
    """Return the mean as MMCV's code computes it, or None where that is not possible."""
    has_mean = parameter.is_floating_point() or parameter.is_complex()
    return None if _has_no_values(parameter) or not has_mean else parameter.detach().mean()


def _has_no_values(parameter: nn.Parameter) -> bool:
    return parameter.is_meta or isinstance(parameter, nn.parameter.UninitializedParameter)


def _new_parameter(module: nn.Module, name: str) -> ArgumentError:
    return ArgumentError(
        f"{type(module).__name__} got a new parameter {name!r} during init_weights. Create all parameters in the "
        "constructor."
    )


def _fingerprint(parameter: nn.Parameter) -> tuple[Any, ...]:
    """Return a value that changes when a parameter is written to.

    It contains the sum of the parameter, since PyTorch's version counter does not count writes to ``.data``.
    """
    if _has_no_values(parameter):
        return (parameter._version,)
    values = parameter.detach()
    values = torch.view_as_real(values) if values.is_complex() else values
    return parameter._version, values.data_ptr(), values.sum(dtype=torch.float64).item()
