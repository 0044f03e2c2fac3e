"""Read the files that W&B writes offline: protocol buffers in the log format of LevelDB."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["last_step", "read_records"]

HEADER = 7  # bytes before the first block, and before each chunk: checksum, length, kind
BLOCK = 32 * 1024
WHOLE, LAST = 1, 4  # kinds of chunks that end a record


def read_records(file: Path) -> Iterator[Any]:
    """Yield the records of a ``.wandb`` file; one that is not complete is left out."""
    message = importlib.import_module("wandb.proto.wandb_internal_pb2").Record
    data = file.read_bytes()
    at, record = HEADER, b""
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:  # too little space for a chunk at the end of a block
            at += BLOCK - at % BLOCK
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        record += data[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in (WHOLE, LAST) and at <= len(data):
            yield message.FromString(record)
            record = b""


def last_step(folder: Path, run_id: str) -> int:
    """Return the last step of a run in the files below a folder ``wandb``, or -1."""
    files = folder.glob(f"*run-*/run-{run_id}.wandb")
    items = (item for file in files for record in read_records(file) for item in record.history.item)
    steps = (int(json.loads(item.value_json)) for item in items if "_step" in (item.key, *item.nested_key))
    return max(steps, default=-1)
