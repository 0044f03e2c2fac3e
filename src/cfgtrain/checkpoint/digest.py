"""Detect damaged checkpoints, at almost no cost when they are written.

A checkpoint is a zip file, as torch writes it: records, each with its CRC-32, and headers
that contain these checksums. The last line of the file, which zip readers ignore, is the
SHA-256 of everything except the contents of the records. A changed or missing byte
anywhere shows in one of the two. This detects accidents, not forgeries.
"""

from __future__ import annotations

import hashlib
import struct
import zipfile
import zlib
from io import BufferedReader
from pathlib import Path
from typing import IO, NamedTuple

from cfgtrain.errors import CheckpointError

__all__ = ["TRAILER", "TRAILER_LENGTH", "append_digest", "verify_digest"]

TRAILER = b"\ncfgtrain-sha256:"
TRAILER_LENGTH = len(TRAILER) + 64 + 1

_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_CHUNK = 1 << 18  # stays in the processor's cache between reading and checking


class _Record(NamedTuple):
    """Where the content of a record is in the file, and its CRC-32."""

    begin: int
    end: int
    crc: int


def append_digest(file: IO[bytes]) -> None:
    """Write the digest after a zip file that is open for reading and writing."""
    size = file.seek(0, 2)
    digest = _frame_digest(file, _records(file), size)
    file.seek(size)
    file.write(TRAILER + digest + b"\n")


def verify_digest(path: Path, name: str | Path | None = None) -> bool:
    """Return whether a file has a digest, after comparing it with the content.

    Args:
        path: Path of the file.
        name: How messages name the file, by default as ``path``.

    Raises:
        CheckpointError: The content is not what was written.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2) - TRAILER_LENGTH
        file.seek(max(size, 0))
        trailer = file.read()
        if size < 0 or not trailer.startswith(TRAILER):
            return False
        try:
            records = _records(file)
            intact = trailer[len(TRAILER) :] == _frame_digest(file, records, size) + b"\n"
            chunk = memoryview(bytearray(_CHUNK))
            intact = intact and all(_crc(file, record, chunk) == record.crc for record in records)
        except Exception:  # reading a damaged file can fail in any way
            intact = False
    if not intact:
        raise CheckpointError(
            f"The checkpoint {name or path} is damaged: its content is not what was written."
        )
    return True


def _records(file: IO[bytes]) -> list[_Record]:
    """Return the records of a zip file in file order."""
    found = []
    with zipfile.ZipFile(file) as archive:
        for info in sorted(archive.infolist(), key=lambda each: each.header_offset):
            file.seek(info.header_offset)
            *_, name_length, extra_length = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
            begin = info.header_offset + _LOCAL_HEADER.size + name_length + extra_length
            found.append(_Record(begin, begin + info.compress_size, info.CRC))
    return found


def _frame_digest(file: IO[bytes], records: list[_Record], size: int) -> bytes:
    """Return the hexadecimal SHA-256 of the first ``size`` bytes without the contents of the records."""
    digest, position = hashlib.sha256(), 0
    for record in [*records, _Record(size, size, 0)]:
        file.seek(position)
        digest.update(file.read(max(record.begin - position, 0)))
        position = record.end
    return digest.hexdigest().encode()


def _crc(file: BufferedReader, record: _Record, chunk: memoryview) -> int:
    """Return the CRC-32 of a record, read in chunks."""
    file.seek(record.begin)
    crc, remaining = 0, record.end - record.begin
    while remaining > 0 and (count := file.readinto(chunk[: min(remaining, _CHUNK)])):
        crc = zlib.crc32(chunk[:count], crc)
        remaining -= count
    return crc
