"""State dicts: from a model, and into a model that may differ."""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.modules.module import _IncompatibleKeys
from torch.nn.parameter import is_lazy

from cfgtrain.checkpoint.load_report import Mismatch, make_report
from cfgtrain.errors import CheckpointError
from cfgtrain.parallel.fsdp import free_gathered, sharded_like
from cfgtrain.parallel.wrappers import is_module_wrapper, unwrap_model
from cfgtrain.suggestions import with_article
from cfgtrain.utils.logging import print_log

__all__ = ["get_state_dict", "load_state_dict", "weights_to_cpu"]

logger = logging.getLogger(__name__)

_SIZE_MISMATCH = re.compile(r"size mismatch for (\S+):")  # in the errors of torch
_WEIGHT_KEYS = ("model", "model_state_dict", "module", "net")  # in files of other tools


def get_state_dict(
    module: nn.Module, destination: Any = None, prefix: str = "", keep_vars: bool = False
) -> OrderedDict[str, Any]:
    """Return the state dict of a model, without the names of wrappers at any depth.

    Args:
        module: The model.
        destination: A dict that the items are added to and that is returned; None creates one.
        prefix: Put before every name.
        keep_vars: Whether the tensors keep their autograd history.
    """
    model = unwrap_model(module)
    found = cast("OrderedDict[str, Any]", model.state_dict(prefix=prefix, keep_vars=keep_vars))
    wrappers = [name for name, each in model.named_modules() if name and is_module_wrapper(each)]
    for name in reversed(wrappers):  # the innermost first
        found = _renamed(found, f"{prefix}{name}.module", f"{prefix}{name}")
    if destination is None:
        return found
    destination.update(found)
    if hasattr(found, "_metadata"):
        destination._metadata = OrderedDict({**getattr(destination, "_metadata", {}), **found._metadata})
    return destination  # type: ignore[no-any-return]  # of the caller's type


def weights_to_cpu(state_dict: Mapping[str, Any]) -> OrderedDict[str, Any]:
    """Return a state dict with its tensors on the CPU; ``_metadata`` is kept."""
    cpu = OrderedDict((k, v.cpu() if isinstance(v, Tensor) else v) for k, v in state_dict.items())
    cpu._metadata = getattr(state_dict, "_metadata", OrderedDict())  # type: ignore[attr-defined]  # as torch does
    return cpu


def load_state_dict(
    module: nn.Module,
    state_dict: Mapping[str, Any],
    strict: bool = False,
    logger: logging.Logger | str | None = None,
) -> None:
    """Load weights; those that do not match are skipped and reported.

    A module may convert weights of another shape, in ``_load_from_state_dict`` or in a hook.

    Args:
        module: The model; it may be wrapped, and so may its parts.
        state_dict: Weights by name. It is not changed.
        strict: Whether names or shapes that do not match are an error.
        logger: Where the report is logged, as for ``cfgtrain.utils.print_log``; by default the logger of this
            package.

    Raises:
        CheckpointError: No tensor fits the model; or, with ``strict``, names or shapes differ.
    """
    load_weights(module, state_dict, strict, logger)


def load_weights(
    module: nn.Module,
    state_dict: Mapping[str, Any],
    strict: bool = False,
    logger: logging.Logger | str | None = None,
    revise_keys: Sequence[tuple[str, str]] = (),
) -> None:
    """Load weights; see ``load_state_dict``.

    Args:
        module: The model.
        state_dict: Weights by name.
        strict: Whether names or shapes that do not match are an error.
        logger: Where the report is logged.
        revise_keys: What the names were revised with, for suggestions.

    Raises:
        CheckpointError: As for ``load_state_dict``.
    """
    own = get_state_dict(module)
    sizes = {
        name: tuple(value.shape)
        for name, value in own.items()
        if isinstance(value, Tensor) and not is_lazy(value)  # a lazy parameter takes the shape of the file
    }
    given = {name: tuple(value.shape) for name, value in state_dict.items() if isinstance(value, Tensor)}
    free_gathered(module)
    if any(isinstance(each, DTensor) for each in own.values()):
        versions = getattr(state_dict, "_metadata", None)
        state_dict = OrderedDict(sharded_like(state_dict, own))
        if versions is not None:
            state_dict._metadata = versions  # type: ignore[attr-defined]  # as torch does
    missing, unused, errors = _load(module, state_dict)
    found = {name: each for each in errors for name in _SIZE_MISMATCH.findall(each) if name in given}
    problems = [each for each in errors if each not in found.values()]
    missing = [name for name in missing if "num_batches_tracked" not in name]
    expected = {
        name: size for name, size in sizes.items() if "num_batches_tracked" not in name or name in given
    }
    mismatches = [
        *(Mismatch(name, sizes.get(name, ()), given[name]) for name in found),
        *(Mismatch(name, sizes.get(name, ()), None) for name in missing),
        *(Mismatch(name, None, given.get(name)) for name in unused),
    ]
    report = make_report(expected, given, mismatches, problems, revise_keys)
    if expected and not report.loaded:
        raise CheckpointError(f"The model and the loaded weights do not match at all.\n{report}")
    if strict and not report.is_complete:
        raise CheckpointError(f"The model and the loaded weights do not match exactly.\n{report}")
    level = logging.INFO if report.is_complete else logging.WARNING
    print_log(str(report), logger or _default_logger(), level)


def weights_of(checkpoint: Mapping[str, Any], name: str | Path) -> Mapping[str, Any]:
    """Return the weights in a checkpoint: its ``state_dict``, or the checkpoint itself.

    In a file of another tool they may be below the key ``model``, ``model_state_dict``, ``module`` or ``net``.

    Args:
        checkpoint: Its content.
        name: How messages name the file.

    Raises:
        CheckpointError: They are not a dict with names as keys.
    """
    weights = checkpoint.get("state_dict", checkpoint)
    if weights is checkpoint and not any(isinstance(each, Tensor) for each in checkpoint.values()):
        parts = (checkpoint.get(key) for key in _WEIGHT_KEYS)
        weights = next((each for each in parts if _has_tensors(each)), checkpoint)
    if not isinstance(weights, Mapping):
        kind = with_article(type(weights).__name__)
        raise CheckpointError(f"The state_dict of {name} must be a dict of weights, not {kind}.")
    other = next((key for key in weights if not isinstance(key, str)), None)
    if other is not None:
        raise CheckpointError(f"The weights of {name} must have names, and one has the key {other!r}.")
    return weights


def _has_tensors(value: Any) -> bool:
    return isinstance(value, Mapping) and any(isinstance(each, Tensor) for each in value.values())


def _load(module: nn.Module, state_dict: Mapping[str, Any]) -> tuple[list[str], list[str], list[str]]:
    """Load what matches, as torch does, but without the names of wrappers.

    Returns:
        The names that are only in the model, those that are only given, and other errors as text.
    """
    missing: list[str] = []
    unused: list[str] = []
    errors: list[str] = []
    versions = getattr(state_dict, "_metadata", OrderedDict())
    weights = OrderedDict(state_dict)  # modules and hooks may change it
    weights._metadata = versions  # type: ignore[attr-defined]  # as torch does

    def load(part: nn.Module, state: dict[str, Any], prefix: str) -> None:
        part = unwrap_model(part)
        version = versions.get(prefix[:-1], {})
        part._load_from_state_dict(state, prefix, version, True, missing, unused, errors)
        of_child: dict[str, dict[str, Any]] = {}  # each module searches all the weights that it is given
        for name, value in state.items():
            of_child.setdefault(name[len(prefix) :].partition(".")[0], {})[name] = value
        for name, child in part._modules.items():
            if child is not None:
                load(child, of_child.get(name, {}), f"{prefix}{name}.")
        for hook in part._load_state_dict_post_hooks.values():
            hook(part, _IncompatibleKeys(missing, unused))

    load(module, weights, "")
    return missing, unused, errors


def _renamed(state_dict: OrderedDict[str, Any], old: str, new: str) -> OrderedDict[str, Any]:
    """Return a state dict in which one module has another name."""

    def rename(name: str) -> str:
        return new + name[len(old) :] if name == old or name.startswith(f"{old}.") else name

    renamed = OrderedDict((rename(name), value) for name, value in state_dict.items())
    versions = getattr(state_dict, "_metadata", {}).items()
    renamed._metadata = OrderedDict((rename(name), each) for name, each in versions)  # type: ignore[attr-defined]  # as torch does
    return renamed


def _default_logger() -> logging.Logger:
    return logger
