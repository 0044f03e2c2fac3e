from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cfgtrain.errors import ArgumentError
from cfgtrain.image.backends import use_backend
from cfgtrain.image.resize import Interpolation, imresize, imresize_like


def ramp(*shape: int, dtype: Any = np.uint8) -> np.ndarray[Any, Any]:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize(
    ("shape", "expected"),
    [((4, 6), (10, 5)), ((4, 6, 1), (10, 5, 1)), ((4, 6, 3), (10, 5, 3)), ((4, 6, 4), (10, 5, 4))],
)
def test_size_is_width_height(shape: tuple[int, ...], expected: tuple[int, ...], dtype: Any) -> None:
    """``size`` is (w, h); the dtype and the channel axis are kept, even with a single channel."""
    resized = imresize(ramp(*shape, dtype=dtype), (5, 10))
    assert resized.shape == expected
    assert resized.dtype == dtype


def test_same_size_changes_nothing() -> None:
    """Resizing to the same size changes no pixel, and the input is never changed."""
    img = ramp(4, 6)
    before = img.copy()
    for interpolation in ("nearest", "bilinear", "bicubic", "area", "lanczos"):
        assert (imresize(img, (6, 4), interpolation=interpolation) == before).all()
    imresize(img, (2, 2))
    assert (img == before).all()


VALUES = [
    ("nearest", [[0, 0, 100, 100]]),
    ("bilinear", [[0, 25, 75, 100]]),
    ("area", [[0, 0, 100, 100]]),
]


@pytest.mark.parametrize(("interpolation", "expected"), VALUES)
def test_interpolations(interpolation: Any, expected: list[list[int]]) -> None:
    """Each interpolation computes its values; pixels are sampled at their centres."""
    img = np.array([[0, 100]], dtype=np.float32)
    assert imresize(img, (4, 1), interpolation=interpolation).tolist() == expected


def test_area_averages() -> None:
    """Reducing by area returns the mean of the covered pixels."""
    img = np.array([[0, 10], [20, 30]], dtype=np.float32)
    assert imresize(img, (1, 1), interpolation="area").tolist() == [[15]]


def test_unknown_interpolation() -> None:
    """An unknown interpolation raises an error with a suggestion."""
    with pytest.raises(ArgumentError, match=r"not 'bilinaer'\. Did you mean 'bilinear'"):
        imresize(ramp(2, 2), (4, 4), interpolation="bilinaer")


@pytest.mark.parametrize("size", [(0, 4), (4, 0), (-1, 4), (0.5, 4)])
def test_size_must_be_positive(size: Any) -> None:
    """A size that is not two positive integers raises an error."""
    with pytest.raises(ArgumentError, match=r"size\[[01]\] must be (at least 1|an integer)"):
        imresize(ramp(2, 2), size)


def test_return_scale() -> None:
    """return_scale adds the scale factors of the width and the height."""
    resized, w_scale, h_scale = imresize(ramp(300, 400, 3), (1000, 600), return_scale=True)
    assert resized.shape == (600, 1000, 3)
    assert (w_scale, h_scale) == (2.5, 2.0)


@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 1), (6, 8, 3)])
def test_out(shape: tuple[int, ...]) -> None:
    """The result is written to ``out``, which is returned."""
    out = np.zeros((3, 4, *shape[2:]), np.uint8)
    assert imresize(ramp(*shape), (4, 3), out=out) is out
    assert np.array_equal(out, imresize(ramp(*shape), (4, 3)))


def test_pillow() -> None:
    """Pillow has its own interpolations, keeps a single channel, and only supports uint8."""
    assert imresize(ramp(8, 8, 1), (4, 4), interpolation="hamming", backend="pillow").shape == (4, 4, 1)
    use_backend("pillow")
    try:
        halved = imresize(np.array([[0, 100], [200, 100]], np.uint8), (1, 1), interpolation="box")
    finally:
        use_backend("cv2")
    assert halved.tolist() == [[100]]
    with pytest.raises(AssertionError, match="of uint8, not of uint16"):
        imresize(ramp(8, 8, dtype=np.uint16), (4, 4), backend="pillow")
    with pytest.raises(ValueError, match="'cv2' or 'pillow', not 'tifffile'"):
        imresize(ramp(8, 8), (4, 4), backend="tifffile")  # type: ignore[arg-type]


@pytest.mark.parametrize(("dtype", "size"), [(bool, (4, 4)), (np.float16, (4, 4))])
def test_unsupported_dtypes(dtype: Any, size: tuple[int, int]) -> None:
    """An image that OpenCV cannot resize raises an error with its dtype."""
    with pytest.raises(ArgumentError, match=np.dtype(dtype).name):
        imresize(np.zeros((8, 8), dtype), size)


@pytest.mark.parametrize(
    "dtype", [bool, np.int8, np.int32, np.int64, np.float16, np.uint64, np.uint8, np.float32]
)
@pytest.mark.parametrize("channels", [(), (1,), (3,), (5,), (200,), (600,)])
def test_nearest_accepts_every_dtype(dtype: Any, channels: tuple[int, ...]) -> None:
    """``nearest`` copies pixels, so it is exact for every dtype, as label maps need it."""
    bits = np.random.default_rng(0).integers(0, 256, (4, 6, *channels, np.dtype(dtype).itemsize), np.uint8)
    img = bits.view(dtype)[..., 0] if dtype is not bool else bits[..., 0] > 127
    bigger = imresize(img, (12, 8), interpolation="nearest")
    assert bigger.dtype == dtype
    assert bigger.tobytes() == img.repeat(2, axis=0).repeat(2, axis=1).tobytes()
    out = np.zeros((8, 12, *channels), dtype)
    assert imresize(img, (12, 8), interpolation="nearest", out=out) is out
    assert out.tobytes() == bigger.tobytes()


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, complex, object])
def test_other_unsupported_dtypes(dtype: Any) -> None:
    """A dtype that OpenCV cannot interpolate raises an error that names those that it can."""
    with pytest.raises(TypeError, match=rf"of uint8 or uint16 or .*, not of {np.dtype(dtype)}"):
        imresize(np.zeros((8, 8), dtype), (4, 4))


@pytest.mark.parametrize("interpolation", get_args(Interpolation))
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [2, 3, 4, 5, 9, 200, 600])
def test_channels(channels: int, dtype: Any, interpolation: Any) -> None:
    """Each channel is resized like an image of one channel, whatever their number."""
    img = np.random.default_rng(0).integers(0, 200, (6, 8, channels)).astype(dtype)
    for size in [(12, 11), (3, 4)]:
        resized = imresize(img, size, interpolation=interpolation)
        assert resized.flags.c_contiguous
        for channel in (0, channels - 1):
            alone = imresize(img[..., channel], size, interpolation=interpolation).astype(float)
            # OpenCV computes with different instructions for different numbers of channels
            assert np.abs(resized[..., channel] - alone).max() <= (
                1 if np.dtype(dtype).kind in "ui" else 1e-3
            )


@given(st.data())
def test_views(data: st.DataObject) -> None:
    """Views of any strides are resized like copies, and into ``out`` of any strides."""
    height, width = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    size = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    channels = data.draw(st.sampled_from([1, 3, 5]))
    view = ramp(width * 2, height * 3, channels).transpose(1, 0, 2)[::-3, ::2]
    before = view.copy()
    expected = imresize(np.ascontiguousarray(view), size)
    assert np.array_equal(imresize(view, size), expected)
    out = np.zeros((size[0], size[1] * 2, channels), np.uint8).transpose(1, 0, 2)[1::2]
    assert imresize(view, size, out=out) is out
    assert np.array_equal(out, expected)
    assert np.array_equal(view, before)


def test_out_may_overlap() -> None:
    """``out`` can be a part of the image itself, and have or lack a channel axis of length 1."""
    img = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    expected = imresize(img, (30, 20))
    out = img[:20, :30]
    assert imresize(img, (30, 20), out=out) is out
    assert np.array_equal(out, expected)
    gray, flat = ramp(8, 8, 1), np.zeros((4, 4), np.uint8)
    assert imresize(gray, (4, 4), out=flat) is flat
    assert np.array_equal(flat, imresize(gray, (4, 4))[..., 0])


def test_out_with_pillow() -> None:
    """``out`` is also written with Pillow."""
    out = np.zeros((3, 4, 3), np.uint8)
    assert imresize(ramp(6, 8, 3), (4, 3), out=out, backend="pillow") is out
    assert np.array_equal(out, imresize(ramp(6, 8, 3), (4, 3), backend="pillow"))


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (np.zeros((4, 3, 3), np.uint8), r"shape \(3, 4, 3\) and dtype uint8, not of shape \(4, 3, 3\)"),
        (np.zeros((3, 4), np.uint8), r"not of shape \(3, 4\)"),
        (np.zeros((3, 4, 3), np.float32), "and dtype float32"),
        ([[0]], "out must be an array"),
        (np.broadcast_to(np.uint8(0), (3, 4, 3)), "out is read-only"),
    ],
)
def test_wrong_out(out: Any, message: str) -> None:
    """An ``out`` that cannot hold the result raises an error."""
    with pytest.raises(ArgumentError, match=message):
        imresize(ramp(6, 8, 3), (4, 3), out=out)


@pytest.mark.parametrize("size", [10, None, "44", (4,), (4, 4, 3), (2.0, 2), (True, 4)])
def test_size_is_a_pair(size: Any) -> None:
    """A size that is not a pair of integers raises an error of ours."""
    with pytest.raises(ArgumentError, match=r"size.* must be"):
        imresize(ramp(2, 2), size)


@pytest.mark.parametrize("size", [[5, 4], np.array([5, 4]), (np.int64(5), np.uint8(4))])
def test_kinds_of_sizes(size: Any) -> None:
    """Lists, which JSON and YAML give, arrays and NumPy integers are sizes."""
    assert imresize(ramp(8, 8), size).shape == (4, 5)


@pytest.mark.parametrize("img", [[[1, 2]], None, np.zeros(5), np.zeros((2, 2, 2, 2)), np.zeros((0, 4))])
def test_not_an_image(img: Any) -> None:
    """What is not an image raises an error of ours."""
    with pytest.raises(ArgumentError, match="img"):
        imresize(img, (4, 4))


def test_size_that_opencv_refuses() -> None:
    """A size that OpenCV cannot handle raises one error with its reason."""
    with pytest.raises(ArgumentError, match=r"OpenCV cannot resize an image of shape \(2, 2\) to the size"):
        imresize(ramp(2, 2), (2**40, 1))


@pytest.mark.parametrize("channels", [2, 5])
def test_pillow_channels(channels: int) -> None:
    """With Pillow, channels that have no meaning there are resized independently; four are color and alpha."""
    img = np.random.default_rng(0).integers(0, 256, (8, 8, channels), np.uint8)
    resized = imresize(img, (5, 3), backend="pillow")
    assert resized.shape == (3, 5, channels)
    for channel in range(channels):
        alone = np.array(
            Image.fromarray(np.ascontiguousarray(img[..., channel])).resize((5, 3), Image.Resampling.BILINEAR)
        )
        assert np.array_equal(resized[..., channel], alone)
    assert imresize(ramp(8, 8, 4), (5, 3), backend="pillow").shape == (3, 5, 4)


@pytest.mark.parametrize("channels", [(), (1,), (3,), (6,)])
def test_imresize_like(channels: tuple[int, ...]) -> None:
    """The size is taken from the other image, and nothing else."""
    img = ramp(6, 8, *channels)
    like = imresize_like(img, np.zeros((3, 4, 2), bool))
    assert np.array_equal(like, imresize(img, (4, 3)))
    scaled, w_scale, h_scale = imresize_like(
        img, np.zeros((12, 4)), return_scale=True, interpolation="nearest"
    )
    assert np.array_equal(scaled, imresize(img, (4, 12), interpolation="nearest"))
    assert (w_scale, h_scale) == (0.5, 2.0)
    with pytest.raises(ArgumentError, match="dst_img must be an array"):
        imresize_like(img, (4, 3))  # type: ignore[call-overload]
