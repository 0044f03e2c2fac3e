"""What a run was doing when an exception was raised."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from contextlib import suppress
from types import FrameType
from typing import Any

from torch import nn
from torch.optim import Optimizer

from cfgtrain.config.config import Config
from cfgtrain.data.batches import batch_text
from cfgtrain.errors import CfgTrainError, ConfigError, TransformError
from cfgtrain.origin import Location, describe, location
from cfgtrain.parallel.wrappers import unwrap_model
from cfgtrain.runner.base import BaseRunner
from cfgtrain.runner.hooks.hook import GENERIC_STAGES, STAGES, Hook
from cfgtrain.runner.hooks.optimizer import OptimizerHook

__all__ = ["ACTIVITY_NOTE", "activity_lines", "module_location", "note_activity", "place_transform"]

ACTIVITY_NOTE = "Raised by "  # how the note begins


def note_activity(error: BaseException, runner: BaseRunner, cfg: Config) -> None:
    """Add a note to an exception that was raised during a run: by what it was raised, when, and with which batch.

    Errors of cfgtrain, which say this themselves, are not changed.
    """
    if isinstance(error, TransformError):
        place_transform(error, cfg)
    if isinstance(error, CfgTrainError):
        return
    lines = activity_lines(error, runner.model, cfg, getattr(runner, "data_batch", None))
    if not lines:
        return
    if runner.mode is not None:
        iteration, epoch, batch = runner.batch_position
        lines[0] += f", in iteration {iteration + 1} (epoch {epoch + 1}, batch {batch + 1})"
    error.add_note("\n  ".join([f"{ACTIVITY_NOTE}{lines[0]}", *lines[1:]]))


def place_transform(error: TransformError, cfg: Config) -> None:
    """Set the place of an error about a step of a pipeline to the line of the step, in place of that of the dataset."""
    with suppress(ConfigError):  # a wrapper of a dataset has its pipeline elsewhere
        error.origin = cfg.origin(error.key or "") or error.origin


def activity_lines(error: BaseException, model: nn.Module, cfg: Config, batch: Any = None) -> list[str]:
    """Return what was being done when an exception was raised, where that is in the config, and the batch.

    It is read from the frames of the exception, so that nothing has to be recorded during a run.

    Args:
        error: The exception, with its traceback.
        model: The model of the run.
        cfg: Config of the run.
        batch: The batch, or None if it does not matter.

    Returns:
        Lines of text, the first one such as ``"the forward pass of backbone.fc (Linear)"``; none if it is not known.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    module, hook = _module_call(frames, unwrap_model(model)), _hook_call(frames)
    if module is None and hook is None:
        return []
    places, texts = [], []
    if module is not None:
        name, text = module
        texts.append(text)
        places.append(describe(_module_node(cfg, name)))
    if hook is not None:
        owner, text = hook
        texts.append(text)
        places.append(_hook_place(cfg, owner))
    lines = [", in ".join(texts), *(f"at {place}" for place in places if place)]
    if module is not None and batch is not None:
        lines.append(f"The batch has {batch_text(batch)}.")
    return lines


def module_location(error: BaseException, model: nn.Module, cfg: Config) -> Location:
    """Return where the config describes the module whose method raised an exception, or else the model."""
    module = _module_call([frame for frame, _ in traceback.walk_tb(error.__traceback__)], unwrap_model(model))
    return location(_module_node(cfg, "" if module is None else module[0]))


def _module_call(frames: list[FrameType], model: nn.Module) -> tuple[str, str] | None:
    """Return the path in the model of the innermost module whose method was running, and a text."""
    names = {id(module): name for name, module in model.named_modules()}
    for frame in reversed(frames):
        owner = frame.f_locals.get("self")
        if isinstance(owner, nn.Module) and id(owner) in names:
            name, kind, method = names[id(owner)], type(owner).__name__, frame.f_code.co_name
            if method.startswith("_"):  # of torch, such as _call_impl and __getattr__, or a helper
                method = "forward"
            if not name:
                return name, f"{method} of the model ({kind})"
            return (
                name,
                f"the forward pass of {name} ({kind})"
                if method == "forward"
                else f"{method} of {name} ({kind})",
            )
    return None


def _hook_call(frames: list[FrameType]) -> tuple[Hook, str] | None:
    """Return the hook whose stage was running, and a text."""
    for i, frame in enumerate(frames):
        owner, stage = frame.f_locals.get("self"), frame.f_code.co_name
        if isinstance(owner, Hook) and stage in (*STAGES, *GENERIC_STAGES):
            inner = frames[i:]
            if isinstance(owner, OptimizerHook):
                step = next((each.f_locals["self"] for each in inner if _is_step(each)), None)
                if step is not None:
                    return owner, f"the step of the optimizer ({type(step).__name__})"
                if any(each.f_code.co_name == "backward" for each in inner):
                    return owner, "the backward pass"
            return owner, f"{stage} of {type(owner).__name__}"
    return None


def _is_step(frame: FrameType) -> bool:
    return frame.f_code.co_name == "step" and isinstance(frame.f_locals.get("self"), Optimizer)


def _module_node(cfg: Config, name: str) -> Any:
    """Return the config of a module, or of the part of the model that contains it."""
    node: Any = cfg.get("model")
    if not isinstance(node, Mapping):
        return None
    last = node
    for part in name.split("."):
        inner = node.get(part) if isinstance(node, Mapping) else _item(node, part)
        if not isinstance(inner, Mapping | list | tuple):
            break
        node, last = inner, inner if isinstance(inner, Mapping) else last
    return last


def _item(nodes: Any, index: str) -> Any:
    """Return an item of a list of configs, by its index as it is written in the path of a module."""
    return nodes[int(index)] if index.isdecimal() and int(index) < len(nodes) else None


def _hook_place(cfg: Config, hook: Hook) -> str:
    """Return where ``custom_hooks`` describes a hook, or ``""``."""
    hooks = cfg.get("custom_hooks")
    for each in hooks if isinstance(hooks, list | tuple) else ():
        kind = each.get("type") if isinstance(each, Mapping) else None
        if kind is type(hook) or (isinstance(kind, str) and kind.rpartition(".")[2] == type(hook).__name__):
            return describe(each)
    return ""
