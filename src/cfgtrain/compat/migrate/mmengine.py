"""Convert the settings of a config in the style of MMEngine into cfgtrain's own keys.

What has no counterpart is never guessed: it is listed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cfgtrain.compat.migrate.mmengine_data import convert_data, convert_evaluation
from cfgtrain.compat.migrate.mmengine_hooks import convert_hooks, convert_loggers
from cfgtrain.compat.migrate.mmengine_schedules import convert_schedules
from cfgtrain.compat.migrate.mmengine_settings import Conversion, Part
from cfgtrain.keys import KEYS

MARKS = frozenset({
    "train_dataloader", "val_dataloader", "test_dataloader", "optim_wrapper", "param_scheduler", "default_hooks",
    "val_evaluator", "test_evaluator", "default_scope", "env_cfg", "randomness",
})  # fmt: skip
# Settings of MMEngine that are converted to other keys.
CONVERTED_KEYS = MARKS | {"train_cfg", "val_cfg", "test_cfg", "visualizer", "vis_backends", "resume"}
_LOOPS = ("by_epoch", "max_epochs", "max_iters", "val_interval")
# Settings of MMEngine that have no effect in cfgtrain, and why they are not needed.
_DROPPED = {
    "default_scope": "a type is found in all registries",
    "launcher": "it is an option of the command line",
    "log_processor": "the log shows epochs or iterations as the runner counts them",
}
_BY_HAND = {
    "data_preprocessor": "Add a Normalize to the pipelines.",
    "model_wrapper_cfg": "See the key parallel.",
    "tta_model": "Test-time augmentation is part of a project.",
    "tta_pipeline": "Test-time augmentation is part of a project.",
    "experiment_name": "The name of the config is used.",
    "strategy": "See the key parallel.",
    "runner_type": "See the key runner.",
}
_ORDER = (
    "custom_imports", "model", "data", "optimizer", "optimizer_config", "lr_config", "runner", "evaluation",
    "checkpoint_config", "log_config", "custom_hooks",
)  # fmt: skip


# Keys of cfgtrain that settings of MMEngine are converted to.
_CONVERTED = frozenset({
    "data", "optimizer", "optimizer_config", "lr_config", "runner", "evaluation", "checkpoint_config", "log_config",
    "precision", "cudnn_benchmark", "mp_start_method", "opencv_num_threads", "dist_params", "seed", "deterministic",
    "resume_from",
})  # fmt: skip
_MERGED_BY_MMENGINE = {
    "param_scheduler": "lr_config", "val_evaluator": "evaluation", "test_evaluator": "evaluation",
}  # fmt: skip


def is_mmengine(cfg: Mapping[str, Any]) -> bool:
    """Return whether merged settings are in the style of MMEngine."""
    return bool(MARKS & set(cfg)) or any(
        isinstance(loop := cfg.get(name), Mapping)
        and (any(key in loop for key in _LOOPS) or str(loop.get("type", "")).endswith("Loop"))
        for name in ("train_cfg", "val_cfg", "test_cfg")
    )


def convert(conversion: Conversion) -> dict[str, Any]:
    """Return the settings in cfgtrain's own keys, in the order in which they are written."""
    _set_aside(conversion)
    _convert_model(conversion)
    by_epoch, length = _convert_loops(conversion)
    convert_data(conversion)
    _convert_optimizer(conversion)
    convert_schedules(conversion, by_epoch, length)
    convert_evaluation(conversion)
    convert_hooks(conversion)
    convert_loggers(conversion)
    _convert_environment(conversion)
    _convert_start(conversion)
    for name, reason in _DROPPED.items():
        if name in conversion.tree:
            conversion.tree.pop(name)
            conversion.note((name,), f"{name} is dropped: {reason}.")
    for name, hint in _BY_HAND.items():
        if conversion.tree.get(name) is not None:
            conversion.by_hand((name,), conversion.tree.pop(name), hint)
        conversion.tree.pop(name, None)
    _convert_rest(conversion)
    _write_over_inherited(conversion)
    new = conversion.new
    return {key: new[key] for key in _ORDER if key in new} | {
        key: value for key, value in new.items() if key not in _ORDER
    }


def _set_aside(conversion: Conversion) -> None:
    """Take out the settings in cfgtrain's own keys, and list what MMEngine would merge with them."""
    tree = conversion.tree
    conversion.inherited = {key: tree.pop(key) for key in list(tree) if key in _CONVERTED}
    for key, own in _MERGED_BY_MMENGINE.items():
        inherited = conversion.inherited.get(own)
        known = inherited if own == "lr_config" else (inherited or {}).get("metrics")
        if isinstance(tree.get(key), Mapping) and known:
            message = (
                f"In MMEngine, {key} is merged with that of the base, which is converted already to {own}."
            )
            conversion.todo((key,), message, f"Check {own} in the new config: this one replaces it.")


def _write_over_inherited(conversion: Conversion) -> None:
    """Write the new settings over those in cfgtrain's own keys."""
    new, inherited = conversion.new, conversion.inherited
    conversion.overlap = [key for key in inherited if key in new]
    for key, value in inherited.items():
        new[key] = _merged(value, new[key], replaces=key == "lr_config") if key in new else value
    if conversion.overlap:
        names = ", ".join(conversion.overlap)
        message = f"A base is converted already, or the file has keys of cfgtrain too: what is in MMEngine's keys is written over {names}."
        conversion.report.add(0, message, "", "note")


def _merged(old: Any, new: Any, replaces: bool = False) -> Any:
    """Return the settings of a dict with those of another one over it."""
    if replaces or not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return new
    return {**old, **{key: _merged(old[key], value) if key in old else value for key, value in new.items()}}


def _convert_model(conversion: Conversion) -> None:
    model = conversion.tree.pop("model", None)
    if isinstance(model, dict) and "data_preprocessor" in model:
        value = model.pop("data_preprocessor")
        conversion.by_hand(("model", "data_preprocessor"), value, _BY_HAND["data_preprocessor"])
    if model is not None:
        conversion.new["model"] = model


def _convert_loops(conversion: Conversion) -> tuple[bool, int | None]:
    """Convert the loops; return whether the run counts epochs, and its length."""
    loop = conversion.part("train_cfg")
    kind = str(loop.pop("type", ""))
    inherited = conversion.inherited.get("runner")
    inherited = inherited if isinstance(inherited, Mapping) else {}
    in_epochs = kind != "IterBasedTrainLoop" and "max_iters" not in loop
    if not kind and "max_epochs" not in loop and "max_iters" in inherited:
        in_epochs = False
    by_epoch = bool(loop.pop("by_epoch", in_epochs))
    unit = "max_epochs" if by_epoch else "max_iters"
    length = loop.pop(unit)
    if kind not in ("", "EpochBasedTrainLoop", "IterBasedTrainLoop"):
        conversion.by_hand(("train_cfg", "type"), kind, "Write a runner; see the key runner.")
    if length is not None:
        kind = "EpochBasedRunner" if by_epoch else "IterBasedRunner"
        conversion.new["runner"] = {"type": kind, unit: length}
    if "val_interval" in loop or (
        not conversion.inherited.get("evaluation") and (loop or length is not None)
    ):
        interval = loop.pop("val_interval", 1 if by_epoch else 1000)
        start = loop.pop("val_begin")
        if "val_dataloader" in conversion.tree or "train_dataloader" not in conversion.tree:
            conversion.evaluation["interval"] = interval
            if start not in (None, 1):
                conversion.evaluation["start"] = start
    conversion.rest(loop)
    for name in ("val_cfg", "test_cfg"):
        loop = conversion.part(name)
        kind = str(loop.pop("type", ""))
        if kind not in ("", "ValLoop", "TestLoop"):
            conversion.by_hand((name, "type"), kind, "Scores come from metrics; see docs/evaluation.md.")
        conversion.half_evaluation |= bool(loop.pop("fp16", False))
        conversion.rest(loop)
    return by_epoch, inherited.get(unit) if length is None else length


def _convert_optimizer(conversion: Conversion) -> None:
    wrapper = conversion.part("optim_wrapper")
    if not wrapper:
        return
    kind = str(wrapper.pop("type", "OptimWrapper"))
    step: dict[str, Any] = {}
    if kind not in ("OptimWrapper", "AmpOptimWrapper"):
        conversion.by_hand(("optim_wrapper", "type"), kind, "See optimizer and optimizer_config.")
    optimizer = wrapper.pop("optimizer")
    if isinstance(optimizer, Mapping):
        optimizer = dict(optimizer)
        if (paramwise := wrapper.pop("paramwise_cfg")) is not None:
            optimizer["paramwise_cfg"] = paramwise
        constructor = wrapper.pop("constructor")
        if constructor not in (None, "DefaultOptimWrapperConstructor"):
            hint = "Write it for cfgtrain's OPTIMIZER_BUILDERS, as constructor of optimizer."
            conversion.by_hand(("optim_wrapper", "constructor"), constructor, hint)
        conversion.new["optimizer"] = optimizer
    elif optimizer is not None:
        conversion.by_hand(("optim_wrapper", "optimizer"), optimizer)
    clip = wrapper.pop("clip_grad")
    if isinstance(clip, Mapping):
        clip = dict(clip)
        if clip.pop("type", "norm") == "value" and "clip_value" not in clip:
            conversion.by_hand(("optim_wrapper", "clip_grad"), clip)
        else:
            step["grad_clip"] = clip
    if (count := wrapper.pop("accumulative_counts", 1)) != 1:
        step["cumulative_iters"] = count
    if kind == "AmpOptimWrapper":
        _convert_precision(conversion, wrapper, step)
    elif wrapper.pop("loss_scale") is not None:
        conversion.note(("optim_wrapper", "loss_scale"), "loss_scale is dropped: it needs AmpOptimWrapper.")
    conversion.rest(wrapper)
    if step:
        conversion.new["optimizer_config"] = step


def _convert_precision(conversion: Conversion, wrapper: Part, step: dict[str, Any]) -> None:
    dtype = wrapper.pop("dtype") or "float16"
    if dtype not in ("float16", "bfloat16"):
        conversion.by_hand(("optim_wrapper", "dtype"), dtype, "It can be 'float16' or 'bfloat16'.")
        return
    scale = wrapper.pop("loss_scale", "dynamic")
    if conversion.half_evaluation:
        conversion.new["precision"] = "fp16" if dtype == "float16" else "bf16"
    else:  # evaluations are in float32
        step["dtype"] = dtype
    if scale != "dynamic":
        step["loss_scale"] = scale


def _convert_environment(conversion: Conversion) -> None:
    new = conversion.new
    env = conversion.part("env_cfg")
    if (benchmark := env.pop("cudnn_benchmark")) is not None:
        new["cudnn_benchmark"] = benchmark
    workers = conversion.part("env_cfg", "mp_cfg", of=env)
    for key, name in (("mp_start_method", "mp_start_method"), ("opencv_num_threads", "opencv_num_threads")):
        if (value := workers.pop(key)) is not None:
            new[name] = value
    conversion.rest(workers)
    if group := env.pop("dist_cfg"):
        new["dist_params"] = dict(group)
    conversion.rest(env)
    randomness = conversion.part("randomness")
    for key in ("seed", "deterministic"):
        if key in randomness:
            new[key] = randomness.pop(key)
    if not randomness.values.get("diff_rank_seed", True):
        randomness.pop("diff_rank_seed")
    conversion.rest(randomness, "Each process has its own random numbers in cfgtrain.")


def _convert_start(conversion: Conversion) -> None:
    tree, new = conversion.tree, conversion.new
    resume, weights = tree.pop("resume", None), tree.pop("load_from", None)
    if resume:
        new["resume_from"] = weights or "auto"
    elif weights is not None:
        new["load_from"] = weights
    if resume is False and conversion.inherited.get("resume_from"):
        new["resume_from"] = None
    scaling = conversion.part("auto_scale_lr")
    if "base_batch_size" in scaling:
        new["auto_scale_lr"] = {
            "base_batch_size": scaling.pop("base_batch_size"), "enable": bool(scaling.pop("enable", False)),
        }  # fmt: skip
    conversion.rest(scaling)


def _convert_rest(conversion: Conversion) -> None:
    """Keep settings of cfgtrain and of the project; drop variables whose value is where it was used."""
    used: list[Any] = []
    for value in conversion.new.values():
        _collect(value, used)
    dropped, kept = [], []
    for name, value in conversion.tree.items():
        is_helper = name in conversion.helpers and name not in KEYS
        is_used = name not in KEYS and isinstance(value, (dict, list, tuple, str)) and value and value in used
        if is_used or (is_helper and isinstance(value, (dict, list, tuple))):
            dropped.append(name)
            continue
        conversion.new.setdefault(name, value)
        if is_helper and name in conversion.own:
            kept.append(name)
    if dropped:
        message = f"The values of these variables are where they were used: {', '.join(dropped)}."
        conversion.report.add(0, message, "", "note")
    if kept:
        message = f"These variables stay, and cfgtrain does not read them: {', '.join(kept)}."
        conversion.report.add(0, message, "", "note")


def _collect(value: Any, found: list[Any]) -> None:
    if isinstance(value, (dict, list, tuple, str)):
        found.append(value)
    if isinstance(value, (dict, list, tuple)):
        for each in value.values() if isinstance(value, dict) else value:
            _collect(each, found)
