from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tiny import TO_TENSORS, Squares, TinyNet, same
from torch import nn

from cfgtrain.data import build_dataloader
from cfgtrain.evaluation.inference import LossSums, predict_batches, single_gpu_test
from cfgtrain.metrics import MSE, build_metrics
from cfgtrain.parallel import OnDevice
from cfgtrain.random_state import RandomState


class Echo(nn.Module):
    """Returns its input, and records how it was called."""

    def __init__(self, as_list: bool = False) -> None:
        super().__init__()
        self.inner = nn.Dropout()
        self.as_list = as_list
        self.calls: list[Any] = []

    def forward(self, return_loss: bool = True, **batch: torch.Tensor) -> Any:
        self.calls.append((return_loss, self.training, self.inner.training, torch.is_grad_enabled()))
        return batch["x"].tolist() if self.as_list else batch["x"]


BATCHES = [{"x": torch.tensor([[1.0], [2.0]])}, {"x": torch.tensor([[3.0]])}]


@pytest.mark.parametrize("as_list", [False, True])
def test_one_prediction_per_sample_in_order(as_list: bool) -> None:
    """Batches of tensors or lists are split into samples in the order of the loader."""
    results = single_gpu_test(Echo(as_list), BATCHES)
    assert [float(result[0]) for result in results] == [1, 2, 3]
    assert as_list or all(isinstance(result, np.ndarray) for result in results)


def test_how_the_model_is_called() -> None:
    """The model is called with ``return_loss=False``, in eval mode and without gradients."""
    model = Echo()
    single_gpu_test(model, BATCHES)
    assert model.calls == [(False, False, False, False)] * 2


def test_modes_are_restored() -> None:
    """Each module is afterwards in its previous mode, a frozen part too."""
    model = Echo()
    model.inner.eval()
    single_gpu_test(model, BATCHES)
    assert (model.training, model.inner.training) == (True, False)


def test_modes_are_restored_after_an_error() -> None:
    """A model that fails is afterwards in its previous mode."""
    model = Echo()
    with pytest.raises(KeyError):
        single_gpu_test(model, [{"y": torch.ones(1)}])
    assert model.training


def test_random_state_is_restored() -> None:
    """Random numbers drawn by the model and the data do not change those of the training."""

    class Noisy(Echo):
        def forward(self, return_loss: bool = True, **batch: torch.Tensor) -> Any:
            return torch.rand(2) + np.random.rand()

    before = RandomState.capture()
    single_gpu_test(Noisy(), BATCHES)
    assert same(RandomState.capture(), before)


def test_progress_is_called_for_each_batch() -> None:
    """The callback receives the number of samples of each batch."""
    done: list[int] = []
    single_gpu_test(Echo(), BATCHES, done.append)
    assert done == [2, 1]


@pytest.mark.parametrize("workers", [0, 1])
def test_weights_and_buffers_are_not_changed(workers: int) -> None:
    """Predicting the samples of a real loader changes neither weights nor batch statistics."""
    model = TinyNet(dropout=0.5)
    dataset = Squares(7, pipeline=[*TO_TENSORS, {"type": "Collect", "keys": ["img"]}])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    results = single_gpu_test(model, build_dataloader(dataset, 3, workers, shuffle=False))
    assert np.stack(results).shape == (7, 3)
    assert same(model.state_dict(), before)


class WithLoss(Echo):
    """Returns a loss with its predictions: the mean of the inputs."""

    def forward_with_loss(self, x: torch.Tensor) -> Any:
        self.calls.append("with loss")
        return x, {"loss": x.mean(), "acc": x.mean()}


@pytest.mark.parametrize("wrapped", [False, True])
def test_losses_are_averaged_over_samples(wrapped: bool) -> None:
    """The model is called once per batch; each loss is the mean over all samples, other values are left out."""
    model, losses = WithLoss(), LossSums()
    results = single_gpu_test(
        OnDevice(model, torch.device("cpu")) if wrapped else model, BATCHES, losses=losses
    )
    assert [float(result[0]) for result in results] == [1, 2, 3]
    assert losses.means() == {"loss": 2.0}
    assert model.calls == ["with loss"] * 2


@pytest.mark.parametrize("wrapped", [False, True])
def test_model_without_losses(wrapped: bool) -> None:
    """It is called as if no losses were asked for, in a wrapper too."""
    model, losses = Echo(), LossSums()
    single_gpu_test(OnDevice(model, torch.device("cpu")) if wrapped else model, BATCHES, losses=losses)
    assert losses.means() == {}
    assert [call[0] for call in model.calls] == [False, False]


def test_losses_of_several_processes() -> None:
    """They are weighted by the samples of each."""
    shares = []
    for value, samples in ((1.0, 3), (5.0, 1)):
        sums = LossSums()
        sums.add({"loss": torch.tensor(value)}, samples)
        shares.append(sums.sums())
    together = LossSums()
    together.merge(shares)
    assert together.means() == {"loss": 2.0}


def test_batches_are_predicted_one_by_one() -> None:
    """The generator yields each batch with its predictions; closing it restores the mode and the random state."""
    model, before = Echo(), RandomState.capture()
    batches = predict_batches(model, BATCHES)
    predictions, batch, losses = next(batches)
    assert (predictions.tolist(), losses) == ([[1.0], [2.0]], {})
    assert batch is BATCHES[0]
    torch.rand(1)
    assert not model.training
    batches.close()
    assert model.training
    assert torch.is_grad_enabled()
    assert same(RandomState.capture(), before)


def test_tuples_are_passed_by_position() -> None:
    """The items of a batch that is a tuple are positional arguments, with losses too."""

    class Pairs(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor, return_loss: bool = True) -> Any:
            return x + y

        def forward_with_loss(self, x: torch.Tensor, y: torch.Tensor) -> Any:
            return x + y, {"loss": y.mean()}

    batch = (torch.ones(2), torch.full((2,), 3.0))
    losses = LossSums()
    assert single_gpu_test(Pairs(), [batch]) == [4, 4]
    assert single_gpu_test(OnDevice(Pairs(), torch.device("cpu")), [batch], losses=losses) == [4, 4]
    assert losses.means() == {"loss": 3.0}


def test_metrics_without_predictions() -> None:
    """Metrics are updated with each batch; without ``keep`` no predictions are returned."""
    metrics = build_metrics([MSE(target="x")])
    assert single_gpu_test(Echo(), BATCHES, metrics=metrics, keep=False) == []
    assert metrics.compute() == {"mse": 0.0}
    assert len(single_gpu_test(Echo(), BATCHES, metrics=metrics)) == 3
