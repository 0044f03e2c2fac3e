"""Freezing parts of a model: parameters that are not trained, and normalizations that stay in eval mode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import NamedTuple

from torch import nn

from cfgtrain.cnn.bricks.norm import is_norm
from cfgtrain.cnn.tools.measurement import numel
from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.suggestions import close_names, one_of

__all__ = ["FrozenParts", "freeze"]


class FrozenParts(NamedTuple):
    """What is frozen in a model.

    Attributes:
        modules: Number of modules with parameters of their own that are frozen.
        params: Number of frozen elements of parameters.
        total: Number of elements of all parameters.
    """

    modules: int
    params: int
    total: int

    def __str__(self) -> str:
        return f"{self.modules:,} modules, {self.params:,} of {self.total:,} parameters"


def freeze(model: nn.Module, patterns: Sequence[str]) -> FrozenParts:
    """Freeze the parts of a model that match one of the patterns, in place.

    Their parameters get ``requires_grad=False``. Their normalization layers are set to eval mode, so that running
    statistics are not updated, and stay in eval mode after ``model.train()``. Call it before the optimizer and a
    distributed wrapper are built.

    Args:
        model: The model.
        patterns: Names of modules or parameters in the model, such as ``"backbone.conv1"``; in each, ``*`` stands
            for any characters, dots too, ``?`` for one character, and ``[ab]`` for one of these. With a module,
            all modules inside it are frozen.

    Returns:
        How much is frozen.

    Raises:
        ArgumentTypeError: ``patterns`` is not a list of str.
        ArgumentError: A pattern matches nothing, or nothing is left to train.
    """
    if not isinstance(patterns, list | tuple) or not all(isinstance(each, str) for each in patterns):
        raise ArgumentTypeError(f"patterns must be a list of names, not {patterns!r}.", argument="patterns")
    modules = dict(model.named_modules(remove_duplicate=False))
    parameters = dict(model.named_parameters(remove_duplicate=False))
    matched: list[nn.Module] = []
    for pattern in patterns:
        found = [module for name, module in modules.items() if name and fnmatchcase(name, pattern)]
        own = [parameter for name, parameter in parameters.items() if fnmatchcase(name, pattern)]
        if not found and not own:
            raise ArgumentError(
                f"{pattern!r} matches no module or parameter of {type(model).__name__}.",
                hint=similar_parts(pattern, [*filter(None, modules), *parameters]),
                argument="patterns",
            )
        matched += found
        for parameter in own:
            parameter.requires_grad_(False)
    for module in matched:
        module.requires_grad_(False)
        for layer in module.modules():
            if is_norm(layer):
                layer.eval()
                # Every way to train() the model calls the method of each of its modules.
                vars(layer)["train"] = partial(_stay_in_eval_mode, layer)
    unique = {*parameters.values()}
    frozen = {each for each in unique if not each.requires_grad}
    if len(frozen) == len(unique) and patterns:
        raise ArgumentError("Every parameter is frozen: nothing is left to train.", argument="patterns")
    return FrozenParts(
        modules=sum(
            1 for module in {*modules.values()} if any(p in frozen for p in module.parameters(recurse=False))
        ),
        params=sum(map(numel, frozen)),
        total=sum(map(numel, unique)),
    )


def _stay_in_eval_mode(layer: nn.Module, mode: bool = True) -> nn.Module:
    """Replaces the method ``train`` of a frozen normalization layer."""
    return type(layer).train(layer, False)


def similar_parts(pattern: str, names: Sequence[str]) -> str:
    """Return a hint with names like a pattern, or with what is in the last module of it that exists."""
    bare = pattern.rstrip(".*")
    parent = next((each for each in _prefixes(bare) if each in names), "")
    inside = [name for name in names if name.rpartition(".")[0] == parent]
    wrong = bare.removeprefix(f"{parent}.").partition(".")[0]
    close = [name for name in names if name.endswith(f".{bare}")][:3] or [
        f"{parent}.{name}".removeprefix(".")
        for name in close_names(wrong, [each.rpartition(".")[2] for each in inside])
    ]
    if close:
        return f"Did you mean {one_of(close)}?"
    of = f"{parent!r} contains" if parent else "The model contains"
    return f"{of} {', '.join(inside[:10])}{', ...' * (len(inside) > 10)}."


def _prefixes(name: str) -> Iterator[str]:
    while "." in name:
        name = name.rpartition(".")[0]
        yield name
