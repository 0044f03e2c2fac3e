"""Convert ``param_scheduler`` of a config in the style of MMEngine to ``lr_config``.

A schedule is written with the policies of cfgtrain if these give the same learning rates, else as
``policy='Torch'`` with the schedulers of PyTorch if these do, else with the policy that is nearest, which a note says.
``tests/compat/migrate/test_recorded.py`` compares the learning rates with those of MMEngine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cfgtrain.compat.migrate.mmengine_settings import Conversion, KeyPath, as_list

_OTHER = "Write lr_config by hand; policy='Torch' accepts the schedulers of PyTorch. See docs/schedules.md."
_IN_EPOCHS = "It counts epochs, and the run counts iterations."
_NO_SETTINGS = frozenset({"type", "by_epoch", "convert_to_iter_based", "begin", "end", "verbose"})
_ONE_CYCLE = (
    "pct_start", "anneal_strategy", "div_factor", "final_div_factor", "three_phase",
)  # fmt: skip


class _UnknownError(Exception):
    """A scheduler has no counterpart; its message says why."""


@dataclass
class _Scheduler:
    """One scheduler of MMEngine.

    Attributes:
        path: Its key path.
        kind: Its type.
        args: Its own arguments.
        in_epochs: Whether ``begin``, ``end`` and the arguments count epochs.
        steps_by_epoch: Whether the value changes in each epoch, rather than in each iteration.
        begin: Its first step.
        end: The step after its last one, or None: the end of the run.
        length: The steps of the run in its unit, or None if they are not known.
    """

    path: KeyPath
    kind: str
    args: dict[str, Any]
    in_epochs: bool
    steps_by_epoch: bool
    begin: int
    end: int | None
    length: int | None

    @property
    def unit(self) -> str:
        """What its value changes with."""
        return "epoch" if self.steps_by_epoch else "iteration"

    @property
    def is_scaled(self) -> bool:
        """Whether its numbers are multiplied by the number of iterations of an epoch, which is not known here."""
        return self.in_epochs and not self.steps_by_epoch

    @property
    def steps(self) -> int | None:
        """The number of its steps, or None if it is not known."""
        end = self.length if self.end is None else self.end
        return None if end is None else end - self.begin

    def take(self, *names: str) -> dict[str, Any]:
        """Return the arguments with these names that are set.

        Raises:
            _UnknownError: There are others.
        """
        others = [name for name in self.args if name not in names]
        if others:
            raise _UnknownError(f"lr_config has no counterpart of {', '.join(others)}.")
        return {name: self.args[name] for name in names if name in self.args}


def convert_schedules(conversion: Conversion, by_epoch: bool, length: int | None) -> None:
    """Convert the schedulers, all of them or none.

    Args:
        conversion: The conversion.
        by_epoch: Whether the run counts epochs.
        length: Its number of epochs or iterations, or None if it is not known.
    """
    value = conversion.tree.pop("param_scheduler", None)
    if not as_list(value):
        return
    path: KeyPath = ("param_scheduler",)
    try:
        schedulers = []
        for index, cfg in enumerate(as_list(value)):
            path = ("param_scheduler", index) if isinstance(value, (list, tuple)) else ("param_scheduler",)
            schedulers.append(_read(path, cfg, by_epoch, length))
        new, notes = _converted(schedulers)
    except _UnknownError as error:
        path = error.args[1] if len(error.args) > 1 else path
        conversion.by_hand(path, _at(value, path), _OTHER, error.args[0])
        conversion.left["param_scheduler"] = value
        for key in [key for key in conversion.left if key.startswith("param_scheduler[")]:
            del conversion.left[key]
        return
    conversion.new["lr_config"] = new
    for where, message in notes:
        conversion.note(where, message)


def _at(value: Any, path: KeyPath) -> Any:
    return value[path[1]] if len(path) > 1 else value


def _read(path: KeyPath, cfg: Any, by_epoch: bool, length: int | None) -> _Scheduler:
    if not isinstance(cfg, Mapping):
        raise _UnknownError("It is not a dict.", path)
    in_epochs = bool(cfg.get("by_epoch", True))
    if in_epochs and not by_epoch:
        raise _UnknownError(_IN_EPOCHS, path)
    scaled = in_epochs and bool(cfg.get("convert_to_iter_based"))
    end = cfg.get("end")
    known = length if in_epochs == by_epoch else None
    if end is not None and known is not None and end >= known:
        end = known
    args = {key: value for key, value in cfg.items() if key not in _NO_SETTINGS}
    begin = cfg.get("begin", 0)
    return _Scheduler(
        path, str(cfg.get("type")), args, in_epochs, in_epochs and not scaled, begin, end, known
    )


def _converted(schedulers: Sequence[_Scheduler]) -> tuple[dict[str, Any], list[tuple[KeyPath, str]]]:
    """Return ``lr_config``, and how it differs."""
    plain: dict[str, Any] = {}
    notes: list[tuple[KeyPath, str]] = []
    failure: _UnknownError | None = None
    try:
        plain, notes = _plain(schedulers)
    except _UnknownError as error:
        failure = error
    if failure is not None or notes:
        try:
            return _torch(schedulers), []
        except _UnknownError:
            if failure is not None:
                raise failure from None
    return plain, notes


def _plain(schedulers: Sequence[_Scheduler]) -> tuple[dict[str, Any], list[tuple[KeyPath, str]]]:
    """Return ``lr_config`` with a policy of cfgtrain, and how it differs."""
    curve: dict[str, Any] = {}
    warmup: dict[str, Any] = {}
    notes: list[tuple[KeyPath, str]] = []
    for each in schedulers:
        try:
            if _is_warmup(each):
                if warmup:
                    raise _UnknownError("lr_config has one warm-up only.")
                warmup, note = _warmup(each)
            else:
                if curve:
                    raise _UnknownError("lr_config has one curve only.")
                curve, note = _curve(each)
        except _UnknownError as error:
            raise _UnknownError(error.args[0], each.path) from None
        if note:
            notes.append((each.path, f"{note}: lr differs."))
    return (curve or {"policy": "fixed"}) | warmup, notes


def _is_warmup(each: _Scheduler) -> bool:
    ends = each.end is not None and (each.length is None or each.end < each.length)
    if each.begin != 0 or not ends:
        return False
    if each.kind == "LinearLR":
        return bool(each.args.get("start_factor", 1 / 3) < 1 == each.args.get("end_factor", 1))
    return each.kind == "ConstantLR" and each.args.get("factor", 1 / 3) < 1


def _warmup(each: _Scheduler) -> tuple[dict[str, Any], str]:
    is_linear = each.kind == "LinearLR"
    ratio = {"start_factor": 1 / 3, "factor": 1 / 3, **each.take("start_factor", "end_factor", "factor")}
    end, note = each.end or 0, ""
    if each.is_scaled:
        note = "The warm-up ends one iteration later"
    elif end < 2:
        raise _UnknownError("It has one step, and keeps its factor after it.")
    elif is_linear and each.steps_by_epoch:
        note = "The warm-up grows in each iteration instead of in each epoch"
    else:
        end -= 1  # MMEngine reaches the full value in the last step
    return {
        "warmup": "linear" if is_linear else "constant",
        "warmup_iters": end,
        "warmup_ratio": ratio["start_factor" if is_linear else "factor"],
        "warmup_by_epoch": each.in_epochs,
    }, note


def _curve(each: _Scheduler) -> tuple[dict[str, Any], str]:
    if each.kind not in ("MultiStepLR", "StepLR", "ConstantLR") and (
        each.end is not None and (each.length is None or each.end < each.length)
    ):
        raise _UnknownError(f"It ends at {each.end}, before the run.")
    if each.kind in ("MultiStepLR", "StepLR"):
        return _step(each), ""
    counted = {"by_epoch": each.steps_by_epoch}
    if each.kind == "ExponentialLR" and not each.begin and not each.is_scaled:
        return {"policy": "exp", **each.take("gamma"), **counted}, ""
    if each.kind == "ConstantLR" and each.take("factor").get("factor", 1 / 3) == 1:
        return {"policy": "fixed"} | counted, ""
    if each.kind not in ("CosineAnnealingLR", "PolyLR", "LinearLR"):
        raise _UnknownError(f"{each.kind} has no counterpart with these arguments.")
    if each.length is None:
        raise _UnknownError("The length of the run is not known in what it counts.")
    note = f"The curve starts at 0 instead of {each.begin}" if each.begin else ""
    if each.kind == "CosineAnnealingLR":
        return _cosine(each) | counted, note
    note = note or f"The curve ends one {each.unit} later"
    if each.kind == "PolyLR":
        args = {"power": 1.0, "eta_min": 0, **each.take("power", "eta_min")}
        return {"policy": "poly", "power": args["power"], "min_lr": args["eta_min"]} | counted, note
    args = {"start_factor": 1 / 3, "end_factor": 1.0, **each.take("start_factor", "end_factor")}
    if args["start_factor"] != 1 or each.begin:
        raise _UnknownError("A straight line begins with the lr of the optimizer.")
    return {"policy": "LinearAnnealing", "min_lr_ratio": args["end_factor"]} | counted, note


def _step(each: _Scheduler) -> dict[str, Any]:
    steps: Any
    if each.kind == "MultiStepLR":
        args = {"milestones": [], "gamma": 0.1, **each.take("milestones", "gamma")}
        steps = [each.begin + step for step in args["milestones"]]  # MMEngine counts from its begin
        if each.end is not None and any(step >= each.end for step in steps):
            steps = [step for step in steps if step < each.end]
    else:
        args = {"gamma": 0.1, **each.take("step_size", "gamma")}
        ends = each.end is not None and (each.length is None or each.end < each.length)
        if each.begin or ends:
            raise _UnknownError("Its steps do not begin and end with the run.")
        steps = args["step_size"]
    return {"policy": "step", "step": steps, "gamma": args["gamma"], "by_epoch": each.in_epochs}


def _cosine(each: _Scheduler) -> dict[str, Any]:
    args = each.take("T_max", "eta_min", "eta_min_ratio")
    period = args.get("T_max")
    if period is not None and each.begin + period != each.length:
        raise _UnknownError(f"Its length T_max={period} is not that of the run.")
    ratio = args.get("eta_min_ratio")
    low = {"min_lr": args.get("eta_min", 0)} if ratio is None else {"min_lr_ratio": ratio}
    return {"policy": "CosineAnnealing"} | low


# Schedulers of PyTorch


def _torch(schedulers: Sequence[_Scheduler]) -> dict[str, Any]:
    """Return ``lr_config`` with schedulers of PyTorch that give the same learning rates.

    Raises:
        _UnknownError: There are none.
    """
    units = {each.steps_by_epoch for each in schedulers}
    if len(units) > 1 or any(each.is_scaled for each in schedulers):
        raise _UnknownError("The schedulers count in different units.")
    built = [_torch_scheduler(each) for each in schedulers]
    begins = [each.begin for each in schedulers]
    if len(built) == 1 and not begins[0]:
        scheduler = built[0]
    elif not any(begins):
        scheduler = {"type": "ChainedScheduler", "schedulers": built}
    elif len(built) == 2 and _is_warmup(schedulers[0]) and begins[1] >= (schedulers[0].end or 0):
        scheduler = {"type": "SequentialLR", "schedulers": built, "milestones": [begins[1]]}
    else:
        raise _UnknownError("The schedulers overlap.", schedulers[-1].path)
    return {"policy": "Torch", "scheduler": scheduler, "by_epoch": units.pop()}


def _torch_scheduler(each: _Scheduler) -> dict[str, Any]:
    steps = each.steps
    if steps is None or steps < 2:
        raise _UnknownError("The length of the run is not known in what it counts.")
    runs_on = each.end is None or each.end == each.length
    if each.kind == "LinearLR":
        args = {"start_factor": 1 / 3, "end_factor": 1.0, **each.take("start_factor", "end_factor")}
        return {"type": "LinearLR", **args, "total_iters": steps - 1}
    if each.kind == "ConstantLR":
        args = {"factor": 1 / 3, **each.take("factor")}
        return {"type": "ConstantLR", **args, "total_iters": steps - 1}
    if each.kind == "PolyLR":
        args = {"power": 1.0, "eta_min": 0, **each.take("power", "eta_min")}
        if args.pop("eta_min") == 0:
            return {"type": "PolynomialLR", **args, "total_iters": steps - 1}
    if each.kind == "ExponentialLR" and runs_on:
        return {"type": "ExponentialLR", **each.take("gamma")}
    if each.kind == "MultiStepLR" and runs_on:
        return {"type": "MultiStepLR", "gamma": 0.1, **each.take("milestones", "gamma")}
    if each.kind == "StepLR" and runs_on:
        return {"type": "StepLR", "gamma": 0.1, **each.take("step_size", "gamma")}
    if each.kind == "CosineAnnealingLR" and runs_on:
        return {"type": "CosineAnnealingLR", "T_max": steps, **each.take("T_max", "eta_min")}
    if each.kind == "OneCycleLR" and not each.begin:
        args = each.take("eta_max", "total_steps", *_ONE_CYCLE)
        total = args.pop("total_steps", steps)
        if total >= steps and "eta_max" in args:
            peak = args.pop("eta_max")
            return {
                "type": "OneCycleLR",
                "max_lr": peak,
                "total_steps": total,
                **args,
                "cycle_momentum": False,
            }
    raise _UnknownError(f"{each.kind} has no counterpart with these arguments.")
