"""Old names of arguments."""

from __future__ import annotations

import pytest

from cfgtrain.utils import deprecated_api_warning


@deprecated_api_warning({"a": "b", "c": "d"}, cls_name="Tool")
def use(b: int = 1, d: int = 2) -> tuple[int, int]:
    """Return both."""
    return b, d


def test_old_names_work_and_warn() -> None:
    """Each old name is a DeprecationWarning at the caller's line, and its value arrives."""
    assert use(3, d=4) == (3, 4)
    with pytest.warns(DeprecationWarning) as caught:
        assert use(a=3, c=4) == (3, 4)
    assert [str(each.message) for each in caught] == [
        "'a' of Tool.use is deprecated: its name is 'b'.",
        "'c' of Tool.use is deprecated: its name is 'd'.",
    ]
    assert {each.filename for each in caught} == {__file__}
    assert use.__doc__ == "Return both."


def test_both_names_are_one_too_many() -> None:
    """The old name beside the new one is an AssertionError, as in MMCV."""
    with pytest.raises(AssertionError, match="both 'a' and 'b'"):
        use(a=1, b=2)
