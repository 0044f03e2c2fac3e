"""The trained model of a config and a checkpoint, which testing and prediction share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from cfgtrain.checkpoint.averages import select_weights
from cfgtrain.checkpoint.load import load_weights_of, read_checkpoint
from cfgtrain.checkpoint.state_dict import weights_of
from cfgtrain.config.config import Config
from cfgtrain.config.dict import disable_keys
from cfgtrain.experiment.acceleration import apply_precision
from cfgtrain.experiment.work_dir import config_file
from cfgtrain.fileio.uri import display_name
from cfgtrain.parallel.device import pick_device
from cfgtrain.parallel.wrappers import OnDevice
from cfgtrain.registries import MODELS
from cfgtrain.registry.projects import registry_for

__all__ = ["TrainedModel", "load_trained_model", "read_config"]


class TrainedModel(NamedTuple):
    """A model with its trained weights.

    Attributes:
        model: In eval mode, on its device; it moves its inputs there itself.
        cfg: Its config.
        meta: ``meta`` of the checkpoint; empty if it has none, like a file of ``torch.save(model.state_dict())``.
        metainfo: What the model was trained on knew, such as ``{"classes": ["cat", "dog"]}``; see ``metainfo_of``.
            Empty if the checkpoint does not contain it.
        checkpoint: How messages name the checkpoint.
    """

    model: nn.Module
    cfg: Config
    meta: dict[str, Any]
    metainfo: dict[str, Any]
    checkpoint: str


def read_config(config: str | Path | Config) -> Config:
    """Return a config, which may be given by the path of its file, or of the work directory of a run.

    Raises:
        ConfigError: The file does not exist or is not valid, or the folder does not contain one merged config.
    """
    return config if isinstance(config, Config) else Config.fromfile(config_file(config))


def load_trained_model(
    cfg: Config, checkpoint: str | Path, device: str | None = None, *, trusted: bool = False
) -> TrainedModel:
    """Build the model of a config, and load its weights from a checkpoint.

    Neither datasets nor files of ``init_cfg``, ``pretrained`` and ``load_from`` are used. Averaged weights of
    ``EMAHook`` are used as saved; the copies ``ema_*`` of the others are left out.

    Args:
        cfg: A config with a model. Check it first, with ``check_model``.
        checkpoint: Path or URI of the checkpoint, see ``cfgtrain.checkpoint.schemes``.
        device: Name of the device; None uses ``device`` of the config, and without it CUDA if it is available,
            else the CPU.
        trusted: Whether the checkpoint may run code while it is loaded; see ``load_checkpoint``.

    Raises:
        ArgumentError: The device is not valid or not available.
        CheckpointError: The checkpoint cannot be read, or its weights do not match the model exactly. The message
            is then the report of the differences.
    """
    chosen = pick_device(device or cfg.get("device"))
    content = read_checkpoint(checkpoint, trusted=trusted)
    weights = weights_of(content, checkpoint)
    used = select_weights(content, weights, None, display_name(checkpoint))
    model: nn.Module = registry_for(cfg.model, MODELS).build(disable_keys(cfg.model, "pretrained"))
    load_weights_of(model, used, checkpoint, strict=True, logger="silent")
    apply_precision(cfg, model, chosen)
    model = (model if chosen.type == "cpu" else OnDevice(model, chosen)).eval()
    meta = content.get("meta")
    meta = dict(meta) if isinstance(meta, Mapping) else {}
    return TrainedModel(model, cfg, meta, _metainfo(meta), display_name(checkpoint))


def _metainfo(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metainfo of a checkpoint, which of one of MMCV is only the names of the classes."""
    metainfo = meta.get("metainfo")
    if isinstance(metainfo, Mapping):
        return dict(metainfo)
    classes = meta.get("CLASSES")
    return {"classes": [str(name) for name in classes]} if isinstance(classes, list | tuple) else {}
