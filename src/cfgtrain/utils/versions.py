"""Compare versions, and read the current git commit."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version

from packaging.version import InvalidVersion, Version

from cfgtrain.arguments import check_type
from cfgtrain.errors import ArgumentError

__all__ = ["digit_version", "get_git_hash", "parse_version_info"]

MMCV_VERSION = "1.7.2"  # whose formats and names this toolkit has

_ORDER = {"dev": -4, "a": -3, "b": -2, "rc": -1, "": 0, "post": 1}


def digit_version(version_str: str, length: int = 4) -> tuple[int, ...]:
    """Convert a version to a tuple of int, so that versions can be compared.

    ``"1.2.3rc1"`` becomes ``(1, 2, 3, 0, -1, 1)``: the release numbers, the stage and its number. Stages
    are ordered dev < a < b < rc < release < post. A leading "v" and the local part (``"+cpu"``) are ignored.

    Args:
        version_str: Version in the format of PEP 440.
        length: Number of release numbers in the tuple; missing ones are 0.

    Raises:
        ArgumentError: ``version_str`` is not a valid version.
        ArgumentTypeError: ``version_str`` is not a str.
    """
    release, stage, number = _parse(version_str, length)
    return (*release, _ORDER[stage], 0 if stage == "dev" else number)


def parse_version_info(version_str: str, length: int = 4) -> tuple[int | str, ...]:
    """Convert a version to a tuple that contains the name of its stage.

    ``"1.3.0rc1"`` becomes ``(1, 3, 0, 0, "rc", 1)``. The stage of a release is 0.

    Args:
        version_str: Version in the format of PEP 440.
        length: Number of release numbers in the tuple; missing ones are 0.

    Raises:
        ArgumentError: ``version_str`` is not a valid version.
        ArgumentTypeError: ``version_str`` is not a str.
    """
    release, stage, number = _parse(version_str, length)
    return (*release, stage or 0, number)


def get_git_hash(fallback: str = "unknown", digits: int | None = None) -> str:
    """Return the hash of the git commit that is checked out in the current folder.

    Args:
        fallback: Returned if git is not installed or the folder is not in a repository.
        digits: Number of characters of the hash to return; None returns all of them.

    Raises:
        ArgumentTypeError: ``digits`` is neither an int nor None.
    """
    check_type("digits", digits, int | None, "an int or None")
    try:
        sha = _minimal_ext_cmd(["git", "rev-parse", "HEAD"]).strip().decode("ascii")
    except OSError:
        return fallback
    return sha[:digits] or fallback


def _minimal_ext_cmd(cmd: list[str]) -> bytes:
    """Run a command and return its output (MMCV name; tests patch it)."""
    import subprocess  # imported late, since it takes milliseconds and few programs need it

    return subprocess.run(cmd, capture_output=True, check=False).stdout  # noqa: S603  # fixed arguments


def _parse(version_str: str, length: int) -> tuple[list[int], str, int]:
    """Return the release numbers, the stage and the number of the stage."""
    check_type("version_str", version_str, str, "a str")
    try:
        version = Version(version_str)
    except InvalidVersion as error:
        raise ArgumentError(
            f"{version_str!r} is not a valid version, such as '1.2.3' or '1.2.3rc1'."
        ) from error
    release = list(version.release[:length])
    release += [0] * (length - len(release))
    if version.pre is not None:
        return release, *version.pre
    if version.post is not None:
        return release, "post", version.post
    if version.dev is not None:
        return release, "dev", version.dev
    return release, "", 0


@cache
def version_meta() -> dict[str, str]:
    """Return the versions that the meta of a checkpoint contains; programs that read MMCV's expect the first one."""
    return {"mmcv_version": MMCV_VERSION, "cfgtrain_version": version("cfgtrain")}
