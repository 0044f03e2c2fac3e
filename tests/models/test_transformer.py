from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from cfgtrain.errors import ArgumentError
from cfgtrain.models import TinyTransformer

TOKENS = torch.tensor([[1, 2, 3, 4, 0], [4, 3, 2, 1, 0]])


@pytest.fixture
def model() -> TinyTransformer:
    torch.manual_seed(0)
    return TinyTransformer(vocab_size=5, block_size=6, embed_dims=16, num_layers=2, num_heads=2)


def test_loss_and_predictions(model: TinyTransformer) -> None:
    """The loss is the cross entropy per token; predictions are probabilities of the next token."""
    probabilities = model(TOKENS, return_loss=False)
    assert probabilities.shape == (2, 5, 5)
    assert torch.allclose(probabilities.sum(-1), torch.ones(2, 5))
    expected = functional.nll_loss(probabilities.log().flatten(0, 1), TOKENS.flatten())
    batch = {"inputs": TOKENS, "targets": TOKENS}
    outputs = model.train_step(batch)
    outputs["loss"].backward()
    assert torch.allclose(outputs["loss"], expected)
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert torch.equal(model.val_step((TOKENS, TOKENS))["loss"], outputs["loss"])
    predicted, losses = model.forward_with_loss(**batch)
    assert torch.equal(predicted, probabilities)
    assert torch.equal(losses["loss"], outputs["loss"])
    assert model.forward_with_loss(TOKENS)[1] == {}


def test_no_token_sees_the_next_ones(model: TinyTransformer) -> None:
    """A change of a token changes the predictions from its position on only."""
    changed = TOKENS.clone()
    changed[:, 3] = 0
    before, after = model(TOKENS, return_loss=False), model(changed, return_loss=False)
    assert torch.allclose(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3], after[:, 3])
    assert not torch.allclose(before[:, 4], after[:, 4])


def test_learns_a_sequence(model: TinyTransformer) -> None:
    """A few steps teach it to count, and it continues the sequence that it is given."""
    tokens = torch.arange(7) % 5
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        starts = torch.randint(0, 5, (8, 1))
        rows = (starts + tokens) % 5
        model.train_step({"inputs": rows[:, :-1], "targets": rows[:, 1:]})["loss"].backward()
        optimizer.step()
    assert model.generate(torch.tensor([2]), 9, temperature=0.01).tolist() == [2, 3, 4, 0, 1, 2, 3, 4, 0, 1]


def test_generate(model: TinyTransformer) -> None:
    """The tokens are a function of the generator, for one sequence or several; the model keeps its mode."""
    one = model.generate(TOKENS[0], 8, generator=torch.Generator().manual_seed(3))
    assert torch.equal(one, model.generate(TOKENS[0], 8, generator=torch.Generator().manual_seed(3)))
    assert torch.equal(one[:5], TOKENS[0])
    assert model.generate(TOKENS, 2).shape == (2, 7)
    assert model.generate(TOKENS, 0).equal(TOKENS)
    assert model.training
    with pytest.raises(ArgumentError, match="temperature must be positive"):
        model.generate(TOKENS, 2, temperature=0)
    with pytest.raises(ArgumentError, match=r"at least one token, not of shape \(0,\)"):
        model.generate(TOKENS[0, :0], 2)


def test_generate_from_a_part_of_the_vocabulary(model: TinyTransformer) -> None:
    """Tokens that the dataset does not have are not added; the others are as probable as before to each other."""
    with torch.no_grad():
        model.head.weight[3:] += 100 * model.norm.weight  # the last tokens are by far the most probable
        model.norm.bias += 1
    tokens = torch.tensor([0, 1])
    assert max(model.generate(tokens, 40).tolist()) > 2
    assert set(model.generate(tokens, 40, vocab_size=3).tolist()) == {0, 1, 2}
    with pytest.raises(ArgumentError, match="vocab_size"):
        model.generate(tokens, 1, vocab_size=0)


def test_dropout_only_in_training() -> None:
    """Two passes differ in training mode only."""
    model = TinyTransformer(5, 6, 16, 1, 2, dropout=0.5)
    assert not torch.equal(model(TOKENS, return_loss=False), model(TOKENS, return_loss=False))
    model.eval()
    assert torch.equal(model(TOKENS, return_loss=False), model(TOKENS, return_loss=False))


def test_bad_batches(model: TinyTransformer) -> None:
    """Tokens outside the vocabulary are named, in inputs and targets; so are sequences that are too long."""
    wrong = TOKENS.clone()
    wrong[1, 2] = 7
    for inputs, targets in ((wrong, TOKENS), (TOKENS, wrong)):
        with pytest.raises(ArgumentError, match="token 7 is not in the vocabulary of the model, 0 to 4"):
            model(inputs, targets)
    wrong[1, 2] = -100
    assert model(TOKENS, wrong)["loss"].isfinite()
    with pytest.raises(ArgumentError, match="10 tokens, more than the block_size of the model, 6"):
        model(torch.cat([TOKENS, TOKENS], dim=1), return_loss=False)
    with pytest.raises(ArgumentError, match="requires targets"):
        model(TOKENS)


def test_arguments() -> None:
    """Values out of range are errors."""
    with pytest.raises(ArgumentError, match="num_heads must divide the 10 embed_dims, which 4 does not"):
        TinyTransformer(embed_dims=10)
    with pytest.raises(ArgumentError, match="vocab_size must be at least 1"):
        TinyTransformer(vocab_size=0)
