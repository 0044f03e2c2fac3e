"""Finding the caller of a part of the library."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

import pytest

from cfgtrain.introspection.frames import Caller, find_caller, in_modules


def _is_inner(frame: FrameType) -> bool:
    return frame.f_code.co_name.startswith("inner")


def _caller() -> Caller:
    return find_caller(_is_inner)


def inner_first() -> Caller:
    return inner_second()


def inner_second() -> Caller:
    return _caller()


def inner_warning() -> None:
    warnings.warn("careful", stacklevel=_caller().stack_level)


def test_the_innermost_frame_outside_is_found() -> None:
    """All frames inside are passed over, and counted for a warning."""
    found = inner_first()
    assert found.frame is sys._getframe()
    assert found.stack_level == 3


def test_the_caller_itself_may_be_outside() -> None:
    """Where nothing is inside, the code that called the wrapper is found."""
    found = _caller()
    assert (found.frame, found.stack_level) == (sys._getframe(), 1)


def test_a_warning_names_the_line_outside() -> None:
    """The level is that of ``warnings.warn``."""
    with pytest.warns(UserWarning, match="careful") as caught:
        inner_warning()
    assert caught[0].filename == __file__


def test_the_outermost_frame_ends_the_search() -> None:
    """If everything is inside, the outermost frame is returned."""
    found = find_caller(lambda frame: True)
    assert found.frame.f_back is None


@pytest.mark.parametrize(("prefix", "inside"), [(__name__, True), (__name__[:3], True), ("other", False)])
def test_in_modules(prefix: str, inside: bool) -> None:
    """A frame is inside if the name of its module begins with one of the prefixes."""
    assert in_modules("another", prefix)(sys._getframe()) == inside
