"""Pipelines: the composition of transforms."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from cfgtrain.arguments import check_type
from cfgtrain.data.transforms.results import Results
from cfgtrain.errors import (
    ArgumentTypeError,
    CfgTrainError,
    FileContentError,
    ImageDecodeError,
    TransformError,
)
from cfgtrain.introspection.signatures import argument_problem, callable_name
from cfgtrain.registries import PIPELINES
from cfgtrain.registry.registry import Registry, argument_error, construct, resolve_cfg

__all__ = ["Compose", "build_pipeline"]

Transform = Callable[[Results], Any]

# Errors that are about the file of a sample; they name it.
_FILE_ERRORS = (OSError, ImageDecodeError, FileContentError)


@PIPELINES.register_module()
class Compose:
    """Applies several transforms in order.

    Args:
        transforms: The transforms, each a config or a callable; see ``build_pipeline``.

    Raises:
        ArgumentTypeError: ``transforms`` is not a list, or an item is neither a config nor a callable.
    """

    def __init__(self, transforms: Sequence[Any]) -> None:
        check_type("transforms", transforms, list | tuple, "a list of transforms")
        self.transforms: list[Transform] = [
            _build_step(i, step, PIPELINES) for i, step in enumerate(transforms)
        ]

    def __call__(self, results: Results) -> Any:
        """Return the transformed results, or None if a transform returns None; the later ones are not called then.

        Raises:
            TransformError: A transform failed. The message names it, and the keys of the results.
            OSError: A file cannot be read.
            ImageDecodeError: A file is not a complete image.
        """
        current: Any = results
        step = 0
        try:
            for step, transform in enumerate(self.transforms):  # noqa: B007  # read if a transform fails
                if current is None:
                    return None
                current = transform(current)
        except _FILE_ERRORS:
            raise
        except Exception as error:
            raise _transform_error(step, self.transforms[step], current, error) from error
        return current

    def __repr__(self) -> str:
        return f"Compose([{', '.join(map(repr, self.transforms))}])"


def build_pipeline(transforms: Sequence[Any], registry: Registry = PIPELINES) -> Compose:
    """Build a pipeline: a callable that applies several transforms to a dict of results.

    Args:
        transforms: The transforms, in order. Each is a callable that takes and returns a dict of results, or a
            config of one: ``type`` is a name in the registry, an import path, a class or a function.
            A class is called with the other items of the config. A function is called with them too, if they are
            all that it needs, and must return a transform; if its first argument is missing, then the function
            itself is the transform, which gets the results as this argument.
        registry: Where the names are looked up.

    Returns:
        The pipeline. It returns the results, or None if a transform returns None, which drops the sample.

    Raises:
        ArgumentTypeError: ``transforms`` is not a list, or an item is neither a config nor a callable.
        UnknownNameError: A name is not in the registry.
        BuildError: The arguments do not fit.
    """
    check_type("transforms", transforms, list | tuple, "a list of transforms")
    return Compose([_build_step(i, step, registry) for i, step in enumerate(transforms)])


def results_argument(target: Callable[..., Any], args: Mapping[str, Any]) -> str | None:
    """Return the argument through which a function gets the results if it is itself the transform.

    Args:
        target: The class or function that a config names.
        args: The other items of the config.

    Returns:
        The name of its first argument, if that is required and not in ``args``; or None if ``target`` is to be
        called to build the transform.
    """
    if not inspect.isfunction(target):
        return None
    first = next(iter(inspect.signature(target).parameters.values()), None)
    if first is None or first.default is not first.empty or first.name in args:
        return None
    return first.name if first.kind is first.POSITIONAL_OR_KEYWORD else None


def _build_step(index: int, step: Any, registry: Registry) -> Transform:
    if not isinstance(step, Mapping):
        if not callable(step):
            raise ArgumentTypeError(
                f"transforms[{index}] must be a config with a type, or a callable, not {step!r}.",
                argument="transforms",
            )
        return step  # type: ignore[no-any-return]  # any callable
    target, args = resolve_cfg(step, registry)
    given = results_argument(target, args)
    if given is None:
        built: Transform = construct(target, args, step)
        return built
    problem = argument_problem(target, args, given=(given,), config_keys=("type",))
    if problem is not None:
        raise argument_error(problem, target, step)
    return partial(target, **args) if args else target


def _transform_error(step: int, transform: Transform, results: Any, error: Exception) -> TransformError:
    name = callable_name(transform)
    place = f"The transform {name} (pipeline[{step}]) failed"
    if isinstance(error, CfgTrainError):
        return TransformError(
            f"{place}: {error.message}", hint=error.hint, near=error.near, step=step, transform=name
        )
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if not isinstance(results, Mapping):
        message = (
            f"{place}: {reason.rstrip('.')}. It got {type(results).__name__} instead of a dict of results."
        )
        return TransformError(message, step=step, transform=name)
    keys = [str(key) for key in results]
    listed = f"The keys of the results are {', '.join(keys)}." if keys else "The results are empty."
    missing = error.args[0] if isinstance(error, KeyError) and error.args else None
    near = (missing, keys) if isinstance(missing, str) and missing not in keys else None
    return TransformError(
        f"{place}: {reason.rstrip('.')}. {listed}",
        near=near,
        hint=_order_hint(results, missing, error),
        step=step,
        transform=name,
    )


def _order_hint(results: Mapping[str, Any], missing: object, error: Exception) -> str:
    """Return what to do if the transforms are probably in the wrong order, or ``""``."""
    if missing == "img" and "img_path" in results:
        return "dict(type='LoadImageFromFile') comes first: it loads img from img_path."
    tensors = [str(key) for key, value in results.items() if isinstance(value, Tensor)]
    if tensors and not isinstance(error, KeyError) and ("Tensor" in str(error) or "numpy" in str(error)):
        return f"{tensors[0]!r} is a tensor already: ImageToTensor comes after the transforms of images."
    return ""
