"""What identifies the data of a run: the classes, and the fingerprints of its datasets."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from cfgtrain.errors import CheckpointError
from cfgtrain.suggestions import listed

__all__ = ["check_same_data", "fingerprints"]


def fingerprints(loaders: Mapping[str, Any]) -> dict[str, str]:
    """Return the attribute ``fingerprint`` of each dataset that has one, by part.

    It is a text that is different for other data: a digest of the samples, or of their names and labels.

    Args:
        loaders: Loaders by part.
    """
    found = {
        part: getattr(getattr(loader, "dataset", None), "fingerprint", None)
        for part, loader in loaders.items()
    }
    return {part: str(fingerprint) for part, fingerprint in found.items() if fingerprint is not None}


def check_same_data(
    saved: Mapping[str, Any], now: Mapping[str, Any], path: str, logger: logging.Logger
) -> None:
    """Compare the data of a run with that of the checkpoint that it resumes from.

    Args:
        saved: The meta of the checkpoint.
        now: That of the run.
        path: Path of the checkpoint.
        logger: Logs a warning for each dataset that has changed.

    Raises:
        CheckpointError: The classes, or their order, are different.
    """
    before, after = ((meta.get("metainfo") or {}).get("classes") for meta in (saved, now))
    if before and after and list(before) != list(after):
        raise CheckpointError(
            f"The run of {path} was trained on other classes: {_difference(list(before), list(after))}.",
            hint="Resume with the data or the classes= that it began with, or begin a new run with its weights "
            "(load_from).",
        )
    old, new = saved.get("fingerprints") or {}, now.get("fingerprints") or {}
    for part in [part for part in new if part in old and old[part] != new[part]]:
        logger.warning(
            "data.%s has changed since %s was saved: its fingerprint was %.8s and is %.8s.",
            part, path, old[part], new[part],
        )  # fmt: skip


def _difference(before: list[str], after: list[str]) -> str:
    gone, new = ([name for name in a if name not in b] for a, b in ((before, after), (after, before)))
    parts = [f"{listed(names)} {what}" for names, what in ((gone, "are gone"), (new, "are new")) if names]
    return " and ".join(parts) or f"their order was {listed(before)} and is {listed(after)}"
