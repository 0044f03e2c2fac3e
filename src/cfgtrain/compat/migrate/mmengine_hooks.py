"""Convert the hooks and visualizers of a config in the style of MMEngine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cfgtrain.compat.migrate.mmengine_data import score_name
from cfgtrain.compat.migrate.mmengine_settings import Conversion, KeyPath, Part, as_list, known
from cfgtrain.registries import HOOKS

_CHECKPOINT = (
    "interval", "by_epoch", "save_optimizer", "out_dir", "max_keep_ckpts", "save_last", "filename_tmpl",
)  # fmt: skip
# Default hooks that a runner of cfgtrain does not need or adds itself.
_OWN = {
    "timer": "IterTimerHook",
    "param_scheduler": "ParamSchedulerHook",
    "sampler_seed": "DistSamplerSeedHook",
    "runtime_info": "RuntimeInfoHook",
}
_LOGGERS = {
    "TensorboardVisBackend": ("TensorboardLoggerHook", {"save_dir": "log_dir"}),
    "WandbVisBackend": ("WandbLoggerHook", {"init_kwargs": "init_kwargs", "commit": "commit"}),
    "MLflowVisBackend": ("MlflowLoggerHook", {
        "exp_name": "exp_name", "tags": "tags", "params": "params", "tracking_uri": "tracking_uri",
    }),
}  # fmt: skip
_API = "Write it for cfgtrain: its methods get the runner only; see docs/hooks.md."


def convert_hooks(conversion: Conversion) -> None:
    """Convert ``default_hooks`` and ``custom_hooks``, and finish ``evaluation``."""
    hooks = conversion.part("default_hooks")
    custom: list[Any] = []
    for name in list(hooks.values):
        path: KeyPath = ("default_hooks", name)
        cfg = hooks.pop(name)
        if name == "checkpoint" and cfg is None:
            conversion.new["checkpoint_config"] = None
        elif not isinstance(cfg, Mapping):
            if cfg is not None or name == "logger":
                conversion.by_hand(path, cfg)
        elif name == "checkpoint" and cfg.get("type", "CheckpointHook") == "CheckpointHook":
            _convert_checkpoint(conversion, Part(cfg, path))
        elif name == "logger" and cfg.get("type", "LoggerHook") == "LoggerHook":
            _convert_logger(conversion, Part(cfg, path))
        elif name in _OWN and cfg.get("type", _OWN[name]) == _OWN[name]:
            continue
        elif name == "visualization" and not cfg.get("enable") and not cfg.get("draw"):
            conversion.note(path, f"default_hooks.{name} is dropped: it draws nothing.")
        else:
            _convert_custom(conversion, path, cfg, custom)
    for index, cfg in enumerate(as_list(conversion.tree.pop("custom_hooks", None))):
        _convert_custom(conversion, ("custom_hooks", index), cfg, custom)
    if custom:
        conversion.new["custom_hooks"] = custom
    if conversion.evaluation:
        conversion.new["evaluation"] = conversion.evaluation


def _convert_checkpoint(conversion: Conversion, hook: Part) -> None:
    hook.pop("type")
    settings = {key: hook.pop(key) for key in _CHECKPOINT if hook.values.get(key) is not None}
    best = score_name(conversion, (*hook.path, "save_best"), hook.pop("save_best"))
    if best is not None:
        conversion.evaluation["save_best"] = best
        for key in ("rule", "greater_keys", "less_keys"):
            if hook.values.get(key) is not None:
                conversion.evaluation[key] = hook.pop(key)
    if hook.values.get("save_param_scheduler") is True:
        hook.pop("save_param_scheduler")
    conversion.rest(hook)
    if settings:
        conversion.new["checkpoint_config"] = settings


def _convert_logger(conversion: Conversion, hook: Part) -> None:
    hook.pop("type")
    if (interval := hook.pop("interval")) is not None:
        conversion.new["log_config"] = {"interval": interval}
    for key in ("log_metric_by_epoch", "ignore_last"):
        if hook.values.get(key) is True:  # as in MMEngine by default
            hook.pop(key)
    if hook.values.get("log_metric_by_epoch") is False:
        hook.pop("log_metric_by_epoch")
        message = (
            "log_metric_by_epoch is dropped: loggers get scores with the number of the iteration anyway."
        )
        conversion.note((*hook.path, "log_metric_by_epoch"), message)
    conversion.rest(hook, "See log_config.")


def _convert_custom(conversion: Conversion, path: KeyPath, cfg: Any, custom: list[Any]) -> None:
    kind = cfg.get("type") if isinstance(cfg, Mapping) else None
    if known(HOOKS, kind) is None:
        conversion.by_hand(path, cfg, _API)
        return
    cfg = dict(cfg)
    if "monitor" in cfg:
        name = score_name(conversion, (*path, "monitor"), cfg["monitor"])
        if name is None:
            return
        cfg["monitor"] = name
    problem = conversion.problem(HOOKS, {key: value for key, value in cfg.items() if key != "priority"})
    if problem is None:
        custom.append(cfg)
    else:
        conversion.by_hand(path, cfg, f"See cfgtrain show {kind}.", problem)


def convert_loggers(conversion: Conversion) -> None:
    """Convert ``visualizer`` and ``vis_backends`` to the hooks of ``log_config``."""
    backends = conversion.tree.pop("vis_backends", None)
    path: KeyPath = ("vis_backends",)
    visualizer = conversion.part("visualizer")
    if visualizer:
        conversion.note(("visualizer",), "visualizer is dropped: loggers are hooks of log_config.")
        chosen = visualizer.pop("vis_backends")
        if chosen is not None:
            backends, path = chosen, ("visualizer", "vis_backends")
        visualizer.pop("type")
        visualizer.pop("name")
        conversion.rest(visualizer)
    hooks = []
    for index, backend in enumerate(as_list(backends)):
        part = Part(backend if isinstance(backend, Mapping) else {"type": backend}, (*path, index))
        kind = part.pop("type")
        if kind == "LocalVisBackend":
            continue
        if kind not in _LOGGERS:
            conversion.by_hand((*path, index), backend, "See docs/loggers.md for the loggers.")
            continue
        hook, names = _LOGGERS[kind]
        hooks.append({"type": hook} | {new: part.pop(old) for old, new in names.items() if old in part})
        conversion.rest(part)
    if hooks:
        log_config = conversion.new.setdefault("log_config", {})
        log_config["hooks"] = [{"type": "TextLoggerHook"}, *hooks]
