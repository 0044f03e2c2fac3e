"""The TIFF structure of EXIF data and TIFF files: directories of tagged values.

Tag numbers and types are those of TIFF 6.0 and EXIF 2.32.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

ORIENTATION, THUMBNAIL_START, THUMBNAIL_LENGTH = 0x0112, 0x0201, 0x0202
EXIF_DIRECTORY, GPS_DIRECTORY, PIXEL_WIDTH, PIXEL_HEIGHT = 0x8769, 0x8825, 0xA002, 0xA003
MAKER_NOTE, INTEROPERABILITY = 0x927C, 0xA005  # contain positions, which are invalid in another file
# Tags of the first directory that stay valid for a changed image: description, maker, model, software, time, artist,
# copyright.
DESCRIPTIVE = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
SHORT, LONG, RATIONAL = 3, 4, 5
TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_ORDERED_SIZES = {
    3: 2,
    4: 4,
    5: 4,
    8: 2,
    9: 4,
    10: 4,
    11: 4,
    12: 8,
    13: 4,
}  # sizes of the values that depend on the byte order
_ENTRY = 12
_MAX_VALUE = 1 << 26
_MOST_NUMBERS = 16


# The values of a directory by tag: (type, number of values, bytes).
Values = dict[int, tuple[int, int, bytes]]


class Entry(NamedTuple):
    """One tagged value of a directory.

    Attributes:
        tag: Number of the tag.
        type: Number of the type.
        length: Number of values.
        position: Position of the values in the content.
    """

    tag: int
    type: int
    length: int
    position: int


class Directory(NamedTuple):
    """A directory: its entries by tag, and the position of the link to the next directory."""

    entries: dict[int, Entry]
    link: int


class Tags:
    """Reads the directories of a TIFF structure.

    Args:
        content: The TIFF structure, beginning with the byte order mark.

    Raises:
        ValueError: The content is not a TIFF structure.
    """

    def __init__(self, content: bytes | bytearray) -> None:
        self.content = content
        self.order = {b"II": "<", b"MM": ">"}.get(bytes(content[:2]), "")
        if not self.order or len(content) < 8 or self._number("H", 2) != 42:
            raise ValueError("not a TIFF structure")

    def first(self) -> Directory:
        """Return the first directory, which describes the image."""
        return self.directory(self._number("L", 4))

    def following(self, directory: Directory) -> int:
        """Return the position of the next directory, or 0 if there is none."""
        return self._number("L", directory.link) if directory.link + 4 <= len(self.content) else 0

    def directory(self, position: int) -> Directory:
        """Return the directory at a position.

        Raises:
            ValueError: The position is outside the content.
        """
        try:
            count = self._number("H", position)
            entries = dict(self._entries(position + 2, count))
        except struct.error as error:
            raise ValueError("a directory is outside the file") from error
        return Directory(entries, position + 2 + count * _ENTRY)

    def numbers(self, entry: Entry | None) -> list[float]:
        """Return the first values of an entry as numbers, or an empty list for None and other types."""
        if entry is None or entry.type not in (SHORT, LONG, RATIONAL):
            return []
        letters = {SHORT: "H", LONG: "L", RATIONAL: "LL"}[entry.type] * min(entry.length, _MOST_NUMBERS)
        raw = struct.unpack_from(self.order + letters, self.content, entry.position)
        if entry.type != RATIONAL:
            return list(raw)
        return [top / bottom if bottom else 0.0 for top, bottom in zip(raw[::2], raw[1::2], strict=True)]

    def raw(self, entry: Entry) -> bytes:
        """Return the bytes of an entry's values."""
        return bytes(self.content[entry.position : entry.position + entry.length * TYPE_SIZES[entry.type]])

    def _entries(self, position: int, count: int) -> Iterator[tuple[int, Entry]]:
        for start in range(position, position + count * _ENTRY, _ENTRY):
            tag, kind, number = struct.unpack_from(f"{self.order}HHL", self.content, start)
            size = TYPE_SIZES.get(kind, 0) * number
            place = start + 8 if size <= 4 else self._number("L", start + 8)
            if 0 < size <= _MAX_VALUE and place + size <= len(self.content):
                yield tag, Entry(tag, kind, number, place)

    def _number(self, letter: str, position: int) -> int:
        value: int = struct.unpack_from(self.order + letter, self.content, position)[0]
        return value


def read_orientation(exif: bytes | None) -> int:
    """Return the orientation in EXIF data, 1 to 8, or 1 if it is missing or invalid."""
    try:
        tags = Tags(exif or b"")
        values = tags.numbers(tags.first().entries.get(ORIENTATION))
    except ValueError:
        return 1
    return int(values[0]) if values and values[0] in range(1, 9) else 1


def read_values(tags: Tags, directory: Directory, order: str) -> Values:
    """Return all values of a directory, in the byte order ``<`` or ``>``."""
    found: Values = {}
    for tag, entry in directory.entries.items():
        raw, size = tags.raw(entry), _ORDERED_SIZES.get(entry.type, 1)
        if order != tags.order and size > 1:
            raw = b"".join(raw[i : i + size][::-1] for i in range(0, len(raw), size))
        found[tag] = (entry.type, entry.length, raw)
    return found


def write_directory(out: bytearray, order: str, values: Values) -> int:
    """Append a directory, preceded by the values that do not fit into its entries, and return its position."""
    entries = []
    for tag, (kind, length, raw) in sorted(values.items()):
        place = raw.ljust(4, b"\0") if len(raw) <= 4 else struct.pack(f"{order}L", _append(out, raw))
        entries.append(struct.pack(f"{order}HHL", tag, kind, length) + place)
    return _append(out, struct.pack(f"{order}H", len(entries)) + b"".join(entries) + b"\0\0\0\0")


def copy_directories(tags: Tags, out: bytearray, order: str) -> Values:
    """Copy the EXIF and GPS directories, and return the values for the first directory of the output.

    Args:
        tags: The TIFF structure to read.
        out: The TIFF structure to append to.
        order: Byte order of ``out``, ``<`` or ``>``.

    Returns:
        Values for the first directory of ``out``: pointers to the copies, and the descriptive tags.
    """
    image = tags.first()
    own = {tag: value for tag, value in read_values(tags, image, order).items() if tag in DESCRIPTIVE}
    for pointer in (EXIF_DIRECTORY, GPS_DIRECTORY):
        if pointer in image.entries:
            directory = tags.directory(int(tags.numbers(image.entries[pointer])[0]))
            values = read_values(tags, directory, order)
            kept = {tag: value for tag, value in values.items() if tag not in (MAKER_NOTE, INTEROPERABILITY)}
            own[pointer] = (LONG, 1, struct.pack(f"{order}L", write_directory(out, order, kept)))
    return own


def extract(tags: Tags) -> bytes | None:
    """Return the EXIF data of a TIFF file as a separate TIFF structure, or None if there are none."""
    out = bytearray(b"II*\0\0\0\0\0")
    values = copy_directories(tags, out, "<")
    struct.pack_into("<L", out, 4, write_directory(out, "<", values))
    return bytes(out) if values else None


def rewrite(exif: bytes, size: tuple[int, int]) -> bytes | None:
    """Return EXIF data for an image that was turned upright and resized.

    The orientation is set to 1 and the pixel size to the new size, and the thumbnail is removed. The position
    of all other data is kept, because maker notes contain absolute positions.

    Args:
        exif: EXIF data, as in ``Metadata``.
        size: Size (w, h) of the new image.

    Returns:
        The new EXIF data, or None if ``exif`` is damaged.
    """
    content = bytearray(exif)
    try:
        tags = Tags(content)
        image = tags.first()
        _write(tags, image.entries.get(ORIENTATION), 1)
        if EXIF_DIRECTORY in image.entries:
            details = tags.directory(int(tags.numbers(image.entries[EXIF_DIRECTORY])[0]))
            _write(tags, details.entries.get(PIXEL_WIDTH), size[0])
            _write(tags, details.entries.get(PIXEL_HEIGHT), size[1])
        end = _cut_thumbnail(tags, image)
    except (ValueError, IndexError, struct.error):
        return None
    return bytes(content[:end])


def _write(tags: Tags, entry: Entry | None, value: int) -> None:
    if entry is not None and entry.length == 1 and entry.type in (SHORT, LONG):
        letter = "H" if entry.type == SHORT and value < 1 << 16 else "L"
        size = struct.calcsize(letter)
        if size <= TYPE_SIZES[entry.type]:
            struct.pack_into(tags.order + letter, tags.content, entry.position, value)


def _cut_thumbnail(tags: Tags, image: Directory) -> int:
    """Unlink the directory of the thumbnail, and return the new end of the data."""
    whole = len(tags.content)
    position = tags.following(image)
    if not position:
        return whole
    thumbnail = tags.directory(position).entries
    start = tags.numbers(thumbnail.get(THUMBNAIL_START))
    length = tags.numbers(thumbnail.get(THUMBNAIL_LENGTH))
    struct.pack_into(tags.order + "L", tags.content, image.link, 0)
    last = bool(start and length) and start[0] + length[0] >= whole - 16 and start[0] > image.link
    return int(start[0]) if last else whole


def _append(out: bytearray, content: bytes) -> int:
    out += b"\0" * (len(out) % 2)
    position = len(out)
    out += content
    return position
