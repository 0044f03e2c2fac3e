"""Detect damaged checkpoints, at almost no cost when they are written.

A checkpoint is a zip file, as torch writes it: records, each with its CRC-32, and headers
that contain these checksums. The comment of the zip file, its last line, is the SHA-256 of
everything except the contents of the records. A changed or missing byte anywhere shows in
one of the two. This detects accidents, not forgeries.

The zip file says how long its comment is, so a file whose digest was cut off is not mistaken
for one that never had a digest. A file that ``torch.save`` wrote has none: the CRC-32 of its
records is checked.
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

__all__ = ["TRAILER", "TRAILER_LENGTH", "announce_digest", "append_digest", "verify_digest"]

TRAILER = b"\ncfgtrain-sha256:"
TRAILER_LENGTH = len(TRAILER) + 64 + 1

_ZIP = b"PK"
_END_MAGIC = b"PK\x05\x06"
_END = struct.Struct("<4s4H2LH")  # the end of a zip file, up to its comment
_COMMENT_LENGTH = struct.Struct("<H")
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
    announce_digest(file, size)
    digest = _frame_digest(file, _records(file), size)
    file.seek(size)
    file.write(TRAILER + digest + b"\n")


def announce_digest(file: IO[bytes], size: int) -> None:
    """Let a zip file say that a digest follows, as its comment.

    Args:
        file: A zip file without a comment, open for writing.
        size: Its size in bytes.
    """
    file.seek(size - _COMMENT_LENGTH.size)
    file.write(_COMMENT_LENGTH.pack(TRAILER_LENGTH))


def verify_digest(path: Path, name: str | Path | None = None) -> bool:
    """Check a checkpoint for damage, and return whether it has a digest.

    The digest is compared with the content. Without one, the checksums of the records are, which ``torch.save``
    writes; files of torch's old format have none.

    Args:
        path: Path of the file.
        name: How messages name the file, by default as ``path``.

    Raises:
        CheckpointError: The content is not what was written, or the end of the file is missing.
    """
    name = name or path
    with path.open("rb") as file:
        is_zip = file.read(len(_ZIP)) == _ZIP
        size = file.seek(0, 2) - TRAILER_LENGTH
        file.seek(max(size, 0))
        trailer = file.read()
        has_digest = size >= 0 and trailer.startswith(TRAILER)
        if not has_digest and not is_zip:
            return False
        try:
            intact = _matches(file, size, trailer) if has_digest else _records_match(file)
        except zipfile.BadZipFile:
            intact = False
            if not has_digest and not zipfile.is_zipfile(file):
                raise CheckpointError(f"The checkpoint {name} cannot be read: its end is missing.") from None
        except Exception:  # reading a damaged file can fail in any way
            intact = False
    if not intact:
        raise CheckpointError(f"The checkpoint {name} is damaged: its content is not what was written.")
    return has_digest


def _matches(file: BufferedReader, size: int, trailer: bytes) -> bool:
    """Return whether the first ``size`` bytes of a file are those that its digest was made of."""
    records = _records(file)
    if trailer[len(TRAILER) :] != _frame_digest(file, records, size) + b"\n":
        return False
    chunk = memoryview(bytearray(_CHUNK))
    return all(_crc(file, record, chunk) == record.crc for record in records)


def _records_match(file: BufferedReader) -> bool:
    """Return whether a zip file without a digest ends where it says, and its records match their checksums."""
    with zipfile.ZipFile(file) as archive:
        end = file.seek(0, 2)
        tail = min(end, _END.size + 0xFFFF)
        file.seek(end - tail)
        data = file.read()
        at = data.rfind(_END_MAGIC)
        comment_length = _END.unpack_from(data, at)[-1]
        if comment_length == TRAILER_LENGTH or at + _END.size + comment_length != len(data):
            return False  # it had a digest, which is incomplete
        has_checksums = any(info.CRC for info in archive.infolist())  # torch can be told to write none
        return not has_checksums or archive.testzip() is None


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
