"""Tests of the decorators for prerequisites."""

from __future__ import annotations

from typing import Any

import pytest

from cfgtrain.errors import PrerequisiteError
from cfgtrain.utils import check_prerequisites, requires_executable, requires_package


@pytest.mark.parametrize(
    ("decorator", "missing"),
    [
        (requires_package("json"), None),
        (requires_package(["json", "os.path"]), None),
        (requires_package("n1_not_there"), "n1_not_there"),
        (requires_package(["n1_not_there", "json", "n2_not_there"]), "n1_not_there, n2_not_there"),
        (requires_executable("sh"), None),
        (requires_executable(["sh", "n1-not-there"]), "n1-not-there"),
        (check_prerequisites(["a", "bb"], lambda name: len(name) == 1), "bb"),
    ],
)
def test_missing_prerequisites(
    decorator: Any, missing: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """The function is called, or MMCV's message is printed and raised as a RuntimeError."""

    @decorator
    def func_b(x: int) -> int:
        """Add one."""
        return x + 1

    assert (func_b.__name__, func_b.__doc__) == ("func_b", "Add one.")
    if missing is None:
        assert func_b(1) == 2
        assert capsys.readouterr().out == ""
    else:
        line = (
            f'Prerequisites "{missing}" are required in method "func_b" but not found, please install them '
            "first."
        )
        with pytest.raises(RuntimeError) as caught:
            func_b(1)
        assert isinstance(caught.value, PrerequisiteError)
        assert str(caught.value) == line
        assert capsys.readouterr().out == line + "\n"


def test_custom_message() -> None:
    """The template is formatted with the missing prerequisite and the name of the function."""

    @check_prerequisites("tool", lambda name: False, "get {} for {}")
    def work() -> None: ...

    with pytest.raises(RuntimeError, match=r"^get tool for work$"):
        work()
