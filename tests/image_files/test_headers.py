from __future__ import annotations

import zlib
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from photos import encoded, exif, letter_f, photograph
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import IFDRational
from PIL.TiffImagePlugin import ImageFileDirectory_v2 as Directory

from cfgtrain.errors import ImageDecodeError
from cfgtrain.image_files.exif import finished, read_directory, read_orientation, update_exif
from cfgtrain.image_files.header import Header, Metadata
from cfgtrain.image_files.reader import read_header
from cfgtrain.image_files.writer import encode_picture

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
FORMATS = ["JPEG", "PNG", "WebP", "TIFF", "GIF"]


def sample(format: str, **options: Any) -> bytes:  # noqa: A002
    if format in ("JPEG", "PNG", "WebP"):
        options = {"exif": exif(6), "icc_profile": SRGB} | options
    return encoded(letter_f(), format, **options)


@pytest.mark.parametrize("format", FORMATS)
def test_headers(format: str) -> None:  # noqa: A002
    """Format, size and orientation are read without decoding."""
    header = read_header(sample(format))
    assert (header.format, header.size, header.frames) == (format, (60, 80), 1)
    assert header.orientation == (6 if format in ("JPEG", "PNG", "WebP") else 1)


@pytest.mark.parametrize(("options", "lossless"), [({"lossless": True}, True), ({"quality": 80}, False)])
@pytest.mark.parametrize("more", [{}, {"exif": b"", "icc_profile": b""}])
def test_webp_variants(options: dict[str, Any], lossless: bool, more: dict[str, Any]) -> None:
    """Simple and extended files, lossy and lossless, have a known size."""
    header = read_header(sample("WebP", **options, **more))
    assert (header.size, header.lossless) == ((60, 80), lossless)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_metadata_round_trip(suffix: str) -> None:
    """Metadata that are written to a file can be read from it, and its pixels are unchanged."""
    given = Metadata(exif().removeprefix(b"Exif\0\0"), SRGB, (300.0, 150.0))
    content, left = encode_picture(letter_f(), Header(metadata=given), suffix)
    plain, _ = encode_picture(letter_f(), Header(), suffix)
    held = read_header(content).metadata
    assert left == ([] if suffix != ".webp" else ["without DPI"])
    assert held.icc == SRGB
    assert held.dpi == (None if suffix == ".webp" else pytest.approx((300, 150), abs=0.1))
    with Image.open(BytesIO(content)) as after, Image.open(BytesIO(plain)) as before:
        assert after.getexif()[0x010F] == "Maker of cameras"
        assert after.getexif().get_ifd(0x8769)[0x9003] == "2024:02:29 12:00:00"
        assert np.array_equal(np.array(after), np.array(before))


def test_large_profile() -> None:
    """A profile above 64 kB is kept in a JPEG; EXIF data above 64 kB are not."""
    profile = SRGB[:16] + b"RGB " + bytes(range(256)) * 600
    content, left = encode_picture(letter_f(), Header(metadata=Metadata(icc=profile)), ".jpg")
    assert left == []
    assert read_header(content).metadata.icc == profile
    data = Image.Exif()
    data[0x010E] = "x" * 70000
    large = Metadata(data.tobytes().removeprefix(b"Exif\0\0"))
    _, left = encode_picture(letter_f(), Header(metadata=large), ".jpg")
    assert left == ["without EXIF"]


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_byte_orders(order: str) -> None:
    """The orientation is read and set in both byte orders."""
    data = Image.Exif()
    data.endian = order
    data[0x0112] = 8
    content = data.tobytes().removeprefix(b"Exif\0\0")
    assert content[:2] == {"<": b"II", ">": b"MM"}[order]
    assert read_orientation(content) == 8
    rewritten = update_exif(content, (3, 4))
    assert rewritten is not None
    assert read_orientation(rewritten) == 1


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_in_tiff(order: str) -> None:
    """Camera, time and location are copied to a TIFF, from either byte order, and from there to a JPEG."""
    data = Image.Exif()
    data.endian = order
    data[0x010F] = "Maker of cameras"
    data.get_ifd(0x8769)[0x9003] = "2024:02:29 12:00:00"
    data.get_ifd(0x8769)[0x829A] = 0.004
    data.get_ifd(0x8825)[1], data.get_ifd(0x8825)[2] = "N", (48.0, 8.0, 12.5)
    given = Metadata(data.tobytes().removeprefix(b"Exif\0\0"))
    tiff, left = encode_picture(letter_f(), Header(metadata=given), ".tif")
    jpeg, left_then = encode_picture(letter_f(), read_header(tiff), ".jpg")
    assert (left, left_then) == ([], [])
    for content in (tiff, jpeg):
        with Image.open(BytesIO(content)) as img:
            held = img.getexif()
            assert held[0x010F] == "Maker of cameras"
            assert held.get_ifd(0x8769)[0x9003] == "2024:02:29 12:00:00"
            assert float(held.get_ifd(0x8769)[0x829A]) == pytest.approx(0.004)
            assert [float(number) for number in held.get_ifd(0x8825)[2]] == [48.0, 8.0, 12.5]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("order", [b"II", b"MM"])
def test_unusual_tags_are_kept(order: bytes, suffix: str) -> None:
    """Text that is not ASCII, binary data, maker notes and numbers without a value keep their bytes."""
    tags = {
        0x9286: (7, b"UNICODE\0" + "Gr\u00fc\u00dfe".encode("utf-16-le")),
        0x927C: (7, b"Maker" + bytes(range(256))),
    }
    image, inner = Directory(prefix=order), Directory(prefix=order, group=0x8769)
    image.tagtype[0x013B], image[0x013B] = 2, "J\u00f6rg".encode()
    for tag, (kind, value) in tags.items():
        inner.tagtype[tag], inner[tag] = kind, value
    inner.tagtype[0x829A], inner[0x829A] = 5, IFDRational(0, 0)
    inner.tagtype[0x8827], inner[0x8827] = 3, (100, 200)
    image.tagtype[0x8769], image[0x8769] = 4, 8
    start = (b"II*\0" if order == b"II" else b"MM\0*") + bytes(4)
    data = finished(bytearray(start + inner.tobytes(8)), image)
    content, losses = encode_picture(letter_f(), Header(metadata=Metadata(data)), suffix)
    held = read_header(content).metadata.exif
    assert losses == []
    assert held
    image = read_directory(held)
    inner = read_directory(held, image[0x8769], 0x8769)
    assert image[0x013B].encode("latin-1") == "J\u00f6rg".encode()
    assert {tag: (inner.tagtype[tag], inner[tag]) for tag in tags} == tags
    assert inner[0x8827] == (100, 200)
    assert inner[0x829A].denominator == 0


def test_other_segments_of_a_jpeg() -> None:
    """Comments, IPTC and XMP are kept in a JPEG; XMP becomes upright; further images are lost, and XMP with them."""
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation='6'/>"
    blocks = [(0xE1, xmp), (0xED, b"Photoshop 3.0\0data"), (0xFE, b"one"), (0xFE, b"two")]
    segments = [b"\xff" + bytes([marker]) + (len(data) + 2).to_bytes(2) + data for marker, data in blocks]
    plain = encoded(letter_f(), "JPEG")
    header = read_header(plain[:20] + b"".join(segments) + plain[20:])
    assert [name for name, _ in header.metadata.blocks] == ["XMP", "IPTC", "comment", "comment"]
    content, losses = encode_picture(letter_f(), header, ".jpg")
    assert losses == []
    assert content[20:].startswith(segments[0].replace(b"'6'", b"'1'") + b"".join(segments[1:]))
    further = b"\xff\xe2\0\x08MPF\0ab"
    header = read_header(plain[:20] + segments[0] + further + plain[20:])
    assert header.metadata.lost == ("further images (MPF)", "XMP")
    assert header.metadata.blocks == ()


def test_png_chunks_after_the_pixels() -> None:
    """Text and EXIF data after the pixels of a PNG are found, and text is kept in a PNG."""
    chunks = [(b"tEXt", b"Author\0J\xf6rg"), (b"eXIf", exif(6).removeprefix(b"Exif\0\0"))]
    late = b"".join(
        len(data).to_bytes(4) + name + data + zlib.crc32(name + data).to_bytes(4) for name, data in chunks
    )
    plain = encoded(letter_f(), "PNG")
    header = read_header(plain[:-12] + late + plain[-12:])
    assert header.orientation == 6
    content, losses = encode_picture(letter_f(), header, ".png")
    assert losses == []
    with Image.open(BytesIO(content)) as img:
        assert img.info["Author"] == "J\xf6rg"


def test_thumbnail_is_removed() -> None:
    """The thumbnail in EXIF data, which shows the original image, is removed."""
    with Image.open(photograph("hubble_deep_field.jpg")) as photo:
        content = photo.info["exif"].removeprefix(b"Exif\0\0")
    order: Literal["big", "little"] = "big" if content[:2] == b"MM" else "little"
    thumbnail = encoded(letter_f(), "JPEG")
    tail = len(content) + len(content) % 2
    ifd = (2).to_bytes(2, order)
    for tag, value in ((0x0201, tail + 30), (0x0202, len(thumbnail))):
        ifd += b"".join(
            number.to_bytes(size, order) for number, size in ((tag, 2), (4, 2), (1, 4), (value, 4))
        )
    first = int.from_bytes(content[4:8], order)
    link = first + 2 + 12 * int.from_bytes(content[first : first + 2], order)
    with_thumbnail = bytearray(content.ljust(tail, b"\0") + ifd + b"\0\0\0\0" + thumbnail)
    with_thumbnail[link : link + 4] = tail.to_bytes(4, order)
    rewritten = update_exif(bytes(with_thumbnail), (100, 50))
    assert rewritten is not None
    assert thumbnail not in rewritten
    with Image.open(BytesIO(encoded(letter_f(), "JPEG", exif=b"Exif\0\0" + rewritten))) as img:
        assert img.getexif().get_ifd(1) == {}


@pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow
@pytest.mark.parametrize("exif_data", [b"", b"II", b"junk" * 10, b"II*\0\xff\xff\xff\xff"])
def test_damaged_exif(exif_data: bytes) -> None:
    """Damaged EXIF data have orientation 1 and cannot be rewritten."""
    assert read_orientation(exif_data) == 1
    assert update_exif(exif_data, (1, 1)) is None


@pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow
@pytest.mark.parametrize("format", FORMATS)
def test_random_damage(format: str) -> None:  # noqa: A002
    """A file that is truncated or changed at random is read or raises an ImageDecodeError."""
    random = np.random.default_rng(0)
    whole = sample(format)
    for _ in range(400):
        content = bytearray(whole)
        near_the_head = random.integers(0, 2)
        for position in random.integers(0, min(len(content), 600 if near_the_head else 1 << 30), 4):
            content[position] = random.integers(0, 256)
        content = content[: random.integers(1, len(content) + 1)] if random.integers(0, 2) else content
        try:
            header = read_header(bytes(content))
        except ImageDecodeError:
            continue
        assert header.orientation in range(1, 9)
        if header.metadata.exif:
            update_exif(header.metadata.exif, (10, 20))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WebP", "GIF"])
def test_truncated_files(format: str) -> None:  # noqa: A002
    """A file truncated at any tenth of its length raises an error."""
    whole = sample(format)
    for tenth in range(10):
        with pytest.raises(ImageDecodeError):
            read_header(whole[: len(whole) * tenth // 10])


@pytest.mark.parametrize("suffix", ["gif", "bmp", "png"])
def test_palette_is_color(suffix: str, tmp_path: Path) -> None:
    """An image with a palette of colors has three channels, although it stores one number for each pixel."""
    Image.fromarray(letter_f()).convert("P").save(tmp_path / f"a.{suffix}")
    assert read_header((tmp_path / f"a.{suffix}").read_bytes()).channels == 3
    Image.fromarray(letter_f(channels=1)).save(tmp_path / f"b.{suffix}")
    assert read_header((tmp_path / f"b.{suffix}").read_bytes()).channels == 1
