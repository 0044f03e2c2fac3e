"""Addresses of published weights, from installed packages and from tables on this machine.

cfgtrain comes with no addresses. Those of torchvision are read from an installed torchvision, and
those of OpenMMLab from the JSON tables that MMCV 1.x reads from its cache folder.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from cfgtrain.errors import CheckpointError, CheckpointNotFoundError, MissingLibraryError

__all__ = [
    "DEFAULT_CACHE_DIR",
    "ENV_MMCV_HOME",
    "ENV_XDG_CACHE_HOME",
    "get_deprecated_model_names",
    "get_external_models",
    "get_mmcls_models",
    "get_torchvision_models",
]

ENV_MMCV_HOME = "MMCV_HOME"
ENV_XDG_CACHE_HOME = "XDG_CACHE_HOME"
DEFAULT_CACHE_DIR = "~/.cache"


def mmcv_home() -> Path:
    """Return the folder of MMCV's tables: ``$MMCV_HOME``, or ``mmcv`` in ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    cache = os.environ.get(ENV_XDG_CACHE_HOME) or DEFAULT_CACHE_DIR
    return Path(os.environ.get(ENV_MMCV_HOME) or Path(cache) / "mmcv").expanduser()


def get_external_models() -> dict[str, str]:
    """Return ``open_mmlab.json``: the URLs of models by name, or their paths relative to the table.

    Raises:
        CheckpointNotFoundError: There is no such file.
        CheckpointError: It is not a table.
    """
    return _table("open_mmlab.json", "open-mmlab://")


def get_mmcls_models() -> dict[str, str]:
    """Return ``mmcls.json``: the URLs of classification models by name.

    Raises:
        CheckpointNotFoundError: There is no such file.
        CheckpointError: It is not a table.
    """
    return _table("mmcls.json", "mmcls://")


def get_deprecated_model_names() -> dict[str, str]:
    """Return ``deprecated.json``: the current names of renamed models by their old names; empty without the file.

    Raises:
        CheckpointError: It is not a table.
    """
    return _table("deprecated.json") if (mmcv_home() / "deprecated.json").is_file() else {}


def get_torchvision_models() -> dict[str, str]:
    """Return the URLs of the weights that the installed torchvision knows.

    The names are those of MMCV: ``resnet50.imagenet1k_v2`` for ``ResNet50_Weights.IMAGENET1K_V2``,
    ``resnet50.default`` for the weights that torchvision recommends now, and ``resnet50`` for the
    first ones that it published.

    Raises:
        MissingLibraryError: torchvision is not installed, or cannot be imported.
    """
    try:
        from torchvision import models
    except ImportError as error:
        raise MissingLibraryError(
            "torchvision:// takes the addresses of weights from torchvision, which is not installed: "
            "pip install torchvision."
        ) from error
    except Exception as error:  # it checks that it fits torch, in several ways
        raise MissingLibraryError(
            f"torchvision:// takes the addresses of weights from torchvision, which cannot be imported: {error}. "
            "Install the version that belongs to the installed PyTorch."
        ) from error
    urls: dict[str, str] = {}
    for builder in models.list_models():
        weights = models.get_model_weights(builder)
        members = list(weights)
        if not members:  # a model without published weights
            continue
        name = weights.__name__.removesuffix("_Weights").lower()
        urls[name] = members[0].url
        urls[f"{name}.default"] = weights.DEFAULT.url
        urls.update({f"{name}.{each.name.lower()}": each.url for each in members})
    return urls


def _table(file: str, scheme: str = "") -> dict[str, str]:
    path = mmcv_home() / file
    try:
        table = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise CheckpointNotFoundError(
            f"{scheme} needs the file {path}, a JSON table of names and addresses, which is not there. MMCV 1.x "
            f"comes with one, mmcv/model_zoo/{file}: copy it there, or set {ENV_MMCV_HOME} to its folder."
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"The table {path} cannot be read: {error}") from error
    if not isinstance(table, dict) or not all(isinstance(each, str) for each in table.values()):
        raise CheckpointError(f"The table {path} must be a JSON object that maps names to addresses.")
    return table
