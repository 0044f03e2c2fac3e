"""Modules that initialize themselves as their config says."""

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
    """A module with an ``init_cfg``, which ``init_weights`` follows.

    Its own config comes first, then each child that has an ``init_weights`` calls it, so that
    inner configs win over outer ones. Containers of PyTorch in between are looked through. Weights
    of ``type='Pretrained'`` are for the module with all that is in it: its children do not
    initialize themselves after that.

    Args:
        init_cfg: Config of an initializer, a list of them, or None; see ``cnn.initialize``.
    """

    def __init__(self, init_cfg: Any = None) -> None:
        super().__init__()
        self._is_init = False
        self.init_cfg = copy.deepcopy(init_cfg)

    @property
    def is_init(self) -> bool:
        """Whether ``init_weights`` is done."""
        return self._is_init

    def init_weights(self) -> None:
        """Initialize this module and those in it, once.

        Which parameters got their values how is written into the log files.
        """
        if hasattr(self, "_params_init_info"):  # an outer one is under way
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
                _mark(self)
                return
        for child in _initializable(self):
            child.init_weights()  # type: ignore[operator]  # it is a method
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


def _initializable(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the children that can initialize themselves, those in plain containers included."""
    for child in module.children():
        if hasattr(child, "init_weights"):
            yield child
        elif isinstance(child, _CONTAINERS):
            yield from _initializable(child)


def _mark(module: nn.Module) -> None:
    for each in module.modules():
        if isinstance(each, BaseModule):
            each._is_init = True


def _log(module: nn.Module, record: InitRecord) -> None:
    """Write into the files of the log, or else to it, how each parameter was initialized."""
    lines = [f"{name} - {tuple(p.shape)}: {record.how[p]}" for name, p in module.named_parameters()]
    text = "Initial weights:\n" + "\n".join(lines)
    note = logger.makeRecord(logger.name, logging.INFO, __file__, 0, text, (), None)
    files = [handler for handler in _handlers() if isinstance(handler, logging.FileHandler)]
    for handler in files:
        handler.handle(note)
    if not files and logger.isEnabledFor(logging.INFO):
        logger.handle(note)


def _handlers() -> Iterator[logging.Handler]:
    """Yield every handler that what this module logs comes to."""
    current: logging.Logger | None = logger
    while current is not None:
        yield from current.handlers
        current = current.parent if current.propagate else None
