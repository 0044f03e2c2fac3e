"""The top-level keys of a config: their defaults, what they mean, and the hooks they configure.

Everything that reads a config reads this table, so a new setting is added here. It must also
be added to the table in ``docs/config.md``.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

__all__ = ["HOOK_KEYS", "KEYS", "HookKey", "Key", "setting"]


@dataclass(frozen=True)
class Key:
    """One top-level key.

    Attributes:
        name: Name of the key.
        meaning: One sentence for the user.
        default: Value that is used if the config does not have the key.
        default_by_iter: Another default under a runner that counts iterations.
        required: Whether a config must have the key to be trained.
    """

    name: str
    meaning: str
    default: Any = None
    default_by_iter: Any = None
    required: bool = False


@dataclass(frozen=True)
class HookKey(Key):
    """A top-level key that describes hooks.

    Attributes:
        priority: Of its hooks, unless their config has a ``priority``; None: that of their class.
        default_type: Hook that is built if the config has no ``type``.
        policy_suffix: End of the hook's name, which ``policy`` begins, as in ``StepLrUpdaterHook``.
        list_key: Key of the list of hook configs, where the value has other settings as well.
        follows_runner: Whether its hooks count epochs or iterations as the runner does, unless
            their config has a ``by_epoch``.
        needs_data: Whether its hook needs a data loader and so is not built from the config alone.
    """

    priority: str | None = None
    default_type: str | None = None
    policy_suffix: str | None = None
    list_key: str | None = None
    follows_runner: bool = False
    needs_data: bool = False


_TABLE = (
    Key("model", "The model, from the MODELS registry.", required=True),
    Key("data", "The datasets and the settings of their loaders.", required=True),
    Key("optimizer", "The optimizer, or several by the name of a submodule.", required=True),
    Key("runner", "The runner, with the length of the run.", required=True),
    # Hooks are registered in this order: those of equal priority run in it.
    HookKey("lr_config", "Schedule of the learning rate.",
            priority="VERY_HIGH", policy_suffix="LrUpdaterHook", follows_runner=True),
    HookKey("momentum_config", "Schedule of the momentum.",
            priority="HIGH", policy_suffix="MomentumUpdaterHook", follows_runner=True),
    HookKey("optimizer_config", "Settings of the optimizer step: clipping, accumulation and precision.",
            default={}, priority="ABOVE_NORMAL", default_type="OptimizerHook"),
    HookKey("checkpoint_config", "When checkpoints are saved, and how many are kept.",
            default={"interval": 1}, default_by_iter={"interval": 1000},
            priority="NORMAL", default_type="CheckpointHook", follows_runner=True),
    HookKey("timer_config", "The hook that measures the time of iterations.",
            default={"type": "IterTimerHook"}, priority="LOW", default_type="IterTimerHook"),
    HookKey("log_config", "When the log is written, and by which hooks.",
            default={}, priority="VERY_LOW", default_type="TextLoggerHook", list_key="hooks", follows_runner=True),
    HookKey("custom_hooks", "Additional hooks."),
    HookKey("profiler_config", "Settings of the profiler.",
            priority="NORMAL", default_type="ProfilerHook", follows_runner=True),
    HookKey("evaluation", "Evaluation on the validation dataset during training.",
            priority="LOW", default_type="EvalHook", follows_runner=True, needs_data=True),
    Key("precision", "The precision that the model computes in: 'fp32', 'bf16' or 'fp16'."),
    Key("fp16", "Another spelling of precision='fp16', which configs of the MMCV family use, with a loss scale."),
    Key("tf32", "Whether CUDA devices multiply float32 matrices in TF32; None leaves it to PyTorch."),
    Key("channels_last", "Whether images and the weights of convolutions are stored with the channels last.",
        default=False),
    Key("compile", "Whether the model is compiled, or arguments of torch.compile.", default=False),
    Key("activation_checkpointing",
        "Names of the modules whose activations are computed again in the backward pass, as patterns with *."),
    Key("auto_scale_lr", "The number of samples per step that the learning rate is meant for, to scale it."),
    Key("workflow", "The flows that run in turn, each with its number of epochs or iterations.",
        default=[("train", 1)]),
    Key("custom_imports", "Modules to import before anything is built."),
    Key("freeze", "Names of the modules of the model that are not trained, as patterns with *."),
    Key("load_from", "A checkpoint to take the initial weights from."),
    Key("resume_from", "A checkpoint to resume from, or 'auto' for the newest one in work_dir."),
    Key("work_dir", "The folder that all output is written to; by default work_dirs/<config name>."),
    Key("log_level", "The lowest level of messages in the log.", default="INFO"),
    Key("seed", "The seed of all random number generators; None chooses one.", default=None),
    Key("deterministic", "Whether torch uses deterministic algorithms.", default=False),
    Key("dry_run", "Whether one batch of each dataset is tried before the run.", default=True),
    Key("parallel", "How several processes train one model; by default dict(type='DDP')."),
    Key("find_unused_parameters", "Whether some parameters get no gradient in some iterations, as MMCV's configs say it.",
        default=False),
    Key("total_epochs", "The length of the run in epochs, as older configs of MMCV's family have it instead of runner."),
    Key("total_iters", "The length of the run in iterations, likewise."),
    Key("auto_resume", "Another spelling of resume_from='auto'.", default=False),
    Key("cudnn_benchmark", "Whether cuDNN tries its algorithms for each new size of a batch.", default=False),
    Key("opencv_num_threads", "Threads of OpenCV in the process of the run; its workers have none."),
    Key("mp_start_method", "How worker processes start: 'fork', 'spawn' or 'forkserver'; by default as PyTorch does."),
    Key("gpu_ids", "Accepted, without an effect: device and the launcher say which GPUs are used."),
    Key("device_ids", "Accepted, without an effect: device and the launcher say which GPUs are used."),
    Key("dist_params", "Settings of the process group: dict(backend=..., timeout=<seconds>).", default={}),
    Key("device", "The device to train on; None or 'auto' is CUDA if it is available, else the CPU."),
)  # fmt: skip

KEYS = {key.name: key for key in _TABLE}
HOOK_KEYS = {key.name: key for key in _TABLE if isinstance(key, HookKey)}


def setting(cfg: Any, name: str, by_epoch: bool = True) -> Any:
    """Return the value of a top-level key, or its default.

    Args:
        cfg: A Config, or its dict.
        name: One of ``KEYS``.
        by_epoch: Whether the runner counts epochs.
    """
    if name in cfg:
        return cfg[name]
    key = KEYS[name]
    return deepcopy(key.default if by_epoch or key.default_by_iter is None else key.default_by_iter)
