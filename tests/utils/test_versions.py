"""Versions, and the commit that is checked out."""

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
    """Numbers of the release, then the stage and its number."""
    assert digit_version(text) == digits
    assert parse_version_info(text) == named


def test_stages_come_in_order() -> None:
    """In order: dev < a < b < rc < release < post, and each below its next number."""
    stages = ["1.dev0", "1a0", "1a1", "1b0", "1b1", "1rc0", "1rc1", "1", "1.post0", "1.post1", "1.0.1"]
    for lower, higher in itertools.pairwise(stages):
        assert digit_version(lower) < digit_version(higher)


@pytest.mark.parametrize("text", ["a", "1x", "1.x", "", "1..2", "1.2.3 4"])
def test_no_version(text: str) -> None:
    """Other texts are an AssertionError, as in MMCV, which names them."""
    with pytest.raises(AssertionError, match="is no version"):
        digit_version(text)


def test_a_version_is_text() -> None:
    """A float is a TypeError."""
    with pytest.raises(TypeError, match="A version is a str"):
        digit_version(1.2)  # type: ignore[arg-type]


def test_the_hash_of_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash is whole or cut; without git, or outside a repository, there is the fallback."""
    assert get_git_hash() == "unknown"  # the folder of a test is in no repository
    monkeypatch.setattr(versions, "_minimal_ext_cmd", lambda cmd: SHA.encode() + b"\n")
    assert get_git_hash() == SHA
    assert get_git_hash(digits=6) == SHA[:6]

    def fail(cmd: object) -> bytes:
        raise OSError

    monkeypatch.setattr(versions, "_minimal_ext_cmd", fail)
    assert get_git_hash("none") == "none"
    with pytest.raises(TypeError, match="digits"):
        get_git_hash(digits="6")  # type: ignore[arg-type]
