"""What is in a checkpoint, and whether it is sound, without running code in it."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import is_zipfile

from torch import Tensor

from cfgtrain.checkpoint.averages import average_names
from cfgtrain.checkpoint.read import read_file, read_lazily, verify_checkpoint
from cfgtrain.checkpoint.safetensors_file import is_safetensors
from cfgtrain.checkpoint.sharded import checkpoints_in, has_shards
from cfgtrain.checkpoint.state_dict import weights_of
from cfgtrain.errors import CheckpointError
from cfgtrain.suggestions import printable

__all__ = ["Description", "Part", "State", "checkpoint_files", "describe", "examine"]

_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")  # of normalization layers
_BEST = re.compile(r"best_(.+)_(?:epoch|iter)_\d+(?:\.pth)?")
_SUFFIXES = (".pth", ".pt", ".safetensors")


class State(StrEnum):
    """Whether a checkpoint can be used.

    Attributes:
        SOUND: It is complete and can be loaded.
        DAMAGED: Its content is not what was written, or it is not a checkpoint.
        UNTRUSTED: It contains more than weights and plain data, so that it could run code and is only loaded if it
            is trusted.
    """

    SOUND = "sound"
    DAMAGED = "damaged"
    UNTRUSTED = "not plain data"


class Part(NamedTuple):
    """The weights of one part of a model.

    Attributes:
        name: Name of the part.
        tensors: Number of tensors.
        parameters: Number of values in its parameters.
        buffers: Number of values in its buffers, as far as their names say that they are buffers.
        size: Bytes.
        dtypes: The names of the dtypes.
    """

    name: str
    tensors: int
    parameters: int
    buffers: int
    size: int
    dtypes: list[str]


class Description(NamedTuple):
    """What is in a checkpoint. A value that the file does not have is None.

    Attributes:
        file: How it was named.
        size: Bytes.
        modified: When the file was last changed, in seconds since 1970.
        format: ``"torch"``, ``"torch (old)"``, ``"safetensors"``, ``"shards"`` or ``"unknown"``.
        state: Whether it can be used.
        problem: Why it cannot, or an empty str.
        has_digest: Whether the file has a digest of cfgtrain.
        writer: What wrote it.
        epoch: Complete epochs.
        iteration: Complete iterations.
        time: When it was saved, as text.
        experiment: Name of the experiment, which is that of the config.
        seed: Seed of the run.
        score_name: Name of the score that selects the best checkpoint.
        best_score: The best score so far.
        best_checkpoint: Name of the checkpoint with that score.
        classes: Number of classes that the model knows by name.
        config: Text of the config.
        resumes: How a run resumes from it: ``"exactly"``, ``"by epoch and iteration"`` or ``"no"``.
        optimizer: Settings of the optimizer's groups, in short.
        averages: Number of weights of which ``EMAHook`` has saved a second version.
        keys: The top-level keys.
        parts: The weights by module.
    """

    file: str
    size: int
    modified: float
    format: str
    state: State
    problem: str = ""
    has_digest: bool = False
    writer: str | None = None
    epoch: int | None = None
    iteration: int | None = None
    time: str | None = None
    experiment: str | None = None
    seed: int | None = None
    score_name: str | None = None
    best_score: float | None = None
    best_checkpoint: str | None = None
    classes: int | None = None
    config: str | None = None
    resumes: str = "no"
    optimizer: str | None = None
    averages: int = 0
    keys: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()


def checkpoint_files(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, without links to others, sorted by name."""
    files = (path for path in folder.iterdir() if path.suffix in _SUFFIXES and path.is_file())
    found = {*(path for path in files if not path.is_symlink()), *checkpoints_in(folder)}
    return sorted(path for path in found if path.exists())


def examine(path: Path, name: str | Path | None = None) -> tuple[State, str, bool, dict[str, Any]]:
    """Read a whole checkpoint and return its state.

    Args:
        path: Path of the file.
        name: How messages name it.

    Returns:
        The state, the problem as text, whether there is a digest, and the content, as far as it can be read. Weights
        are not read into memory if the format allows it.
    """
    name = name or path
    has_digest = False
    try:
        if is_safetensors(path):
            return State.SOUND, "", False, read_file(path, name)
        has_digest = verify_checkpoint(path, name)
        return State.SOUND, "", has_digest, read_lazily(path)
    except CheckpointError as error:
        state = State.UNTRUSTED if _could_run_code(path, error) else State.DAMAGED
        return state, _reason(error, name), has_digest, _readable(path) if state is State.DAMAGED else {}


def describe(path: Path, name: str | Path | None = None, depth: int | None = None) -> Description:
    """Return what is in a checkpoint, of which the whole file is verified.

    Args:
        path: Path of the file.
        name: How it is named in messages and in the result.
        depth: How many levels of modules are distinguished; by default as many as it takes to distinguish any.
    """
    state, problem, has_digest, content = examine(path, name)
    status = path.stat()
    found = Description(
        str(name or path), _size(path), status.st_mtime, _format(path), state, problem, has_digest
    )
    if not content:
        return found
    found = found._replace(**_facts(content, path, name or path, depth))
    return found._replace(writer="cfgtrain") if has_digest and found.writer == "torch.save" else found


def _facts(content: dict[str, Any], path: Path, name: str | Path, depth: int | None) -> dict[str, Any]:
    """Return the fields of a description that the content of a file decides."""
    meta = content.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}
    messages = meta.get("hook_msgs")
    messages = messages if isinstance(messages, Mapping) else {}
    best = messages.get("best_ckpt")
    best = Path(best).name if isinstance(best, str) else None
    score_name = _BEST.fullmatch(best or "")
    classes, config = meta.get("CLASSES"), meta.get("config")
    try:
        weights = weights_of(content, name)
    except CheckpointError:
        weights = {}
    has_state = "optimizer" in content and _integer(meta.get("epoch")) is not None
    return {
        "writer": _writer(content, meta, is_safetensors(path)),
        "epoch": _integer(meta.get("epoch")),
        "iteration": _integer(meta.get("iter")),
        "time": _text(meta.get("time")),
        "experiment": _text(meta.get("exp_name")),
        "seed": _integer(meta.get("seed")),
        "score_name": score_name[1] if score_name else None,
        "best_score": _number(messages.get("best_score")),
        "best_checkpoint": best,
        "classes": len(classes) if isinstance(classes, list | tuple) else None,
        "config": config if isinstance(config, str) else None,
        "resumes": "exactly" if "resume" in content else "by epoch and iteration" if has_state else "no",
        "optimizer": _optimizer(content.get("optimizer")),
        "averages": len(average_names(weights)),
        "keys": tuple(str(key) for key in content) if weights is not content else (),
        "parts": tuple(_parts(weights, depth)),
    }


def _parts(weights: Mapping[str, Any], depth: int | None) -> Iterable[Part]:
    if depth is None:
        levels = max((name.count(".") for name in weights), default=0)
        found = (list(_parts(weights, each)) for each in range(1, levels + 1))
        return next((parts for parts in found if len(parts) > 1), list(_parts(weights, 1)))
    averages = set(average_names(weights).values())
    parts: dict[str, Part] = {}
    for name, value in weights.items():
        if not isinstance(value, Tensor):
            continue
        modules = name.split(".")[:-1]
        key = "averages (ema_*)" if name in averages else ".".join(modules[:depth]) or "(the model itself)"
        part = parts.get(key, Part(key, 0, 0, 0, 0, []))
        is_buffer = name in averages or name.rpartition(".")[2] in _BUFFERS
        dtype = str(value.dtype).removeprefix("torch.")
        parts[key] = Part(
            key,
            part.tensors + 1,
            part.parameters + (0 if is_buffer else value.numel()),
            part.buffers + (value.numel() if is_buffer else 0),
            part.size + value.numel() * value.element_size(),
            part.dtypes if dtype in part.dtypes else [*part.dtypes, dtype],
        )
    return parts.values()


def _writer(content: Mapping[str, Any], meta: Mapping[str, Any], is_safetensors: bool) -> str | None:
    version = _text(meta.get("cfgtrain_version"))
    if version is not None or "resume" in content or "run_id" in meta:
        return f"cfgtrain {version}" if version else "cfgtrain"
    other = _text(meta.get("mmcv_version"))
    return f"MMCV {other}" if other else None if is_safetensors else "torch.save"


def _size(path: Path) -> int:
    """Return the bytes of a file, or of the files in a folder."""
    return sum(each.stat().st_size for each in (path.iterdir() if path.is_dir() else [path]))


def _format(path: Path) -> str:
    if has_shards(path):
        return "shards"
    if is_safetensors(path):
        return "safetensors"
    with path.open("rb") as file:
        begin = file.read(2)
    return "torch" if begin == b"PK" else "torch (old)" if begin.startswith(b"\x80") else "unknown"


def _optimizer(state: Any) -> str | None:
    """Return the settings of an optimizer in short; None if there is none."""
    if not isinstance(state, Mapping):
        return None
    groups = state.get("param_groups")
    if not isinstance(groups, list):  # several optimizers by name
        return f"{len(state)} optimizers: {', '.join(map(str, state))}"
    settings = {
        name: list(dict.fromkeys(_short(each.get(name)) for each in groups if isinstance(each, Mapping)))
        for name in ("lr", "momentum", "betas", "weight_decay")
        if any(isinstance(each, Mapping) and name in each for each in groups)
    }
    texts = [f"{name} {', '.join(values[:4])}" for name, values in settings.items()]
    return ", ".join([f"{len(groups)} group{'s' * (len(groups) != 1)}", *texts])


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:40]


def _could_run_code(path: Path, error: CheckpointError) -> bool:
    """Return whether a file was refused for what it contains, rather than for damage."""
    refused = isinstance(error.__cause__, pickle.UnpicklingError)
    return refused and (
        is_zipfile(path) or re.search("global|unsupported", str(error.__cause__), re.I) is not None
    )


def _readable(path: Path) -> dict[str, Any]:
    """Return the content of a damaged file if it can be read, for what it says about itself."""
    try:
        return read_lazily(path)
    except (CheckpointError, OSError):
        return {}


def _reason(error: CheckpointError, name: str | Path) -> str:
    """Return the message of an error without the name of the file, the state and advice for training."""
    text = error.message.partition(" If you trust")[0].rstrip(".")
    text = text.replace(f"The checkpoint {printable(str(name))}/", "its file ", 1)  # of a folder
    for prefix in (f"The checkpoint {printable(str(name))} ", "it ", "is damaged: ", "cannot be read: "):
        text = text.removeprefix(prefix)
    return text


def _integer(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    return int(value) if isinstance(value, Integral) else None  # of NumPy too, as MMCV's projects save them


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _text(value: Any) -> str | None:
    return value[:200] if isinstance(value, str) else None
