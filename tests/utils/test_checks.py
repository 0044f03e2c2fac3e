"""Tests of the checks of objects and classes."""

from __future__ import annotations

from typing import Any

import pytest

from cfgtrain.utils import has_method, is_method_overridden, is_str


class Base:
    word = "x"

    def foo(self) -> None: ...

    def bar(self) -> None: ...


class Sub(Base):
    def foo(self) -> None: ...


@pytest.mark.parametrize(("x", "answer"), [("", True), ("a", True), (b"a", False), (1, False), (None, False)])
def test_is_str(x: object, answer: bool) -> None:
    """The result is True for a str only."""
    assert is_str(x) is answer


@pytest.mark.parametrize(("name", "answer"), [("foo", True), ("word", False), ("nothing", False)])
def test_has_method(name: str, answer: bool) -> None:
    """An attribute counts as a method if it is callable."""
    assert has_method(Base(), name) is answer


@pytest.mark.parametrize("derived", [Sub, Sub()])
def test_is_method_overridden(derived: Any) -> None:
    """A class, or the class of an object, is compared with its base class."""
    assert is_method_overridden("foo", Base, derived)
    assert not is_method_overridden("bar", Base, derived)


def test_base_must_be_class() -> None:
    """An instance as the base class raises an AssertionError, as in MMCV."""
    with pytest.raises(AssertionError, match="base_class must be a class"):
        is_method_overridden("foo", Base(), Sub)  # type: ignore[arg-type]
