from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from cfgtrain.errors import ArgumentError, ArgumentTypeError
from cfgtrain.image.tensors import tensor2imgs

MEAN = np.array([123.675, 116.28, 103.53])
STD = np.array([58.395, 57.12, 57.375])
BATCH = np.random.default_rng(0).normal(size=(2, 3, 37, 53)).astype(np.float32)


@pytest.mark.parametrize("to_rgb", [True, False, None])
@pytest.mark.parametrize("stats", [(None, None), (MEAN, STD), ([1, 2, 3], (4, 5, 6)), (7, 30.0)])
def test_colors(stats: Any, to_rgb: bool | None) -> None:
    """Each image is denormalized in float32, limited to [0, 255], truncated, and BGR if the tensor is RGB."""
    mean, std = stats
    imgs = tensor2imgs(torch.from_numpy(BATCH), mean, std, to_rgb)
    assert len(imgs) == 2
    scale = np.broadcast_to(np.float32(1 if std is None else std), (3,))
    shift = np.broadcast_to(np.float32(0 if mean is None else mean), (3,))
    for img, planes in zip(imgs, BATCH, strict=True):
        pixels = planes.transpose(1, 2, 0) * scale + shift
        expected = np.clip(pixels, 0, 255).astype(np.uint8)
        assert np.array_equal(img, expected if to_rgb is False else expected[..., ::-1])
        assert img.dtype == np.uint8
        assert img.flags.c_contiguous


def test_clip() -> None:
    """Values are limited to [0, 255]; without ``clip``, their integer parts wrap around as in MMCV."""
    values = torch.tensor([300.0, -1.5, -0.5, 254.9, 256.0, float("nan")])[None, None, None]
    assert tensor2imgs(values)[0].tolist() == [[255, 0, 0, 254, 255, 0]]
    assert tensor2imgs(values[..., :5], clip=False)[0].tolist() == [[44, 255, 0, 254, 0]]


def test_gray() -> None:
    """One channel gives (H, W), with the default arguments too."""
    tensor = torch.from_numpy(BATCH[:, :1] * 50 + 100)
    for imgs in (tensor2imgs(tensor), tensor2imgs(tensor, [0], np.ones(1), False)):
        assert np.array_equal(imgs[1], (BATCH[1, 0] * 50 + 100).clip(0, 255).astype(np.uint8))
        assert imgs[0].shape == (37, 53)
        assert imgs[0].flags.c_contiguous


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.uint8, torch.int64])
def test_dtypes(dtype: Any) -> None:
    """Tensors of any dtype, of another layout, and those that require gradients are read, and not changed."""
    tensor = (
        (torch.from_numpy(BATCH) * 40 + 120).clamp(0, 255).to(dtype).to(memory_format=torch.channels_last)
    )
    expected = tensor.float().numpy().astype(np.uint8)[0].transpose(1, 2, 0)
    before = tensor.clone()
    if dtype.is_floating_point:
        tensor.requires_grad_()
    assert np.array_equal(tensor2imgs(tensor, to_rgb=False)[0], expected)
    assert torch.equal(tensor, before)


@pytest.mark.parametrize(
    ("args", "kind", "message"),
    [
        ((BATCH,), ArgumentTypeError, r"tensor must be a torch tensor \(N, C, H, W\), not ndarray"),
        (([1],), ArgumentTypeError, r"tensor must be a torch tensor \(N, C, H, W\), not list"),
        (
            (torch.zeros(3, 4, 4),),
            ArgumentError,
            r"shape \(N, C, H, W\) with 1 or 3 channels, not \(3, 4, 4\)",
        ),
        ((torch.zeros(1, 4, 4, 4),), ArgumentError, r"with 1 or 3 channels, not \(1, 4, 4, 4\)"),
        (
            (torch.zeros(1, 3, 4, 4), (1,)),
            ArgumentError,
            "mean must be a number, or one number for each of the 3",
        ),
        (
            (torch.zeros(1, 3, 4, 4), None, (1,)),
            ArgumentError,
            "std must be a number, or one number for each of",
        ),
        (
            (torch.zeros(1, 1, 4, 4), (0,), (1,), True),
            ArgumentError,
            "to_rgb must be False for a tensor with one",
        ),
    ],
)
def test_invalid_arguments(args: Any, kind: type, message: str) -> None:
    """What is not a batch of images, and numbers that do not fit it, are argument errors."""
    with pytest.raises(AssertionError, match=message) as raised:
        tensor2imgs(*args)
    assert type(raised.value) is kind


def test_torch_is_not_imported() -> None:
    """The function works, up to the error for an array, without torch."""
    code = (
        "import sys; sys.modules['torch'] = None; import numpy as np; from cfgtrain.image import tensor2imgs\n"
        "try: tensor2imgs(np.zeros((1, 3, 2, 2)))\nexcept AssertionError: print('refused')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"
