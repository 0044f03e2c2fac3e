"""Convert ``param_scheduler`` of a config in the style of MMEngine to ``lr_config``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cfgtrain.compat.migrate.mmengine_settings import Conversion, Part, as_list

_OTHER = "Write lr_config by hand; policy='Torch' accepts the schedulers of PyTorch. See docs/schedules.md."
_IN_EPOCHS = "It counts epochs, and the run counts iterations."


class _UnknownError(Exception):
    """A scheduler has no counterpart; its message says why."""


def convert_schedules(conversion: Conversion, by_epoch: bool, length: int | None) -> None:
    """Convert the schedulers, all of them or none.

    Args:
        conversion: The conversion.
        by_epoch: Whether the run counts epochs.
        length: Its number of epochs or iterations, or None if it is not known.
    """
    value = conversion.tree.pop("param_scheduler", None)
    warmup: dict[str, Any] = {}
    curve: dict[str, Any] = {}
    notes: list[tuple[tuple[Any, ...], str]] = []
    failed = False
    for index, cfg in enumerate(as_list(value)):
        path = ("param_scheduler", index) if isinstance(value, (list, tuple)) else ("param_scheduler",)
        try:
            if not isinstance(cfg, Mapping):
                raise _UnknownError("It is not a dict.")
            item = Part(cfg, path)
            if _is_warmup(cfg, length if _unit(cfg) == by_epoch else None):
                if warmup:
                    raise _UnknownError("lr_config has one warm-up only.")
                warmup = _warmup(item, by_epoch)
                if warmup["warmup_by_epoch"] and not cfg.get("convert_to_iter_based"):
                    notes.append((path, "The warm-up grows in each iteration instead of in each epoch."))
            else:
                if curve:
                    raise _UnknownError("lr_config has one curve only.")
                curve = _curve(item, by_epoch, length)
                if cfg.get("begin") and curve["policy"] != "step":
                    notes.append(
                        (path, f"The curve starts at 0 instead of {cfg['begin']}: lr differs slightly.")
                    )
            if item:
                raise _UnknownError(f"lr_config has no counterpart of {', '.join(item.values)}.")
        except _UnknownError as error:
            failed = True
            conversion.by_hand(path, cfg, _OTHER, str(error))
    if failed:
        conversion.left["param_scheduler"] = value
        for key in [key for key in conversion.left if key.startswith("param_scheduler[")]:
            del conversion.left[key]
    elif curve or warmup:
        conversion.new["lr_config"] = (curve or {"policy": "fixed"}) | warmup
        for path, message in notes:
            conversion.note(path, message)


def _unit(cfg: Mapping[str, Any]) -> bool:
    return bool(cfg.get("by_epoch", True))


def _is_warmup(cfg: Mapping[str, Any], length: int | None) -> bool:
    if cfg.get("begin", 0) != 0 or "end" not in cfg:
        return False
    if cfg.get("type") == "LinearLR":
        return bool(cfg.get("start_factor", 1 / 3) < 1 == cfg.get("end_factor", 1))
    return cfg.get("type") == "ConstantLR" and (length is None or cfg["end"] < length)


def _warmup(item: Part, by_epoch: bool) -> dict[str, Any]:
    kind = item.pop("type")
    in_epochs = item.pop("by_epoch", True)
    item.pop("convert_to_iter_based")
    item.pop("begin")
    item.pop("end_factor")
    if in_epochs and not by_epoch:
        raise _UnknownError(_IN_EPOCHS)
    ratio = item.pop("start_factor" if kind == "LinearLR" else "factor", 1 / 3)
    return {
        "warmup": "linear" if kind == "LinearLR" else "constant",
        "warmup_iters": item.pop("end"),
        "warmup_ratio": ratio,
        "warmup_by_epoch": bool(in_epochs),
    }


def _curve(item: Part, by_epoch: bool, length: int | None) -> dict[str, Any]:
    kind = item.pop("type")
    begin, end = item.pop("begin", 0), item.pop("end")
    in_epochs = item.pop("by_epoch", True)
    in_iters = item.pop("convert_to_iter_based", False)
    if in_epochs and not by_epoch:
        raise _UnknownError(_IN_EPOCHS)
    same_unit = in_epochs == by_epoch
    length = length if same_unit else None
    if end is not None and length is not None and end < length:
        raise _UnknownError(f"It ends at {end}, before the run.")
    counted = {"by_epoch": bool(in_epochs and not in_iters)}
    if kind in ("MultiStepLR", "StepLR"):
        if end is not None and length is None:
            raise _UnknownError("It has an end, and the length of the run in this unit is not known.")
        counted = {"by_epoch": bool(in_epochs)}
        return {
            "policy": "step",
            "step": _steps(item, kind, begin),
            "gamma": item.pop("gamma", 0.1),
        } | counted
    if kind == "ExponentialLR" and not begin and not in_iters and (end is None or length is not None):
        return {"policy": "exp", "gamma": item.pop("gamma")} | counted
    if kind == "ConstantLR" and item.pop("factor", 1 / 3) == 1:
        return {"policy": "fixed"} | counted
    if kind not in ("CosineAnnealingLR", "PolyLR", "LinearLR"):
        raise _UnknownError(f"{kind} has no counterpart with these arguments.")
    if not same_unit:
        raise _UnknownError("It counts iterations, and the length of the run is in epochs.")
    period = item.pop("T_max") if kind == "CosineAnnealingLR" else None
    if period is not None and length is not None and begin + period != length:
        raise _UnknownError(f"Its length T_max={period} is not that of the run.")
    if kind == "LinearLR":
        if item.pop("start_factor", 1 / 3) != 1 or begin:
            raise _UnknownError("A straight line begins with the lr of the optimizer.")
        return {"policy": "LinearAnnealing", "min_lr_ratio": item.pop("end_factor", 1.0)} | counted
    if kind == "PolyLR":
        low = {"power": item.pop("power", 1.0), "min_lr": item.pop("eta_min", 0)}
        return {"policy": "poly"} | low | counted
    ratio = item.pop("eta_min_ratio")
    minimum = item.pop("eta_min", 0)
    low = {"min_lr": minimum} if ratio is None else {"min_lr_ratio": ratio}
    return {"policy": "CosineAnnealing"} | low | counted


def _steps(item: Part, kind: str, begin: int) -> Any:
    """Return the steps; those of MMEngine count from ``begin``."""
    if kind == "MultiStepLR":
        return [begin + step for step in item.pop("milestones", [])]
    if begin:
        raise _UnknownError(f"Its steps begin at {begin}.")
    return item.pop("step_size")
