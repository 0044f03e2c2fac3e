"""Pictures for the image commands: real photographs, and ones made to measure."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def photograph(name: str) -> Path:
    """Return the path of one of scikit-image's pictures; scikit-image itself is not imported."""
    spec = find_spec("skimage")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "data" / name


def take(folder: Path, *names: str) -> Path:
    """Copy photographs into a folder."""
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photograph(target.name), target)
    return folder


def letter_f(depth: int = 8, channels: int = 3) -> np.ndarray[Any, Any]:
    """An F, (80, 60[, C]), that no flip and no turn maps onto itself; alpha is half to the right."""
    gray = np.full((80, 60), 40, np.uint8)
    gray[8:72, 8:20] = 220
    gray[8:20, 8:52] = 220
    gray[32:44, 8:40] = 220
    img = gray[..., None].repeat(min(channels, 3), axis=2)
    if channels == 4:
        img = np.dstack([img, np.where(np.arange(60) < 30, 255, 128)[None].repeat(80, 0).astype(np.uint8)])
    img = img[..., 0] if channels == 1 else img
    return img.astype(np.uint16) * 257 if depth == 16 else img


# How an upright picture has to be stored for an EXIF orientation to turn it upright.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}


def exif(orientation: int = 1, **more: Any) -> bytes:
    """EXIF data with an orientation and a camera, as Pillow writes it."""
    data = Image.Exif()
    data[0x0112] = orientation
    data[0x010F] = "Maker of cameras"
    details = data.get_ifd(0x8769)
    details[0xA002], details[0xA003] = 60, 80
    details[0x9003] = "2024:02:29 12:00:00"
    return data.tobytes()


def saved(path: Path, img: Any, **options: Any) -> Path:
    """Write an array or a Pillow image with Pillow."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = img if isinstance(img, Image.Image) else Image.fromarray(np.ascontiguousarray(img))
    picture.save(path, **options)
    return path


def encoded(img: Any, format: str, **options: Any) -> bytes:  # noqa: A002
    """Return what `saved` would write."""
    file = BytesIO()
    Image.fromarray(np.ascontiguousarray(img)).save(file, format, **options)
    return file.getvalue()
