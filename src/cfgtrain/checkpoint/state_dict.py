"""State dicts: from a model, and into a model that may differ."""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor, nn

from cfgtrain.errors import CheckpointError
from cfgtrain.parallel.wrappers import unwrap_model

__all__ = ["get_state_dict", "load_state_dict", "weights_to_cpu"]

logger = logging.getLogger(__name__)


def get_state_dict(module: nn.Module) -> OrderedDict[str, Any]:
    """Return the state dict of a model without the names of its wrappers."""
    return cast("OrderedDict[str, Any]", unwrap_model(module).state_dict())


def weights_to_cpu(state_dict: Mapping[str, Any]) -> OrderedDict[str, Any]:
    """Return a state dict with its tensors on the CPU; ``_metadata`` is kept."""
    cpu = OrderedDict((k, v.cpu() if isinstance(v, Tensor) else v) for k, v in state_dict.items())
    cpu._metadata = getattr(state_dict, "_metadata", OrderedDict())  # type: ignore[attr-defined]  # as torch does
    return cpu


def load_state_dict(module: nn.Module, state_dict: Mapping[str, Any], strict: bool = False) -> None:
    """Load weights; those that do not match are skipped and reported.

    A module may convert weights of another shape, in ``_load_from_state_dict`` or in a hook.

    Args:
        module: The model; it may be wrapped.
        state_dict: Weights by name. It is not changed.
        strict: Whether names or shapes that do not match are an error.

    Raises:
        CheckpointError: With ``strict``, names or shapes differ.
    """
    model = unwrap_model(module)
    own = model.state_dict()
    keys, different = _load(model, state_dict)
    mismatched = {
        name: f"size of {name}: {tuple(own[name].shape)} in the model, {tuple(state_dict[name].shape)} in the checkpoint"
        for name in different
    }
    missing = [name for name in keys.missing_keys if "num_batches_tracked" not in name]
    problems = list(mismatched.values())
    if keys.unexpected_keys:
        problems.append("only in the checkpoint: " + ", ".join(keys.unexpected_keys))
    if missing:
        problems.append("only in the model: " + ", ".join(missing))
    if problems:
        message = "The model and the loaded weights do not match exactly:\n  " + "\n  ".join(problems)
        if strict:
            raise CheckpointError(message)
        logger.warning("%s", message)


def _load(model: nn.Module, state_dict: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """Load what matches; return the missing and unexpected names, and the names with different shapes."""
    found: list[Any] = []
    register: Any = model.register_load_state_dict_post_hook
    handle = register(lambda _, keys: found.append(keys))
    try:
        model.load_state_dict(state_dict, strict=False)
    except RuntimeError as error:  # different shapes, after everything else is loaded
        different = re.findall(r"size mismatch for (\S+):", str(error))
        if not found or not different:
            raise
        return found[0], different
    finally:
        handle.remove()
    return found[0], []
