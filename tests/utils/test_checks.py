"""Questions about objects and classes."""

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
    """Only a str is one."""
    assert is_str(x) is answer


@pytest.mark.parametrize(("name", "answer"), [("foo", True), ("word", False), ("nothing", False)])
def test_has_method(name: str, answer: bool) -> None:
    """An attribute counts if it can be called."""
    assert has_method(Base(), name) is answer


@pytest.mark.parametrize("derived", [Sub, Sub()])
def test_is_method_overridden(derived: Any) -> None:
    """A class, or the class of an object, is compared with its base."""
    assert is_method_overridden("foo", Base, derived)
    assert not is_method_overridden("bar", Base, derived)


def test_the_base_is_a_class() -> None:
    """An object as the base is an AssertionError, as in MMCV."""
    with pytest.raises(AssertionError, match="base_class is a class"):
        is_method_overridden("foo", Base(), Sub)  # type: ignore[arg-type]
