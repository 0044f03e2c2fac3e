"""The order in which hooks run at a stage."""

from __future__ import annotations

from enum import Enum

from cfgtrain.arguments import check_integer, check_type
from cfgtrain.errors import UnknownNameError

__all__ = ["Priority", "get_priority"]


class Priority(Enum):
    """Named priorities; a lower value runs first."""

    HIGHEST = 0
    VERY_HIGH = 10
    HIGH = 30
    ABOVE_NORMAL = 40
    NORMAL = 50
    BELOW_NORMAL = 60
    LOW = 70
    VERY_LOW = 90
    LOWEST = 100


def get_priority(priority: int | str | Priority) -> int:
    """Return a priority as a number from 0 (first) to 100 (last).

    Raises:
        ArgumentError: A number outside that range.
        UnknownNameError: There is no priority of that name.
        ArgumentTypeError: ``priority`` is not a number, name or Priority.
    """
    if isinstance(priority, Priority):
        return priority.value
    if isinstance(priority, str):
        if priority.upper() in Priority.__members__:
            return Priority[priority.upper()].value
        message = f"There is no priority {priority!r}: {', '.join(Priority.__members__)}."
        raise UnknownNameError(message, near=(priority, list(Priority.__members__)))
    check_type("priority", priority, int, "a name or a number from 0 to 100")
    return check_integer("priority", priority, 0, 100)
