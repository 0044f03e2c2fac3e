"""Large tensors are copied into the batch while it is loaded."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.data import Dataset

from cfgtrain.data import build_dataloader
from cfgtrain.errors import SampleError

SHAPE = (3, 96, 96)


class _Kept(Dataset[Any]):
    """Samples that the dataset keeps; ``change`` makes one different."""

    def __init__(self, change: Any = None) -> None:
        generator = torch.Generator().manual_seed(0)
        self.samples = [
            {"label": i, "img": torch.rand(SHAPE, generator=generator), "few": torch.tensor([i])}
            for i in range(6)
        ]
        if change is not None:
            change(self.samples[4])

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Any:
        return self.samples[index]


def _load(dataset: Any, **settings: Any) -> list[Any]:
    return list(build_dataloader(dataset, 3, settings.pop("workers", 0), shuffle=False, **settings))


def test_batches_have_the_values_and_the_order_of_keys_of_the_samples() -> None:
    """A batch has all keys in their order, and the tensors of its samples, which are not changed."""
    dataset = _Kept()
    before = [sample["img"].clone() for sample in dataset.samples]
    first, second = _load(dataset)
    assert list(first) == ["label", "img", "few"]
    assert torch.equal(torch.cat([first["img"], second["img"]]), torch.stack(before))
    assert first["label"].tolist() == [0, 1, 2] and second["few"].tolist() == [[3], [4], [5]]
    first["img"].zero_()
    assert all(torch.equal(sample["img"], kept) for sample, kept in zip(dataset.samples, before, strict=True))


def test_batches_are_independent() -> None:
    """A batch that is kept is not changed by the next one."""
    first, second = _load(_Kept())
    assert first["img"].data_ptr() != second["img"].data_ptr()
    assert not torch.equal(first["img"], second["img"])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_another_dtype_is_an_error(dtype: torch.dtype) -> None:
    """A sample of another dtype is named, as it is with workers."""
    with pytest.raises(SampleError, match="'img' in a batch have different dtypes"):
        _load(_Kept(lambda sample: sample.update(img=sample["img"].to(dtype))))


def test_another_shape_or_key_is_an_error() -> None:
    """A sample of another shape or with another key is named."""
    with pytest.raises(SampleError, match=r"different shapes.*\(3, 96, 96\).*\(3, 96, 90\)"):
        _load(_Kept(lambda sample: sample.update(img=sample["img"][..., :90])))
    with pytest.raises(SampleError, match="different keys"):
        _load(_Kept(lambda sample: sample.pop("img")))
    with pytest.raises(SampleError, match="different keys"):
        _load(_Kept(lambda sample: sample.update(img2=torch.zeros(SHAPE))))


def test_a_tensor_that_is_not_copied() -> None:
    """A tensor with a gradient in the middle of a batch stays in its sample, and the batch has its values."""
    dataset = _Kept(lambda sample: sample["img"].requires_grad_())
    _, second = _load(dataset)
    assert torch.equal(second["img"], torch.stack([sample["img"] for sample in dataset.samples[3:]]))


def test_a_custom_function_is_given_the_samples() -> None:
    """A custom collate function gets the samples that the dataset returned."""
    seen: list[Any] = []

    def collate(samples: list[Any]) -> Any:
        seen.extend(samples)
        return {"img": torch.stack([sample["img"] for sample in samples])}

    dataset = _Kept()
    _load(dataset, collate_fn=collate)
    assert all(a is b for a, b in zip(seen, dataset.samples, strict=True))


def test_a_gradient_of_a_sample_is_kept() -> None:
    """Tensors with a gradient are stacked as torch does it."""
    dataset = _Kept()
    for sample in dataset.samples:
        sample["img"].requires_grad_()
    assert _load(dataset)[0]["img"].requires_grad
