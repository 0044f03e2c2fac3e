"""What W&B has written offline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from cfgtrain.runner.hooks.loggers.wandb_files import read_records


class Start(NamedTuple):
    """What one start of a run has written."""

    run_id: str
    config: dict[str, Any]
    rows: list[dict[str, Any]]
    summary: dict[str, Any]
    exit_code: int | None


def read_starts(folder: Path) -> list[Start]:
    """Return what each start of a run in a ``wandb`` folder has written, oldest first."""
    starts = []
    for file in sorted(folder.glob("*run-*/*.wandb")):
        start = Start("", {}, [], {}, None)
        for record in read_records(file):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                start = start._replace(run_id=record.run.run_id)
                start.config.update(_items(record.run.config.update))
            elif kind == "config":
                start.config.update(_items(record.config.update))
            elif kind == "history":
                start.rows.append(_items(record.history.item))
            elif kind == "summary":
                start.summary.update(_items(record.summary.update))
            elif kind == "exit":
                start = start._replace(exit_code=record.exit.exit_code)
        starts.append(start)
    return starts


def _items(items: Any) -> dict[str, Any]:
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}
