from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfgtrain.image import point_table
from cfgtrain.image.point_operations import (
    adjust_brightness,
    adjust_contrast,
    auto_contrast,
    imequalize,
    iminvert,
    posterize,
    solarize,
)
from cfgtrain.image.point_table import PointChain, PointTable, apply_table, count_levels

FUNCTIONS = {
    "invert": iminvert,
    "posterize": posterize,
    "solarize": solarize,
    "brightness": adjust_brightness,
    "contrast": adjust_contrast,
    "auto_contrast": auto_contrast,
    "equalize": imequalize,
}
STEPS = st.one_of(
    st.just(("invert",)),
    st.just(("equalize",)),
    st.tuples(st.just("posterize"), st.integers(1, 8)),
    st.tuples(st.just("solarize"), st.integers(0, 256)),
    st.tuples(st.sampled_from(["brightness", "contrast"]), st.floats(0, 3)),
    st.tuples(st.just("auto_contrast"), st.integers(0, 40)),
)


@settings(max_examples=150, deadline=None)
@given(
    steps=st.lists(STEPS, max_size=5),
    dtype=st.sampled_from([np.uint8, np.uint8, np.uint16, np.float32]),
    channels=st.sampled_from([(), (1,), (2,), (3,), (4,), (5,)]),
    seed=st.integers(0, 99),
)
def test_a_chain_is_its_operations_in_order(
    steps: list[tuple[Any, ...]], dtype: Any, channels: tuple[int, ...], seed: int
) -> None:
    """Operations that are applied together give the bits of the functions called one after the other."""
    img = np.random.default_rng(seed).normal(120, 50, (24, 31, *channels)).clip(0, 255).astype(dtype)
    before = img.copy()
    expected, chain = img, PointChain(img)
    for name, *args in steps:
        expected = FUNCTIONS[name](expected, *args)  # type: ignore[operator]
        getattr(chain, name)(*args)
    result = chain.result()
    assert np.array_equal(result, expected)
    assert result.dtype == dtype
    assert not np.shares_memory(result, img)
    assert np.array_equal(img, before)


@pytest.mark.parametrize(
    ("shape", "lookups"), [((24, 31, 3), 2), ((24, 31), 1), ((24, 31, 5), 1)], ids=["color", "gray", "other"]
)
def test_number_of_lookups(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], lookups: int) -> None:
    """A chain reads the pixels once, and once more only before the mean gray of a color image is needed."""
    calls = []
    apply = PointTable.apply

    def counted(table: PointTable, img: Any, planes: Any = ()) -> Any:
        calls.append(img.shape)
        return apply(table, img, planes)

    monkeypatch.setattr(PointTable, "apply", counted)
    img = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    PointChain(img).brightness(1.2).solarize(128).equalize().auto_contrast(1).posterize(5).invert().result()
    assert calls == [shape]
    calls.clear()
    PointChain(img).contrast(1.3).brightness(1.1).result()
    assert calls == [shape]
    calls.clear()
    PointChain(img).brightness(1.2).contrast(1.3).equalize().result()
    assert calls == [shape] * lookups


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 999), first=st.sampled_from([1, 3]), second=st.sampled_from([1, 3]))
def test_composition_and_histogram(seed: int, first: int, second: int) -> None:
    """A composed table is one table after the other, and a histogram through a table is that of its result."""
    rng = np.random.default_rng(seed)
    a = PointTable(rng.integers(0, 256, (256, first), dtype=np.uint8))
    b = PointTable(rng.integers(0, 256, (256, second), dtype=np.uint8))
    img = rng.integers(0, 256, (9, 11, 3), dtype=np.uint8)
    assert np.array_equal(a.then(b).apply(img), b.apply(a.apply(img)))
    after = a.then(b).histogram(count_levels(img, 255))
    assert np.array_equal(after, count_levels(b.apply(a.apply(img)), 255))


def translate(data: memoryview, table: memoryview, *, inplace: bool) -> None:
    """What stringzilla's function of this name does."""
    assert inplace
    data[:] = bytes(data).translate(bytes(table))


@pytest.fixture(params=["OpenCV", "bytes", "stringzilla"])
def look_up(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Look up bytes by OpenCV, or by stringzilla, which may not be installed, or by Python in its place."""
    if request.param == "stringzilla":
        function = pytest.importorskip("stringzilla").translate
    else:
        function = translate if request.param == "bytes" else None
    monkeypatch.setattr(point_table, "_translate", function)


@pytest.mark.usefixtures("look_up")
@pytest.mark.parametrize("shape", [(7,), (4, 5), (4, 5, 1), (4, 5, 3), (4, 5, 7), (2, 3, 4, 5, 3), (0, 4, 3)])
@pytest.mark.parametrize(("dtype", "levels"), [(np.uint8, 256), (np.uint16, 65536)])
@pytest.mark.parametrize("entries", [np.uint8, np.int64, np.float32])
def test_apply_table(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], dtype: Any, levels: int, entries: Any
) -> None:
    """Any shape is looked up, in one table or in one for each entry of the last axis, in blocks of any size."""
    monkeypatch.setattr(point_table, "_PIXELS_AT_ONCE", 7)
    rng = np.random.default_rng(0)
    img = rng.integers(0, levels, shape, dtype=dtype)
    shared = rng.integers(0, 256, levels).astype(entries)
    own = rng.integers(0, 256, (levels, shape[-1])).astype(entries)
    for values in (img, img[::-1]):
        for result, expected in (
            (apply_table(values, shared), shared[values]),
            (apply_table(values, own), own[values, np.arange(shape[-1])]),
        ):
            assert np.array_equal(result, expected)
            assert result.dtype == entries
            assert result.flags.c_contiguous


@pytest.mark.parametrize("channels", [(), (1,), (3,), (6,)])
@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.uint16, 65535)])
def test_count_levels(
    monkeypatch: pytest.MonkeyPatch, channels: tuple[int, ...], dtype: Any, top: int
) -> None:
    """Every pixel is counted, also in an image of more pixels than OpenCV can count at once."""
    monkeypatch.setattr(point_table, "_EXACT_COUNT", 100)
    img = np.random.default_rng(0).integers(0, top + 1, (19, 23, *channels)).astype(dtype)
    counts = count_levels(img, top)
    flat = img.reshape(-1, *channels or (1,))
    expected = np.stack([np.bincount(column, minlength=top + 1) for column in flat.T], axis=1)
    assert np.array_equal(counts, expected)
