from __future__ import annotations

from typing import Any

import pytest
import torch

from cfgtrain.data.transforms import CutMix, Mixup, build_batch_transform
from cfgtrain.errors import ArgumentError, ArgumentTypeError, BuildError, UnknownNameError

LABELS = torch.tensor([0, 3, 1, 2])
# Image i has the value i everywhere, and label LABELS[i].
IMAGES = torch.arange(4.0)[:, None, None, None].expand(4, 3, 20, 30).contiguous()


@pytest.mark.parametrize("transform", [Mixup(0.4), CutMix(), build_batch_transform([{"type": "Mixup"}])])
def test_labels_have_the_weights_of_the_images(transform: Any) -> None:
    """The mean of an image is that of the values of its classes, weighted by its labels."""
    values = torch.zeros(4).scatter(0, LABELS, torch.arange(4.0))  # the value of the images of each class
    torch.manual_seed(0)
    mixed = 0
    for _ in range(30):
        img, soft = transform(IMAGES, LABELS, 4)
        assert img.shape == IMAGES.shape
        assert soft.shape == (4, 4)
        torch.testing.assert_close(soft.sum(1), torch.ones(4))
        torch.testing.assert_close(img.mean((1, 2, 3)), soft @ values, atol=1e-5, rtol=1e-5)
        mixed += bool((soft.max(1).values < 1).any())
    assert mixed > 20
    assert torch.equal(IMAGES[:, 0, 0, 0], torch.arange(4.0))


def test_cut_rectangle() -> None:
    """CutMix copies one rectangle, of all places of the image, and Mixup blends all pixels."""
    torch.manual_seed(1)
    places = torch.zeros(20, 30)
    for _ in range(200):
        img, _ = CutMix()(IMAGES, LABELS, 4)
        cut = (img != IMAGES).any(0).any(0)
        rows, columns = cut.any(1), cut.any(0)
        assert torch.equal(cut, rows[:, None] & columns[None])
        places += cut
    assert (places > 0).all()
    img, _ = Mixup()(IMAGES, LABELS, 4)
    assert (img == img[:, :1, :1, :1]).all()


def test_random_numbers() -> None:
    """They come from torch's global generator, whose state checkpoints contain, and are the same again."""
    transform = build_batch_transform([{"type": "Mixup", "alpha": 0.3}, {"type": "CutMix"}, Mixup(prob=0.5)])
    torch.manual_seed(0)
    for _ in range(7):
        transform(IMAGES, LABELS, 4)
    state = torch.get_rng_state()
    first = [transform(IMAGES, LABELS, 4) for _ in range(5)]
    torch.set_rng_state(state)
    for (img, soft), again in zip(first, [transform(IMAGES, LABELS, 4) for _ in range(5)], strict=True):
        assert torch.equal(img, again[0])
        assert torch.equal(soft, again[1])


def test_probability() -> None:
    """A batch is kept with its images if it is not mixed; its labels become probabilities anyway."""
    img, soft = Mixup(prob=0)(IMAGES, LABELS, 5)
    assert img is IMAGES
    assert soft.tolist() == torch.eye(5)[LABELS].tolist()
    torch.manual_seed(0)
    kept = sum(Mixup(prob=0.3)(IMAGES, LABELS, 4)[0] is IMAGES for _ in range(200))
    assert 120 < kept < 160


def test_soft_labels() -> None:
    """Labels that are probabilities, or several classes at once, are mixed as they are."""
    several = torch.tensor([[1, 1], [0, 0]])
    torch.manual_seed(2)
    _, soft = Mixup()(IMAGES[:2], several, 2)
    assert soft.dtype == torch.float32
    assert soft.sum().item() == pytest.approx(2)
    with pytest.raises(ArgumentError, match=r"or probabilities \(B, 3\), not torch.int64 of shape \(2, 2\)"):
        Mixup()(IMAGES[:2], several, 3)


@pytest.mark.parametrize(
    ("transforms", "kind", "message"),
    [
        ([], ArgumentError, "at least one batch transform"),
        ({"type": "Mixup"}, ArgumentTypeError, "transforms must be a list of batch transforms"),
        (["Mixup"], ArgumentTypeError, "must be a config or a callable, not 'Mixup'"),
        ([{"type": "MixUp"}], UnknownNameError, "Did you mean 'Mixup'"),
        ([{"type": "Mixup", "alfa": 1}], BuildError, "Did you mean 'alpha'"),
        ([{"type": "CutMix", "alpha": 0}], ArgumentError, "alpha must be positive"),
        ([{"type": "CutMix", "prob": 3}], ArgumentError, "prob must be from 0 to 1"),
    ],
)
def test_invalid_batch_transforms(transforms: Any, kind: type[Exception], message: str) -> None:
    """What is wrong is found when the transforms are built."""
    with pytest.raises(kind, match=message):
        build_batch_transform(transforms)
