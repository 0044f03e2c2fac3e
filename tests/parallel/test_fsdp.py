"""Models whose weights are divided among processes train, and are evaluated, like in one process."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sharded_processes import WAYS, Blocks, in_processes
from tiny import same

from cfgtrain.errors import ArgumentError
from cfgtrain.parallel.fsdp import check_parameters, units_of


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What two processes have trained, evaluated and saved: for each of these, the results of both."""
    folder = tmp_path_factory.mktemp("fsdp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CFGTRAIN_TEST_FOLDER", str(folder))
        results = in_processes("check_sharded", 2, folder)
    return tuple(zip(*results, strict=True))


@pytest.fixture
def trained(found: Any) -> Any:
    """What two processes have trained."""
    return found[0]


@pytest.mark.parametrize("way", list(WAYS))
def test_weights_are_those_of_one_process(way: str, trained: Any) -> None:
    """Two processes with half of each batch end with the weights, averages and norms of one with whole batches."""
    (first, norms), (alone, norms_alone) = trained[0][way]
    second = trained[1][way][0][0]
    tolerance = {"rtol": 0.02, "atol": 0.01} if way == "bf16" else {"rtol": 1e-4, "atol": 1e-6}
    assert first.keys() == alone.keys()
    assert any(name.startswith("ema_") for name in first)
    for name, weight in first.items():
        torch.testing.assert_close(weight, alone[name], **tolerance)
        assert torch.equal(weight, second[name])
    start = Blocks().state_dict()
    assert not torch.allclose(first["ema_head_weight"], start["head.weight"], atol=1e-4)
    assert norms == pytest.approx(norms_alone, rel=1e-4)


def test_every_length_is_evaluated(found: Any) -> None:
    """Every sample counts once, also where processes have samples of different number; unequal loaders are refused."""
    (results, message), (_, other) = found[1]
    for length, (found, loss) in enumerate(results, 1):
        assert found == list(range(length))
        assert loss == pytest.approx((length - 1) / 2)
    assert message == other
    assert "3 and 2 batches" in message


def test_a_loss_that_is_not_finite_is_saved_with_all_weights(found: Any) -> None:
    """All processes stop at the same step; that of the loss saves its batch and the weights of all shards."""
    (kind, message, _, _), (failed, text, weights, files) = found[2]
    assert (kind, failed) == ("ProcessError", "NonFiniteLossError")
    assert "rank 1" in message
    assert "The loss is nan at iteration 3" in text
    assert list(files) == ["nan_iter_3_rank_1.pt"]
    saved = files["nan_iter_3_rank_1.pt"]
    assert saved["batch"].isnan().any()
    assert same(saved["state_dict"], weights)
    assert weights.keys() == Blocks().state_dict().keys()


def test_units() -> None:
    """By default the members of lists of equal modules are units; names, classes and patterns select others."""
    model = Blocks()
    assert units_of(model, None) == ["blocks.0", "blocks.1"]
    assert units_of(model, ["Linear"]) == ["blocks.0.0", "blocks.1.0", "head"]
    assert units_of(model, ["head", "blocks.?"]) == ["blocks.0", "blocks.1", "head"]


def test_unknown_units_are_refused() -> None:
    """A name of no module is an error that suggests a similar one."""
    with pytest.raises(ArgumentError, match="'Linaer' is neither") as caught:
        units_of(Blocks(), ["Linaer"])
    assert "Linear" in str(caught.value.hint)


def test_parameters_without_dimensions_are_refused() -> None:
    """A parameter that is a single number cannot be divided."""
    model = Blocks()
    model.scale = torch.nn.Parameter(torch.ones(()))
    with pytest.raises(ArgumentError, match="'scale' is a single number"):
        check_parameters(model)
