"""Models whose layers several processes compute together train, and are evaluated, like in one process."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tensor_parallel_processes import WAYS, Scorer, in_processes, transformer
from torch import nn

from cfgtrain.cnn import VisionTransformer
from cfgtrain.cnn.bricks.transformer import FFN
from cfgtrain.errors import ArgumentError
from cfgtrain.parallel.dist import data_rank_and_size, one_per_share, set_tensor_parallel
from cfgtrain.parallel.tensor_parallel import plan_of

FEED_FORWARD = {
    "blocks.0.ffn.0": "colwise",
    "blocks.0.ffn.2": "rowwise",
    "blocks.1.ffn.0": "colwise",
    "blocks.1.ffn.2": "rowwise",
}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What two processes have computed, which have the same data."""
    return _everything(2, tmp_path_factory)


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What four processes have computed, of which two and two have the same data."""
    return _everything(4, tmp_path_factory)


def _everything(count: int, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """Return the results of all processes, by function."""
    folder = tmp_path_factory.mktemp("together")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        found = in_processes("do_everything", count, folder)
    return {name: [each[name] for each in found] for name in found[0]}


@pytest.fixture(params=["two", pytest.param("four", marks=pytest.mark.slow)])
def together(request: pytest.FixtureRequest) -> Any:
    """What two, and what four processes have computed."""
    return request.getfixturevalue(request.param)


def _check_way(way: str, trained: Any) -> None:
    (first, norms), (alone, norms_alone) = trained[0][way]
    tolerance = {"rtol": 0.05, "atol": 0.02} if way == "bf16" else {"rtol": 1e-4, "atol": 2e-6}
    assert first.keys() == alone.keys()
    assert any(name.startswith("ema_") for name in first)
    start = transformer().state_dict()
    for name, weight in first.items():
        torch.testing.assert_close(weight, alone[name], **tolerance)
        assert all(torch.equal(weight, other[way][0][0][name]) for other in trained[1:])
    assert not torch.allclose(first["blocks.0.ffn.0.weight"], start["blocks.0.ffn.0.weight"], atol=1e-4)
    assert norms == pytest.approx(norms_alone, rel=1e-4)
    assert ("norm" in way) == bool(norms)


@pytest.mark.parametrize("way", list(WAYS))
def test_weights_are_those_of_one_process(way: str, two: Any) -> None:
    """Two processes that compute layers together end with the weights, averages and norms of one process."""
    _check_way(way, two["train_together"])


@pytest.mark.slow
@pytest.mark.parametrize("way", [way for way in WAYS if way != "dropout"])
def test_four_processes_share_data_and_layers(way: str, four: Any) -> None:
    """Two groups of two processes, each with half of each batch, end like one process with whole batches."""
    _check_way(way, four["train_together"])


def test_shards_are_read_by_one_process(together: Any) -> None:
    """One process reads the weights and the state of the optimizer from a folder, and divided models load whole ones."""
    for saved, alone, divided, loaded, expected in together["save_and_load"]:
        for (weights, moments), (other_weights, other_moments) in ((saved, alone), (saved, divided)):
            assert weights.keys() == other_weights.keys()
            assert all(torch.equal(each, other_weights[name]) for name, each in weights.items())
            assert all(torch.equal(each, other_moments[name]) for name, each in moments.items())
        assert all(torch.equal(each, loaded[name]) for name, each in expected.items())


def test_every_sample_is_evaluated_once(together: Any) -> None:
    """Samples that several processes have predicted together count once."""
    first, *others = together["evaluate_together"]
    for length, (found, loss) in enumerate(first, 1):
        assert found == list(range(length))
        assert loss == pytest.approx((length - 1) / 2)
    assert all(found is None for each in others for found, _ in each)


def test_feed_forward_networks_give_a_plan(together: Any) -> None:
    """A feed-forward network of a transformer computes the same when it is divided by its own plan."""
    for (out, kind, gradients), (expected, _, whole) in together["compute_feed_forward"]:
        assert kind is torch.Tensor
        torch.testing.assert_close(out, expected)
        assert gradients.keys() == whole.keys()
        for name, each in gradients.items():
            torch.testing.assert_close(each, whole[name])
    assert FFN(6, 8, num_fcs=3).tensor_parallel_plan() == {}
    assert FFN(6, 8, act_cfg={"type": "PReLU"}).tensor_parallel_plan() == {}
    vit = VisionTransformer("tiny", img_size=32)
    assert len(plan_of(vit, 2)) == 2 * vit.num_layers


def test_inputs_that_do_not_fit_a_plan_are_refused(two: Any) -> None:
    """A rowwise layer that gets whole inputs, and a colwise one that gets a part, are errors with both numbers."""
    for rowwise, colwise in two["give_wrong_inputs"]:
        assert "'fc2' is divided rowwise" in rowwise
        assert "a part of the output of a colwise layer: 2 in each process. It has 4." in rowwise
        assert "'fc2' is divided colwise" in colwise
        assert "all features: 4 in each process. It has 2." in colwise


def test_processes_with_the_same_data() -> None:
    """A process alone has all of the data, and the values of all processes are kept, unless layers are divided."""
    assert data_rank_and_size() == (0, 1)
    assert one_per_share([1, 2, 3, 4]) == [1, 2, 3, 4]
    set_tensor_parallel(2)
    try:
        assert data_rank_and_size() == (0, 1)
        assert one_per_share([1, 2, 3, 4]) == [1, 3]
    finally:
        set_tensor_parallel(1)


def test_plan_of_a_model() -> None:
    """A model, or a module in it, gives its plan; the plan of a config replaces it."""
    model = transformer()
    assert plan_of(model, 2) == FEED_FORWARD
    outer = nn.Sequential(model)
    assert plan_of(outer, 2) == {f"0.{name}": style for name, style in FEED_FORWARD.items()}
    assert plan_of(model, 2, {"positions": "colwise"}) == {"positions": "colwise"}
    scorer = Scorer()
    scorer.tensor_parallel_plan = lambda: {"fc1": "colwise"}
    assert plan_of(scorer, 2) == {"fc1": "colwise"}


def _tied() -> nn.Module:
    model = transformer()
    model.head.weight = model.tokens.weight
    return model


def _normalized() -> nn.Module:
    model = Scorer()
    nn.utils.parametrizations.weight_norm(model.fc1)
    return model


@pytest.mark.parametrize(
    ("model", "size", "plan", "messages"),
    [
        (Scorer, 2, None, ["Scorer gives no plan", "'blocks.*.ffn.0': 'colwise'", "tensor_parallel_plan"]),
        (transformer, 2, {"blocks.*.ffm.0": "colwise"}, ["'blocks.*.ffm.0'", "no module", "blocks.0.ffn.0"]),
        (transformer, 2, {"blocks.*.ffn": "colwise"}, ["'blocks.0.ffn', a Sequential", "blocks.0.ffn.0"]),
        (transformer, 2, {"head": "colwize"}, ["not 'colwize'", "Did you mean 'colwise'"]),
        (
            transformer,
            2,
            {"head": "colwise"},
            ["'head' cannot be divided colwise", "out_features, 11", "of 2"],
        ),
        (transformer, 3, {"blocks.*.ffn.2": "rowwise"}, ["in_features, 64", "no multiple of 3"]),
        (transformer, 2, {"tokens": "rowwise"}, ["num_embeddings, 11"]),
        (
            transformer,
            2,
            {"*.ffn.0": "colwise", "blocks.0.ffn.[02]": "rowwise"},
            ["both colwise and rowwise"],
        ),
        (_tied, 1, {"tokens": "rowwise"}, ["'tokens'", "shares a weight: 'head.weight'"]),
        (_normalized, 2, {"fc1": "colwise"}, ["'fc1'", "computed from other parameters"]),
    ],
)
def test_wrong_plans_are_refused(model: Any, size: int, plan: Any, messages: list[str]) -> None:
    """A plan that does not fit the model is an error that names the layer and what would be right."""
    with pytest.raises(ArgumentError) as caught:
        plan_of(model(), size, plan)
    text = f"{caught.value.message} {caught.value.hint}"
    for message in messages:
        assert message in text
