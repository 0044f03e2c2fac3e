"""Versions that can be compared, and the commit that is checked out."""

from __future__ import annotations

from packaging.version import InvalidVersion, Version

from cfgtrain.errors import ArgumentError, ArgumentTypeError

__all__ = ["digit_version", "get_git_hash", "parse_version_info"]

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
    try:
        version = Version(version_str)
    except InvalidVersion as error:
        raise ArgumentError(f"{version_str!r} is no version such as '1.2.3' or '1.2.3rc1'.") from error
    release = list(version.release[:length])
    release += [0] * (length - len(release))
    if version.pre is not None:
        return release, *version.pre
    if version.post is not None:
        return release, "post", version.post
    if version.dev is not None:
        return release, "dev", version.dev
    return release, "", 0
