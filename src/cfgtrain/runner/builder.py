"""Build a runner from its config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cfgtrain.arguments import check_type
from cfgtrain.config.dict import without
from cfgtrain.registries import RUNNER_BUILDERS, RUNNERS

__all__ = ["DefaultRunnerConstructor", "build_runner", "build_runner_constructor"]


@RUNNER_BUILDERS.register_module()
class DefaultRunnerConstructor:
    """Builds a runner from its config.

    A custom constructor, registered in ``RUNNER_BUILDERS`` and named as ``constructor`` in
    the config of the runner, can add what a config cannot contain::

        @RUNNER_BUILDERS.register_module()
        class WithTeacher(DefaultRunnerConstructor):
            def __call__(self):
                runner = super().__call__()
                runner.teacher = load_teacher()
                return runner

    Args:
        runner_cfg: ``type`` and length, such as ``dict(type='EpochBasedRunner', max_epochs=12)``.
        default_args: What a config cannot hold: model, optimizer, logger, ...

    Raises:
        ArgumentTypeError: ``runner_cfg`` is not a dict.
    """

    def __init__(self, runner_cfg: Mapping[str, Any], default_args: Mapping[str, Any] | None = None) -> None:
        check_type("runner_cfg", runner_cfg, Mapping, "a dict")
        self.runner_cfg = runner_cfg
        self.default_args = default_args

    def __call__(self) -> Any:
        """Return the runner."""
        return RUNNERS.build(self.runner_cfg, default_args=self.default_args)


def build_runner_constructor(cfg: Mapping[str, Any]) -> Any:
    """Build a runner constructor from ``type``, ``runner_cfg`` and ``default_args``."""
    return RUNNER_BUILDERS.build(cfg)


def build_runner(cfg: Mapping[str, Any], default_args: Mapping[str, Any] | None = None) -> Any:
    """Build a runner; ``cfg`` is not changed.

    Args:
        cfg: ``type`` and length, such as ``dict(type='EpochBasedRunner', max_epochs=12)``, and
            ``constructor``, the name of another one than ``DefaultRunnerConstructor``.
        default_args: What a config cannot hold: model, optimizer, logger, ...
    """
    check_type("cfg", cfg, Mapping, "a dict")
    constructor = cfg.get("constructor", "DefaultRunnerConstructor")
    runner_cfg = without(cfg, "constructor")
    return build_runner_constructor(
        {"type": constructor, "runner_cfg": runner_cfg, "default_args": default_args}
    )()
