"""Tests of deprecated argument names."""

from __future__ import annotations

import pytest

from cfgtrain.utils import deprecated_api_warning


@deprecated_api_warning({"a": "b", "c": "d"}, cls_name="Tool")
def use(b: int = 1, d: int = 2) -> tuple[int, int]:
    """Return both arguments."""
    return b, d


def test_deprecated_names_warn() -> None:
    """Each deprecated name issues a DeprecationWarning at the caller's line, and its value is passed on."""
    assert use(3, d=4) == (3, 4)
    with pytest.warns(DeprecationWarning) as caught:
        assert use(a=3, c=4) == (3, 4)
    assert [str(each.message) for each in caught] == [
        "The argument 'a' of Tool.use is deprecated: use 'b'.",
        "The argument 'c' of Tool.use is deprecated: use 'd'.",
    ]
    assert {each.filename for each in caught} == {__file__}
    assert use.__doc__ == "Return both arguments."


def test_both_names_are_an_error() -> None:
    """The deprecated name together with the new one raises an AssertionError, as in MMCV."""
    with pytest.raises(AssertionError, match="both 'a' and 'b'"):
        use(a=1, b=2)
