"""The second version of each weight that ``EMAHook`` saves: averages, or what they replace."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from cfgtrain.errors import CheckpointError

__all__ = ["average_names", "select_weights"]


def average_names(weights: Mapping[str, Any]) -> dict[str, str]:
    """Return the name of the second version of each weight that has one, such as ``ema_fc_bias`` of ``fc.bias``."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in weights:
        second = "ema_" + name.replace(".", "_")
        while second in taken:  # a.b and a_b: the hook appends underscores
            second += "_"
        if second in weights:
            found[name] = second
            taken.add(second)
    return found


def select_weights(
    checkpoint: Mapping[str, Any], weights: Mapping[str, Any], averages: bool | None, name: str
) -> OrderedDict[str, Any]:
    """Return the weights of a checkpoint without the second versions that ``EMAHook`` saves.

    A checkpoint of cfgtrain has the averages under the names of the weights, and the weights
    themselves as ``ema_<name>``. One of MMCV that was saved within an epoch has them the other way round.

    Args:
        checkpoint: The content of the file.
        weights: The weights in it.
        averages: True for the averages, False for the weights themselves, None for those under their names.
        name: How messages name the file.

    Raises:
        CheckpointError: ``averages`` is not None, and the checkpoint has no second versions.
    """
    second = average_names(weights)
    if averages is not None and not second:
        raise CheckpointError(
            f"{name} has no averages of weights: no tensor is called ema_<name of a weight>."
        )
    meta = checkpoint.get("meta")
    names_hold_averages = "resume" in checkpoint or (
        isinstance(meta, Mapping) and ("run_id" in meta or "cfgtrain_version" in meta)
    )
    left_out = set(second.values())
    exchanged = averages is not None and averages is not names_hold_averages
    chosen = OrderedDict(
        (key, weights[second[key]] if exchanged and key in second else value)
        for key, value in weights.items()
        if key not in left_out
    )
    chosen._metadata = getattr(weights, "_metadata", OrderedDict())  # type: ignore[attr-defined]  # as torch does
    return chosen
