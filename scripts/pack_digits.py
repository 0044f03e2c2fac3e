"""Pack scikit-learn's copy of the digits into ``src/cfgtrain/data/datasets/digits.npz``.

The data is "Optical Recognition of Handwritten Digits" by E. Alpaydin and C. Kaynak, from the
UCI Machine Learning Repository: its test set, 1,797 images of 8 x 8 pixels with values 0..16,
as included in scikit-learn. scikit-learn is distributed under BSD-3-Clause; its description of
the digits (``sklearn/datasets/descr/digits.rst``) does not mention a separate licence. ``NOTICE``
contains the attribution and scikit-learn's notice.

    python scripts/pack_digits.py            write the file
    python scripts/pack_digits.py --check    exit with 1 if the file differs from what would be written
"""

from __future__ import annotations

import argparse
import io
import sys
import zipfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "src" / "cfgtrain" / "data" / "datasets" / "digits.npz"


def read_digits() -> dict[str, np.ndarray]:
    """Return ``images`` (1797, 8, 8) with values 0..16 and ``labels`` (1797,), both uint8.

    Raises:
        ValueError: scikit-learn's copy is not the data described above.
    """
    digits = load_digits()
    arrays = {"images": digits.images.astype(np.uint8), "labels": digits.target.astype(np.uint8)}
    images, labels = arrays["images"], arrays["labels"]
    if images.shape != (1797, 8, 8) or labels.shape != (1797,):
        raise ValueError(f"unexpected shapes: images {images.shape}, labels {labels.shape}")
    if not (np.array_equal(images, digits.images) and np.array_equal(labels, digits.target)):
        raise ValueError("a value is not an integer in 0..255")
    if images.max() != 16 or set(labels.tolist()) != set(range(10)):
        raise ValueError(f"unexpected values: pixels up to {images.max()}, labels {np.unique(labels)}")
    return arrays


def pack(arrays: dict[str, np.ndarray]) -> bytes:
    """Return the content of a reproducible ``.npz`` file.

    ``numpy.savez_compressed`` would store the current time and the operating system. The result can still differ
    if the compressor is not zlib.
    """
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.create_system = 3  # Unix, on every system
            member.external_attr = 0o644 << 16
            content = io.BytesIO()
            np.lib.format.write_array(content, array, version=(1, 0), allow_pickle=False)
            archive.writestr(member, content.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)
    return out.getvalue()


def difference(packed: bytes) -> str | None:
    """Return how the file at ``TARGET`` differs from ``packed``, or None if it is the same."""
    if not TARGET.exists():
        return "is missing"
    present = TARGET.read_bytes()
    if present == packed:
        return None
    try:
        with np.load(io.BytesIO(present), allow_pickle=False) as old, np.load(io.BytesIO(packed)) as new:
            same = sorted(old) == sorted(new) and all(
                old[name].dtype == new[name].dtype and np.array_equal(old[name], new[name]) for name in new
            )
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        return f"cannot be read: {error}"
    return "contains the same arrays with a different encoding" if same else "contains different data"


def main() -> int:
    """Write the file or, with ``--check``, compare it; return the exit code."""
    parser = argparse.ArgumentParser(description="Pack scikit-learn's copy of the digits.")
    parser.add_argument("--check", action="store_true", help="do not write; exit with 1 if the file differs")
    check = parser.parse_args().check

    packed = pack(read_digits())
    name = TARGET.relative_to(ROOT)
    if check:
        found = difference(packed)
        if found:
            print(f"{name} {found}. To write it, run: python scripts/pack_digits.py", file=sys.stderr)
        return 1 if found else 0
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_bytes(packed)
    print(f"wrote {name}, {len(packed):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
