"""Tests of versions and of the git hash."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from cfgtrain.utils import digit_version, get_git_hash, parse_version_info, versions

SHA = "3b46d33e90c397869ad5103075838fdfc9812aa0"


@pytest.mark.parametrize(
    ("text", "digits", "named"),
    [
        ("0.2.16", (0, 2, 16, 0, 0, 0), (0, 2, 16, 0, 0, 0)),
        ("1.2.3", (1, 2, 3, 0, 0, 0), (1, 2, 3, 0, 0, 0)),
        ("1.2.3rc0", (1, 2, 3, 0, -1, 0), (1, 2, 3, 0, "rc", 0)),
        ("1.2.3rc1", (1, 2, 3, 0, -1, 1), (1, 2, 3, 0, "rc", 1)),
        ("1.0rc0", (1, 0, 0, 0, -1, 0), (1, 0, 0, 0, "rc", 0)),
        ("1.0", (1, 0, 0, 0, 0, 0), (1, 0, 0, 0, 0, 0)),
        ("v1.2.3", (1, 2, 3, 0, 0, 0), (1, 2, 3, 0, 0, 0)),
        ("2.9.0+cpu", (2, 9, 0, 0, 0, 0), (2, 9, 0, 0, 0, 0)),
        ("1.3.1.post2", (1, 3, 1, 0, 1, 2), (1, 3, 1, 0, "post", 2)),
        ("1.3.1-2", (1, 3, 1, 0, 1, 2), (1, 3, 1, 0, "post", 2)),
        ("1.0a", (1, 0, 0, 0, -3, 0), (1, 0, 0, 0, "a", 0)),
        ("1.0.Beta_3", (1, 0, 0, 0, -2, 3), (1, 0, 0, 0, "b", 3)),
        ("1.0.dev7", (1, 0, 0, 0, -4, 0), (1, 0, 0, 0, "dev", 7)),
        (" 1.2.3.4.5 ", (1, 2, 3, 4, 0, 0), (1, 2, 3, 4, 0, 0)),
    ],
)
def test_versions(text: str, digits: tuple[int, ...], named: tuple[Any, ...]) -> None:
    """The tuple contains the release numbers, the stage and its number."""
    assert digit_version(text) == digits
    assert parse_version_info(text) == named


def test_order_of_stages() -> None:
    """Stages are ordered dev < a < b < rc < release < post, and by their numbers."""
    stages = ["1.dev0", "1a0", "1a1", "1b0", "1b1", "1rc0", "1rc1", "1", "1.post0", "1.post1", "1.0.1"]
    for lower, higher in itertools.pairwise(stages):
        assert digit_version(lower) < digit_version(higher)


@pytest.mark.parametrize("text", ["a", "1x", "1.x", "", "1..2", "1.2.3 4"])
def test_invalid_versions(text: str) -> None:
    """An invalid version raises an AssertionError, as in MMCV, with the value."""
    with pytest.raises(AssertionError, match="is not a valid version"):
        digit_version(text)


def test_version_must_be_str() -> None:
    """A float raises a TypeError."""
    with pytest.raises(TypeError, match="version_str must be a str"):
        digit_version(1.2)  # type: ignore[arg-type]


def test_get_git_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash is complete or shortened; without git or a repository it is the fallback."""
    assert get_git_hash() == "unknown"  # tests run in a folder outside a repository
    monkeypatch.setattr(versions, "_minimal_ext_cmd", lambda cmd: SHA.encode() + b"\n")
    assert get_git_hash() == SHA
    assert get_git_hash(digits=6) == SHA[:6]

    def fail(cmd: object) -> bytes:
        raise OSError

    monkeypatch.setattr(versions, "_minimal_ext_cmd", fail)
    assert get_git_hash("none") == "none"
    with pytest.raises(TypeError, match="digits"):
        get_git_hash(digits="6")  # type: ignore[arg-type]
