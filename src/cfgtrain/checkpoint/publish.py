"""Write checkpoints for others: the weights alone, means of several, and other formats."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cfgtrain import __version__
from cfgtrain.arguments import check_integer
from cfgtrain.checkpoint.averages import select_weights
from cfgtrain.checkpoint.load import read_checkpoint
from cfgtrain.checkpoint.safetensors_file import is_safetensors, write_safetensors
from cfgtrain.checkpoint.save import write_checkpoint
from cfgtrain.checkpoint.sharded import is_sharded
from cfgtrain.checkpoint.state_dict import weights_of
from cfgtrain.errors import ArgumentError, CheckpointError

__all__ = ["Written", "average_checkpoints", "convert_checkpoint", "strip_checkpoint"]

# What the meta says of the model; the rest is of the run and the machine, such as paths.
_PUBLIC = (
    "CLASSES", "PALETTE", "epoch", "iter", "time", "seed", "exp_name", "config", "cfgtrain_version",
    "mmcv_version", "averaged_from",
)  # fmt: skip
_HASH_LENGTH = 8  # as in the names of published weights


class Written(NamedTuple):
    """A checkpoint that was written.

    Attributes:
        path: Its path.
        size: Bytes.
        tensors: Number of tensors.
        left_out: What the source has and it does not.
    """

    path: Path
    size: int
    tensors: int
    left_out: list[str]


def strip_checkpoint(
    source: str,
    output: Path,
    *,
    averages: bool | None = None,
    renames: Sequence[tuple[str, str]] = (),
    with_hash: bool = False,
    overwrite: bool = False,
) -> Written:
    """Write the weights of a checkpoint, and what its meta says of the model, to a smaller file.

    Args:
        source: Path or URI of the checkpoint.
        output: The file to write.
        averages: Whether to take the averages of ``EMAHook`` (True) or the weights themselves (False); None takes
            what is under the names of the weights. The other version is left out.
        renames: Pairs of prefixes of names: the old one, and the one that replaces it.
        with_hash: Whether the name of the file ends in the beginning of its SHA-256, as those of published weights.
        overwrite: Whether to replace an existing file.

    Raises:
        ArgumentError: The output exists or is the source, or a prefix begins no name.
        CheckpointError: The source cannot be read, or the output cannot be written.
    """
    check_output(output, [source], overwrite or with_hash)
    checkpoint = read_checkpoint(source)
    all_weights = weights_of(checkpoint, source)
    weights = _renamed(select_weights(checkpoint, all_weights, averages, source), renames)
    meta = _meta(checkpoint)
    kept = {key: value for key, value in meta.items() if key in _PUBLIC}
    left_out = _others(checkpoint, all_weights)
    if len(weights) < len(all_weights):
        left_out.append(f"{len(all_weights) - len(weights)} tensors of EMAHook")
    left_out += [f"meta.{key}" for key in meta if key not in kept]
    kept.setdefault("cfgtrain_version", __version__)
    return _write({"meta": kept, "state_dict": weights}, output, left_out, with_hash, overwrite)


def average_checkpoints(sources: Sequence[str], output: Path, *, overwrite: bool = False) -> Written:
    """Write the mean of the weights of several checkpoints.

    Integers, such as the counters of batch normalization, and the meta are taken from the last one. Means are computed
    in float64 and have the dtype of the last checkpoint.

    Args:
        sources: Paths or URIs of at least two checkpoints, of the same names and shapes.
        output: The file to write.
        overwrite: Whether to replace an existing file.

    Raises:
        ArgumentError: There are fewer than two sources, or the output exists or is one of them.
        CheckpointError: A source cannot be read, they do not match, or the output cannot be written.
    """
    check_integer("the number of checkpoints", len(sources), 2)
    check_output(output, sources, overwrite)
    sums: dict[str, Tensor] = {}
    shapes: dict[str, Any] = {}
    for source in sources:
        checkpoint = read_checkpoint(source)
        weights = select_weights(checkpoint, weights_of(checkpoint, source), None, source)
        found = {
            name: tuple(each.shape) if isinstance(each, Tensor) else None for name, each in weights.items()
        }
        _check_same(sources[0], shapes or found, source, found)
        shapes = found
        for name, value in weights.items():
            if _has_mean(value):
                wide = value.to(torch.complex128 if value.is_complex() else torch.float64)
                sums[name] = sums[name] + wide if name in sums else wide
    means = OrderedDict(
        (name, (sums[name] / len(sources)).to(value.dtype) if _has_mean(value) else value)
        for name, value in weights.items()
    )
    means._metadata = getattr(weights, "_metadata", OrderedDict())  # type: ignore[attr-defined]  # as torch does
    meta = {key: value for key, value in _meta(checkpoint).items() if key in _PUBLIC}
    meta.setdefault("cfgtrain_version", __version__)
    meta["averaged_from"] = [Path(source).name for source in sources]
    return _write({"meta": meta, "state_dict": means}, output, [], False, overwrite)


def convert_checkpoint(source: str, output: Path, *, overwrite: bool = False) -> Written:
    """Write the weights of a checkpoint in the format that the suffix of the output says.

    A checkpoint in shards is written to a file of ``torch.save`` with everything that it contains, so that a run
    can resume from it.

    Args:
        source: Path or URI of the checkpoint.
        output: The file to write: ``.safetensors``, or ``.pth`` or ``.pt`` for that of ``torch.save``.
        overwrite: Whether to replace an existing file.

    Raises:
        ArgumentError: The suffix is another one, or the output exists or is the source.
        CheckpointError: The source cannot be read, or the output cannot be written.
        MissingLibraryError: safetensors is needed and not installed.
    """
    if not is_safetensors(output) and output.suffix not in (".pth", ".pt"):
        raise ArgumentError(
            f"The output must end in .safetensors, .pth or .pt, not {output.suffix!r}.", argument="output"
        )
    check_output(output, [source], overwrite)
    checkpoint = read_checkpoint(source)
    weights = weights_of(checkpoint, source)
    if not is_safetensors(output) and is_sharded(Path(source).expanduser()):
        return _write(checkpoint, output, [], False, overwrite)
    left_out = _others(checkpoint, weights)
    return _write(
        {"meta": dict(_meta(checkpoint)), "state_dict": weights}, output, left_out, False, overwrite
    )


def check_output(output: Path, sources: Sequence[str], overwrite: bool) -> None:
    """Raise if an output exists that must not be replaced, or cannot be a file.

    Raises:
        ArgumentError: The output exists, is a folder, or is one of the sources.
    """
    if output.is_dir():
        raise ArgumentError(f"The output {output} is a folder.", argument="output")
    if not os.path.lexists(output):
        return
    if any(
        Path(source).expanduser().exists() and output.samefile(Path(source).expanduser())
        for source in sources
    ):
        raise ArgumentError(f"The output {output} is an input, which is never replaced.", argument="output")
    if not overwrite:
        raise ArgumentError(
            f"The output {output} exists already.", hint="Use --overwrite to replace it.", argument="output"
        )


def _write(
    checkpoint: dict[str, Any], output: Path, left_out: list[str], with_hash: bool, overwrite: bool
) -> Written:
    weights = checkpoint["state_dict"]
    target = output.with_name(f".{output.stem[:50]}.{os.urandom(4).hex()}.tmp") if with_hash else output
    if is_safetensors(output):
        target = target.with_name(target.name + output.suffix) if with_hash else output
        left_out = [
            *left_out,
            *(f"meta.{key}" for key in write_safetensors(weights, checkpoint["meta"], target)),
        ]
    else:
        write_checkpoint(checkpoint, target)
    if with_hash:
        try:
            with target.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()[:_HASH_LENGTH]
            output = output.with_name(f"{output.stem}-{digest}{output.suffix}")
            check_output(output, [], overwrite)
            target.replace(output)
        finally:
            with suppress(FileNotFoundError):
                target.unlink()
    tensors = sum(isinstance(each, Tensor) for each in weights.values())
    return Written(output, output.stat().st_size, tensors, left_out)


def _renamed(weights: OrderedDict[str, Any], renames: Sequence[tuple[str, str]]) -> OrderedDict[str, Any]:
    for old, new in renames:
        if not any(name.startswith(old) for name in weights):
            first = next(iter(weights), "")
            raise ArgumentError(
                f"No name begins with {old!r}; the first one is {first!r}.", argument="renames"
            )
        versions = getattr(weights, "_metadata", {})
        names = [new + name[len(old) :] if name.startswith(old) else name for name in weights]
        if len(set(names)) < len(names):
            raise ArgumentError(f"With {new!r} in place of {old!r}, two weights would have one name.")
        weights = OrderedDict(zip(names, weights.values(), strict=True))
        weights._metadata = OrderedDict(  # type: ignore[attr-defined]  # as torch does
            ((new + f"{name}."[len(old) :]).rstrip(".") if f"{name}.".startswith(old) else name, each)
            for name, each in versions.items()
        )
    return weights


def _others(checkpoint: Mapping[str, Any], weights: Mapping[str, Any]) -> list[str]:
    """Return the keys of a checkpoint whose values are neither its weights nor its meta."""
    if weights is checkpoint:
        return []
    return [str(key) for key, value in checkpoint.items() if key != "meta" and value is not weights]


def _meta(checkpoint: Mapping[str, Any]) -> Mapping[str, Any]:
    meta = checkpoint.get("meta")
    return meta if isinstance(meta, Mapping) else {}


def _has_mean(value: Any) -> bool:
    return isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex())


def _check_same(first: str, shapes: dict[str, Any], other: str, found: dict[str, Any]) -> None:
    if shapes == found:
        return
    name = next(
        name for name in [*shapes, *found] if shapes.get(name, "not there") != found.get(name, "not there")
    )
    raise CheckpointError(
        f"{first} and {other} cannot be averaged, because they are not of the same model: {name} is "
        f"{shapes.get(name, 'not there')} in one and {found.get(name, 'not there')} in the other."
    )
