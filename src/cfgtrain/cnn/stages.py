"""Checks of the arguments of networks that consist of stages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor

from cfgtrain.arguments import check_integer
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.suggestions import one_of

__all__ = ["check_depth", "output_stages", "per_stage", "unwrap_single"]


class DepthError(ArgumentError, KeyError):
    """A network does not exist with this depth; MMCV raises a KeyError."""


def check_depth(network: str, depth: Any, depths: Iterable[int]) -> None:
    """Raise if a network does not exist with this depth.

    Args:
        network: Name of the network, for the message.
        depth: The depth.
        depths: The valid depths.
    """
    known = tuple(depths)
    if depth not in known:
        raise DepthError(f"{network} has a depth of {one_of(known)}, not {depth!r}.", argument="depth")


def per_stage(
    name: str, values: Sequence[int], num_stages: int, defaults: tuple[int, ...]
) -> tuple[int, ...]:
    """Return an argument that has a positive int for each stage.

    Args:
        name: Name of the argument.
        values: Its value.
        num_stages: Number of stages.
        defaults: The default for all stages that there can be; a network with fewer stages uses its beginning.

    Raises:
        ArgumentError: ``values`` is not a list or does not have ``num_stages`` positive ints.
    """
    if not isinstance(values, list | tuple):
        message = f"{name} must be a list with an int for each stage, not {values!r}."
        raise ArgumentTypeError(message, argument=name)
    values = defaults[:num_stages] if tuple(values) == defaults else values
    if len(values) != num_stages:
        message = f"{name} must have one int for each of the {num_stages} stages, not {list(values)}."
        raise ArgumentError(message, argument=name)
    for i, value in enumerate(values):
        check_integer(f"{name}[{i}]", value, 1)
    return tuple(values)


def output_stages(
    out_indices: Sequence[int], num_stages: int, defaults: tuple[int, ...], required: bool = True
) -> tuple[int, ...]:
    """Return the argument ``out_indices``, 0-based indices of the stages whose outputs are returned.

    Args:
        out_indices: The argument.
        num_stages: Number of stages.
        defaults: The default for all stages that there can be; a network with fewer stages uses its beginning.
        required: Whether there must be at least one, because the network returns nothing else.

    Raises:
        ArgumentError: It is not a list, has an index that is not one of a stage, or is empty if one is required.
    """
    if not isinstance(out_indices, list | tuple | range):
        message = f"out_indices must be a list of the indices of stages, not {out_indices!r}."
        raise ArgumentTypeError(message, argument="out_indices")
    indices = defaults[:num_stages] if tuple(out_indices) == defaults else tuple(out_indices)
    if required and not indices:
        message = "out_indices must have at least one index of a stage: the network would return nothing."
        raise ArgumentError(message, argument="out_indices")
    for i, index in enumerate(indices):
        check_integer(f"out_indices[{i}]", index, 0, num_stages - 1)
    return indices


def unwrap_single(outs: list[Tensor]) -> Tensor | tuple[Tensor, ...]:
    """Return a single output itself, or several as a tuple."""
    return outs[0] if len(outs) == 1 else tuple(outs)
