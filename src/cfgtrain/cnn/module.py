"""Modules that initialize their weights according to a config."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import nn

from cfgtrain.cnn.init.initializers import initialize
from cfgtrain.cnn.init.record import InitRecord, update_init_info

__all__ = ["BaseModule", "ModuleDict", "ModuleList", "Sequential"]

logger = logging.getLogger(__name__)


class BaseModule(nn.Module):
    """A module whose ``init_weights`` initializes its weights according to ``init_cfg``.

    The ``init_cfg`` of the module is applied first, and then the ``init_weights`` of each child that has one, so
    that inner configs take precedence over outer ones. Children inside PyTorch containers are included. With
    ``type='Pretrained'``, the weights are loaded for the whole module, and its children are not initialized
    afterwards.

    Args:
        init_cfg: Config of an initializer, a list of them, or None; see ``cnn.initialize``. It is copied.
    """

    def __init__(self, init_cfg: Any = None) -> None:
        super().__init__()
        self._is_init = False
        self.init_cfg = copy.deepcopy(init_cfg)

    @property
    def is_init(self) -> bool:
        """Whether ``init_weights`` has been called."""
        return self._is_init

    def init_weights(self) -> None:
        """Initialize the weights of this module and its children, in place.

        How each parameter was initialized is written to the log files. A second call issues a warning and
        changes nothing.
        """
        if hasattr(self, "_params_init_info"):  # called by init_weights of a parent module
            self._init_weights()
            return
        record = InitRecord(self)
        modules = list(self.modules())
        for module in modules:
            vars(module)["_params_init_info"] = record
        try:
            self._init_weights()
            if record.changed:
                _log(self, record)
        finally:
            for module in modules:
                vars(module).pop("_params_init_info", None)

    def _init_weights(self) -> None:
        name = type(self).__name__
        if self._is_init:
            warnings.warn(f"init_weights of {name} has been called more than once.", stacklevel=3)
            return
        self._is_init = True
        if self.init_cfg:
            logger.debug("initialize %s with init_cfg %s", name, self.init_cfg)
            initialize(self, self.init_cfg)
            if isinstance(self.init_cfg, Mapping) and self.init_cfg.get("type") == "Pretrained":
                _mark_initialized(self)
                return
        for child in _initializable(self):
            child.init_weights()  # type: ignore[operator]  # a method, not a tensor or module
            update_init_info(child, f"Initialized by user-defined `init_weights` in {type(child).__name__} ")

    def __repr__(self) -> str:
        text = super().__repr__()
        return f"{text}\ninit_cfg={self.init_cfg}" if self.init_cfg else text


class Sequential(BaseModule, nn.Sequential):
    """``nn.Sequential`` with an ``init_cfg``."""

    def __init__(self, *args: Any, init_cfg: Any = None) -> None:
        BaseModule.__init__(self, init_cfg)
        nn.Sequential.__init__(self, *args)


class ModuleList(BaseModule, nn.ModuleList):
    """``nn.ModuleList`` with an ``init_cfg``."""

    def __init__(self, modules: Iterable[nn.Module] | None = None, init_cfg: Any = None) -> None:
        BaseModule.__init__(self, init_cfg)
        nn.ModuleList.__init__(self, modules)


class ModuleDict(BaseModule, nn.ModuleDict):
    """``nn.ModuleDict`` with an ``init_cfg``."""

    def __init__(self, modules: Mapping[str, nn.Module] | None = None, init_cfg: Any = None) -> None:
        BaseModule.__init__(self, init_cfg)
        nn.ModuleDict.__init__(self, modules)


_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)

# Constructors of these packages load pretrained weights, which their init_weights would replace by random ones.
_INITIALIZED = ("timm", "transformers")


def _initializable(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the children with an ``init_weights``, including those inside PyTorch containers."""
    for child in module.children():
        if hasattr(child, "init_weights"):
            if type(child).__module__.partition(".")[0] not in _INITIALIZED:
                yield child
        elif isinstance(child, _CONTAINERS):
            yield from _initializable(child)


def _mark_initialized(module: nn.Module) -> None:
    for child in module.modules():
        if isinstance(child, BaseModule):
            child._is_init = True


def _log(module: nn.Module, record: InitRecord) -> None:
    """Log how each parameter was initialized, only to the log files if there are any, since the text is long."""
    lines = [f"{name} - {tuple(p.shape)}: {record.info[p]}" for name, p in module.named_parameters()]
    text = "Initial weights:\n" + "\n".join(lines)
    log_record = logger.makeRecord(logger.name, logging.INFO, __file__, 0, text, (), None)
    files = [handler for handler in _handlers() if isinstance(handler, logging.FileHandler)]
    for handler in files:
        handler.handle(log_record)
    if not files and logger.isEnabledFor(logging.INFO):
        logger.handle(log_record)


def _handlers() -> Iterator[logging.Handler]:
    """Yield every handler that receives the log records of this module."""
    current: logging.Logger | None = logger
    while current is not None:
        yield from current.handlers
        current = current.parent if current.propagate else None
