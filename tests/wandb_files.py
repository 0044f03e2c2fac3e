"""Read the files that W&B writes offline: records of protocol buffers in the log format of LevelDB."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

HEADER = 7  # bytes before the first block, and before each chunk
BLOCK = 32 * 1024
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


class Start(NamedTuple):
    """What one start of a run has written."""

    run_id: str
    config: dict[str, Any]
    rows: list[dict[str, Any]]
    summary: dict[str, Any]
    exit_code: int | None


def records(file: Path) -> Iterator[bytes]:
    """Yield the records of a file; an incomplete one at the end is left out."""
    data = file.read_bytes()
    assert data[:4] == b":W&B"
    at, parts = HEADER, []
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:  # too little space for a chunk: padded
            at += BLOCK - at % BLOCK
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        parts.append(data[at + HEADER : at + HEADER + length])
        at += HEADER + length
        if kind in (FULL, LAST):
            yield b"".join(parts)
            parts = []


def read_starts(folder: Path) -> list[Start]:
    """Return what each start of a run in a ``wandb`` folder has written, oldest first."""
    from wandb.proto import wandb_internal_pb2

    starts = []
    for file in sorted(folder.glob("*run-*/*.wandb")):
        start = Start("", {}, [], {}, None)
        for data in records(file):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
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
