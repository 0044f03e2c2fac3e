"""Positional encodings, compared with formulas."""

from __future__ import annotations

import math

import pytest
import torch

from cfgtrain.cnn.bricks.transformer import LearnedPositionalEncoding, SinePositionalEncoding
from cfgtrain.errors import ArgumentError


def test_sines_and_cosines() -> None:
    """Each channel of each pixel is the sine or cosine of its row or column, counted from 1."""
    out = SinePositionalEncoding(6, temperature=100)(torch.zeros(2, 4, 5, dtype=torch.bool))
    assert out.shape == (2, 12, 4, 5)
    assert out.dtype == torch.float32
    for row in range(4):
        for column in range(5):
            for channel in range(12):
                at = row + 1 if channel < 6 else column + 1
                wave = math.sin if channel % 2 == 0 else math.cos
                i = channel % 6 // 2
                assert out[1, channel, row, column].item() == pytest.approx(
                    wave(at / 100 ** (2 * i / 6)), abs=1e-6
                )


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float32])
def test_padding_is_not_counted(dtype: torch.dtype) -> None:
    """Rows and columns are counted within the image, whose pixels are 0 in the mask, and normalized by their number."""
    mask = torch.ones(1, 4, 6)
    mask[:, :3, :4] = 0
    encoding = SinePositionalEncoding(2, normalize=True, scale=2.0, eps=0.5, offset=0.25)
    out = encoding(mask.to(dtype))[0]
    for row in range(3):
        for column in range(4):
            y = (row + 1 + 0.25) / (3 + 0.5) * 2
            x = (column + 1 + 0.25) / (4 + 0.5) * 2
            expected = [math.sin(y), math.cos(y), math.sin(x), math.cos(x)]
            assert out[:, row, column].tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("wrong", "right"), [(7, "6 or 8"), (1, "2")])
def test_odd_numbers_of_channels(wrong: int, right: str) -> None:
    """An odd number of channels is an error that says what would fit."""
    with pytest.raises(ArgumentError, match=f"num_feats must be even.*It can be {right}"):
        SinePositionalEncoding(wrong)


def test_learned_vectors() -> None:
    """A pixel has the vector of its column and then that of its row."""
    encoding = LearnedPositionalEncoding(3, row_num_embed=4, col_num_embed=6)
    out = encoding(torch.zeros(2, 3, 5))
    assert out.shape == (2, 6, 3, 5)
    for row in range(3):
        for column in range(5):
            expected = torch.cat((encoding.col_embed.weight[column], encoding.row_embed.weight[row]))
            assert torch.equal(out[1, :, row, column], expected)


def test_learned_vectors_are_trained_and_initialized() -> None:
    """Gradients reach the vectors that are used, and initial values are from 0 to 1."""
    encoding = LearnedPositionalEncoding(64)
    encoding.init_weights()
    weights = torch.cat([p.detach().flatten() for p in encoding.parameters()])
    assert weights.min() >= 0
    assert weights.max() <= 1
    assert abs(weights.mean() - 0.5) < 0.02
    encoding(torch.zeros(2, 3, 5)).sum().backward()
    assert encoding.row_embed.weight.grad is not None
    assert encoding.row_embed.weight.grad.sum(1).tolist() == [2 * 5 * 64] * 3 + [0] * 47
    assert sorted(encoding.state_dict()) == ["col_embed.weight", "row_embed.weight"]


def test_too_many_rows() -> None:
    """An image that is larger than the tables is an error that names what to set."""
    encoding = LearnedPositionalEncoding(3, row_num_embed=4, col_num_embed=6)
    with pytest.raises(
        ArgumentError, match=r"5 rows and 2 columns.* 4 rows and 6 columns: set row_num_embed"
    ):
        encoding(torch.zeros(1, 5, 2))


def test_repr_has_the_arguments() -> None:
    """The printed layers show their arguments."""
    assert "num_feats=4, temperature=10000, normalize=True" in repr(SinePositionalEncoding(4, normalize=True))
    assert "num_feats=4, row_num_embed=50" in repr(LearnedPositionalEncoding(4))
