"""Versions that can be compared, and the commit that is checked out."""

from __future__ import annotations

import re

from cfgtrain.errors import ArgumentError, ArgumentTypeError

__all__ = ["digit_version", "get_git_hash", "parse_version_info"]

# PEP 440, with its spellings of old.
_VERSION = re.compile(
    r"""v?(?:\d+!)?(?P<release>\d+(?:\.\d+)*)
    (?:[-_.]?(?P<pre>alpha|beta|preview|pre|rc|a|b|c)[-_.]?(?P<pre_number>\d*))?
    (?P<post>-(?P<post_dash>\d+)|[-_.]?(?:post|rev|r)[-_.]?(?P<post_number>\d*))?
    (?P<dev>[-_.]?dev[-_.]?(?P<dev_number>\d*))?
    (?:\+[a-z0-9]+(?:[-_.][a-z0-9]+)*)?""",
    re.VERBOSE | re.IGNORECASE,
)
_PRE = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}
_ORDER = {"dev": -4, "a": -3, "b": -2, "rc": -1, "": 0, "post": 1}


def digit_version(version_str: str, length: int = 4) -> tuple[int, ...]:
    """Turn a version into a tuple that compares as versions do.

    ``"1.2.3rc1"`` becomes ``(1, 2, 3, 0, -1, 1)``: dev < a < b < rc < release < post. A
    leading "v" and the local part, as in ``"2.9.0+cpu"``, do not count.

    Args:
        version_str: As PEP 440 writes it.
        length: How many numbers of the release are kept; fewer are filled up with 0.

    Raises:
        ArgumentError: It is no version.
    """
    release, stage, number = _parse(version_str, length)
    return (*release, _ORDER[stage], 0 if stage == "dev" else number)


def parse_version_info(version_str: str, length: int = 4) -> tuple[int | str, ...]:
    """Turn a version into a tuple that names its stage: ``"1.3.0rc1"`` becomes ``(1, 3, 0, 0, "rc", 1)``.

    Args:
        version_str: As PEP 440 writes it.
        length: How many numbers of the release are kept; fewer are filled up with 0.

    Raises:
        ArgumentError: It is no version.
    """
    release, stage, number = _parse(version_str, length)
    return (*release, stage or 0, number)


def get_git_hash(fallback: str = "unknown", digits: int | None = None) -> str:
    """Return the hash of the commit that is checked out in the current folder.

    Args:
        fallback: Returned where there is no git, or no repository.
        digits: How many characters of the hash; None for all.

    Raises:
        ArgumentTypeError: ``digits`` is no int.
    """
    if not isinstance(digits, int | None):
        raise ArgumentTypeError(f"digits is an int or None, not {digits!r}.")
    try:
        sha = _minimal_ext_cmd(["git", "rev-parse", "HEAD"]).strip().decode("ascii")
    except OSError:
        return fallback
    return sha[:digits] or fallback


def _minimal_ext_cmd(cmd: list[str]) -> bytes:
    """Run a command and return what it prints (MMCV name, which tests replace)."""
    import subprocess  # costs milliseconds that few programs need

    return subprocess.run(cmd, capture_output=True, check=False).stdout  # noqa: S603  # fixed words


def _parse(version_str: str, length: int) -> tuple[list[int], str, int]:
    """Return the numbers of the release, the stage and its number."""
    if not isinstance(version_str, str):
        raise ArgumentTypeError(f"A version is a str, not {version_str!r}.")
    found = _VERSION.fullmatch(version_str.strip())
    if found is None:
        raise ArgumentError(f"{version_str!r} is no version such as '1.2.3' or '1.2.3rc1'.")
    release = [int(part) for part in found["release"].split(".")][:length]
    release += [0] * (length - len(release))
    if found["pre"]:
        name = found["pre"].lower()
        return release, _PRE.get(name, name), int(found["pre_number"] or 0)
    if found["post"]:
        return release, "post", int(found["post_dash"] or found["post_number"] or 0)
    if found["dev"]:
        return release, "dev", int(found["dev_number"] or 0)
    return release, "", 0
