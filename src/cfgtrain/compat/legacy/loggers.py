"""The table of loggers in ``mmcv.utils.logging``: here it is found from the handlers of the loggers."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

__all__ = ["logger_initialized"]


class SetUpLoggers(Mapping[str, bool]):
    """The names of the loggers that have handlers, such as those of ``get_logger``, in the order of their first use."""

    def __getitem__(self, name: str) -> bool:
        if name not in self._names():
            raise KeyError(name)
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def _names(self) -> list[str]:
        loggers = logging.root.manager.loggerDict
        return [name for name, each in loggers.items() if isinstance(each, logging.Logger) and each.handlers]


logger_initialized = SetUpLoggers()
