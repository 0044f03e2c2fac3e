"""What a config says about precision and speed, applied to the model of a run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from cfgtrain.amp import as_half_dtype, set_inference_dtype
from cfgtrain.cnn.tools.activation_checkpointing import checkpoint_activations
from cfgtrain.cnn.tools.compiling import DEFAULT_BACKEND, compile_model, compile_settings, try_compiler
from cfgtrain.cnn.tools.memory_format import use_channels_last
from cfgtrain.config.config import Config
from cfgtrain.data.loader import dataset_of
from cfgtrain.errors import ArgumentError, ConfigValueError
from cfgtrain.keys import setting
from cfgtrain.origin import location
from cfgtrain.parallel.device import pick_device
from cfgtrain.parallel.wrappers import unwrap_model
from cfgtrain.runner.hook_configs import mixed_precision
from cfgtrain.utils.logging import LINES_ONLY

__all__ = ["acceleration_texts", "apply_activation_checkpointing", "apply_compile", "apply_precision"]

logger = logging.getLogger(__name__)


def apply_precision(cfg: Config, model: nn.Module, device: torch.device) -> None:
    """Set the precision in which a model predicts, that of matrix products, and its memory format, in place.

    The training steps get their precision from the optimizer hook.

    Args:
        cfg: The config.
        model: Its model, without wrappers.
        device: The device that it runs on.
    """
    half = mixed_precision(cfg._cfg_dict)
    if half is not None:
        set_inference_dtype(model, as_half_dtype(half))
    tf32 = setting(cfg, "tf32")
    if tf32 is not None and device.type == "cuda":
        # PyTorch also has `fp32_precision` from 2.9 on, and raises if both are used in one process.
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
        torch.backends.cudnn.allow_tf32 = tf32
    elif tf32:
        logger.warning("tf32=True has no effect on the device %s: only CUDA devices have TF32.", device)
    if setting(cfg, "channels_last"):
        use_channels_last(model)


def apply_activation_checkpointing(cfg: Config, model: nn.Module) -> None:
    """Let the modules that the config names compute their activations again in the backward pass, in place.

    Raises:
        ConfigValueError: A pattern matches no module.
    """
    patterns = setting(cfg, "activation_checkpointing")
    if not patterns:
        return
    try:
        names = checkpoint_activations(model, patterns)
    except ArgumentError as error:
        place = location(cfg, "activation_checkpointing")
        raise ConfigValueError(error.message, hint=error.hint, **place) from error
    logger.info(
        "Activation checkpointing: %d modules: %s%s", len(names), ", ".join(names[:10]),
        ", ..." if len(names) > 10 else "", extra=LINES_ONLY,
    )  # fmt: skip


def apply_compile(cfg: Config, model: nn.Module, train_loader: Any = None) -> None:
    """Compile the model of a run in place, if the config says so; it is compiled when it is first called.

    Args:
        cfg: Config of the run, with its device.
        model: Its model, which may be wrapped.
        train_loader: The loader of the training dataset; it is logged if its last batch has another size.

    Raises:
        ConfigValueError: Nothing can be compiled on this machine.
    """
    settings = compile_settings(setting(cfg, "compile"))
    if settings is None:
        return
    try:
        try_compiler(settings, pick_device(cfg.device))
    except ArgumentError as error:
        raise ConfigValueError(error.message, hint=error.hint, **location(cfg, "compile")) from error
    torch.compiler.reset()  # what an earlier run in this process has compiled counts to the limit of recompilations
    compile_model(unwrap_model(model), settings)
    last = _last_batch(train_loader)
    if last is not None and not settings["dynamic"]:
        logger.info(
            "The last batch of an epoch has %d samples instead of %d: the model is compiled for both sizes. "
            "drop_last=True in data leaves it out.", *last, extra=LINES_ONLY,
        )  # fmt: skip


def _last_batch(loader: Any) -> tuple[int, int] | None:
    """Return the size of the last batch of an epoch and that of the others, if it is known and smaller."""
    sampler = getattr(loader, "batch_sampler", None)
    size = getattr(sampler, "batch_size", None)
    dataset = None if loader is None else dataset_of(loader)
    samples = getattr(sampler, "sampler", None)  # those of this process, of several
    samples = samples if hasattr(samples, "__len__") else dataset
    if not isinstance(size, int) or getattr(sampler, "drop_last", False) or not hasattr(samples, "__len__"):
        return None
    rest = len(samples) % size  # type: ignore[arg-type]  # it has a length
    return (rest, size) if rest else None


def acceleration_texts(cfg: Config, device: torch.device) -> Iterator[str]:
    """Yield the settings that make a run faster or save memory, each in a few words."""
    if setting(cfg, "tf32") and device.type == "cuda":
        yield "TF32"
    if setting(cfg, "channels_last"):
        yield "channels last"
    settings = compile_settings(setting(cfg, "compile"))
    if settings is not None:
        mode = settings.get("mode")
        yield f"compiled by {settings.get('backend', DEFAULT_BACKEND)}" + (f" in mode {mode}" if mode else "")
    if setting(cfg, "activation_checkpointing"):
        yield "activation checkpointing"
