"""The dry run: what it finds, what it leaves out, and that it changes nothing."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import Squares, TinyNet, same
from torch import Tensor, nn
from torch.utils.data import IterableDataset

from cfgtrain.check.dry_run import DryRun, try_batches
from cfgtrain.check.restored import is_lazy, restored
from cfgtrain.cnn import MODELS
from cfgtrain.config import Config
from cfgtrain.data import DATASETS, PIPELINES
from cfgtrain.experiment.assembly import assemble_run
from cfgtrain.metrics import METRICS
from cfgtrain.parallel.wrappers import OnDevice
from cfgtrain.random_state import RandomState, set_random_seed
from cfgtrain.registries import COLLATE_FUNCTIONS
from cfgtrain.runner import RUNNERS, EpochBasedRunner
from cfgtrain.train import train
from cfgtrain.utils.logging import get_logger

PIPELINE = [{"type": "Normalize", "mean": 128, "std": 64}, {"type": "ImageToTensor", "keys": ["img"]}]


class CountingNet(TinyNet):
    """Counts its steps, and draws from a generator of its own; both change its loss."""

    def __init__(self) -> None:
        super().__init__(dropout=0.5)
        self.steps = 0
        self.losses: list[float] = []
        self.own = np.random.default_rng(3)
        self.scale = torch.ones(())

    def train_step(self, data: Any, optimizer: Any = None, **kwargs: Any) -> dict[str, Any]:
        self.steps += 1
        self.scale += 0.5
        loss = self(**data) * (self.steps + self.own.random() + self.scale + len(self.losses))
        self.losses.append(loss.item())
        return {"loss": loss}


class SelfSteppingNet(TinyNet):
    """Steps the optimizer in its training step."""

    def train_step(self, data: Any, optimizer: Any = None, **kwargs: Any) -> dict[str, Any]:
        loss = self(**data)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return {"loss": loss.detach()}


class RecurrentNet(TinyNet):
    """Has an LSTM, which keeps a list of its parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(6, 6)

    def forward(self, img: Tensor, gt_label: Tensor | None = None, return_loss: bool = True) -> Any:
        return super().forward(self.rnn(img.reshape(-1, 6, 6))[0], gt_label, return_loss)


@pytest.fixture(autouse=True)
def registered() -> None:
    """Register the parts of the tests; the registries are restored after each test."""
    for dataset in (Squares, Endless, Once, Again):
        DATASETS.register_module(module=dataset)
    for model in (TinyNet, CountingNet, SelfSteppingNet, RecurrentNet, LazyNet, UncopiedNet):
        MODELS.register_module(module=model)


def config(**changes: Any) -> Config:
    """Return the config of a run of three epochs on squares."""
    dataset = {"type": "Squares", "size": 23, "pipeline": PIPELINE}
    keys: dict[str, Any] = {
        "model": {"type": "TinyNet"},
        "data": {"samples_per_gpu": 5, "train": dataset, "val": {**dataset, "size": 11}, "test": dataset},
        "optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9},
        "runner": {"type": "EpochBasedRunner", "max_epochs": 3},
        "evaluation": {"metrics": ["Accuracy"]},
        "log_config": {"interval": 1},
        "seed": 3,
        "device": "cpu",
    }
    cfg = Config(keys)
    cfg.merge_from_dict(changes)
    return cfg


def tried(cfg: Config) -> DryRun:
    """Return the result of a dry run."""
    set_random_seed(cfg.seed)
    built = assemble_run(cfg, None, get_logger("cfgtrain"))
    return try_batches(cfg, built.runner, built.loaders)


def texts(result: DryRun) -> list[str]:
    """Return the texts of the problems, each at most 15 lines."""
    found = ["\n".join([str(error), *getattr(error, "__notes__", ())]) for error in result.problems]
    assert all(len(text.splitlines()) <= 15 for text in found)
    return found


RUNS: dict[str, dict[str, Any]] = {
    "batch norm and dropout": {"model.dropout": 0.5},
    "worker processes": {"model.dropout": 0.5, "data.workers_per_gpu": 2},
    "state of its own": {"model.type": "CountingNet"},
    "own step": {"model.type": "SelfSteppingNet", "optimizer_config": None},
    "LSTM": {"model.type": "RecurrentNet"},
    "half precision": {"optimizer_config": {"dtype": "bfloat16"}},
    "validation flow": {"workflow": [("train", 1), ("val", 1)]},
}


@pytest.mark.parametrize("changes", RUNS.values(), ids=RUNS)
def test_the_bits_of_a_run_do_not_change(changes: dict[str, Any], tmp_path: Path) -> None:
    """Weights, optimizer, random states and logs are the same with and without a dry run."""
    states, logs = [], []
    for dry in (True, False):
        cfg = config(**changes, work_dir=str(tmp_path / str(dry)), dry_run=dry)
        runner = train(cfg).runner
        saved = torch.load(tmp_path / str(dry) / "latest.pth", weights_only=False)
        states.append([saved["state_dict"], saved["optimizer"], RandomState.capture()])
        logs.append([line for file in Path(runner.work_dir).glob("*.log.json") for line in timeless(file)])
    assert same(*states)
    assert same(*logs)
    assert len(logs[0]) > 10


def timeless(file: Path) -> list[dict[str, Any]]:
    """Return the lines of a JSON log, except its meta, without what depends on the time."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    names = ("mode", "epoch", "iter", "loss", "accuracy", "lr")
    return [{name: line[name] for name in names if name in line} for line in lines if "mode" in line]


class LargeNet(TinyNet):
    """Has no room on a device."""

    def to(self, *args: Any, **kwargs: Any) -> LargeNet:
        if args != ("cpu",):
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return self


def test_a_model_that_has_room_on_no_device_alone() -> None:
    """A model that waits on the CPU for being divided is not tried if it does not fit as a whole."""
    cfg = config()
    built = assemble_run(cfg, None, get_logger("cfgtrain"))
    built.runner.model = OnDevice(LargeNet(), torch.device("cuda"), move=False)
    result = try_batches(cfg, built.runner, built.loaders)
    assert (result.problems, result.loss) == ([], None)
    assert result.skipped == [
        "The batches are not all tried, since a device has no room for the whole model."
    ]


def test_state_is_restored_in_place() -> None:
    """Tensors remain the same objects, two names of a list remain one list, and new attributes are removed."""
    model = CountingNet()
    model.same = model.losses  # type: ignore[assignment]  # a plain attribute
    scale, weight = model.scale, model.fc.weight
    before = model.state_dict()
    copies = {name: value.clone() for name, value in before.items()}
    random_states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    with restored(model):
        torch.rand(1), random.random(), np.random.rand()
        model.train_step({"img": torch.rand(4, 6, 6), "gt_label": torch.tensor([0, 1, 2, 0])})[
            "loss"
        ].backward()
        model.eval()
        model.scale = torch.zeros(())
        model.cache = torch.rand(3)  # type: ignore[assignment]  # a plain attribute
        with torch.no_grad():
            model.fc.weight.add_(1)
    assert model.scale is scale
    assert model.fc.weight is weight
    assert scale == 1
    assert model.same is model.losses
    assert (model.steps, model.losses, model.training, hasattr(model, "cache")) == (0, [], True, False)
    assert same(copies, model.state_dict())
    assert all(each.grad is None for each in model.parameters())
    assert same(random_states, (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()))


def test_tensors_that_cannot_be_written_to() -> None:
    """An expanded buffer, and one that has no shape yet, are left alone."""
    model = TinyNet()
    model.register_buffer("ids", torch.arange(4).expand(3, -1))
    model.add_module("lazy", nn.LazyBatchNorm1d(affine=False))
    assert is_lazy(model)
    with restored(model):
        model.fc.weight.data.fill_(1)
    assert not (model.fc.weight == 1).all()
    assert same(model.ids, torch.arange(4).expand(3, -1))


def test_a_correct_run_has_no_problem() -> None:
    """Without a mistake there are no problems, and the loss of the first batch is known."""
    result = tried(config())
    assert (texts(result), result.warnings, result.skipped) == ([], [], [])
    assert result.loss is not None
    assert 0 < result.loss < 5


class Endless(IterableDataset[Any]):
    """A stream of one sample."""

    opened = 0

    def __iter__(self) -> Any:
        type(self).opened += 1
        yield {"img": torch.zeros(6, 6), "gt_label": 0}


class Once(Endless):
    """A stream that may be opened once."""

    opened = 0


class Again(Endless):
    """A stream that may be opened again."""

    opened = 0
    repeatable = True


class LazyNet(TinyNet):
    """Its layer gets its size from the first batch."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.LazyLinear(3)  # type: ignore[assignment]  # a Linear later


class UncopiedNet(LazyNet):
    """It cannot be copied."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        raise TypeError("no copies")


def test_streams_are_skipped() -> None:
    """A stream is not opened, and that is said, unless it is repeatable."""
    result = tried(config(**{"data.train": {"_delete_": True, "type": "Once"}}))
    assert result.skipped == ["data.train is not tried, since a stream may be readable only once."]
    assert (Once.opened, result.loss) == (0, None)
    result = tried(
        config(**{"data.train": {"_delete_": True, "type": "Again"}, "model.type": "RecurrentNet"})
    )
    assert result.skipped == []
    assert Again.opened == 1
    assert "Expected more than 1 value per channel" in texts(result)[0]  # of the batch norm: it was tried


def test_lazy_parameters() -> None:
    """A model whose parameters have no shape yet is tried as a copy, and keeps them so."""
    cfg = config(**{"model.type": "LazyNet"})
    built = assemble_run(cfg, None, get_logger("cfgtrain"))
    model = built.runner.model
    result = try_batches(cfg, built.runner, built.loaders)
    assert (result.skipped, result.problems) == ([], [])
    assert result.loss is not None
    assert built.runner.model is model
    assert is_lazy(model)
    result = tried(
        config(**{"model.type": "LazyNet", "data.test.pipeline": [{"type": "ImageToTensor", "keys": ["i"]}]})
    )
    assert "data.test" in texts(result)[0]


def test_lazy_model_that_cannot_be_copied() -> None:
    """It is not tried, and that is said; its data is tried."""
    result = tried(config(**{"model.type": "UncopiedNet"}))
    assert result.skipped == [
        "The model is not tried, since its parameters are initialized by the first batch."
    ]
    assert result.problems == []


def test_text_files_are_repeatable(write: Callable[[str, str], Path]) -> None:
    """A stream of a text file is tried: opening it changes nothing."""
    file = write("a.txt", "abcdefgh" * 30)
    stream = DATASETS.build({"type": "TextFile", "path": str(file), "block_size": 4, "stream": True})
    assert isinstance(stream, IterableDataset)
    assert stream.repeatable is True  # type: ignore[attr-defined]
    torch.manual_seed(0)
    first = [each["inputs"].tolist() for each in stream]
    torch.manual_seed(0)
    assert [each["inputs"].tolist() for each in stream] == first


def test_a_runner_with_its_own_steps_is_not_tried() -> None:
    """A step that a custom runner replaces is not tried, and that is said."""

    @RUNNERS.register_module()
    class OwnRunner(EpochBasedRunner):
        def run_iter(self, data_batch: Any, train_mode: bool, **kwargs: Any) -> None:
            raise NotImplementedError

    result = tried(config(**{"runner.type": "OwnRunner"}))
    assert result.skipped == [
        "Training and validation steps are not tried, since OwnRunner has its own run_iter."
    ]
    assert (result.problems, result.loss) == ([], None)


def test_a_batch_processor_is_tried() -> None:
    """A function in place of train_step is called as the runner calls it."""
    calls = []

    def process(model: Any, batch: Any, train_mode: bool) -> dict[str, Any]:
        calls.append((type(model), train_mode))
        return {"loss": model(**batch)}

    cfg = config(workflow=[("train", 1), ("val", 1)])
    built = assemble_run(cfg, None, get_logger("cfgtrain"))
    built.runner.batch_processor = process
    assert try_batches(cfg, built.runner, built.loaders).problems == []
    assert calls == [(TinyNet, True), (TinyNet, False)]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_precision_of_a_decorated_model(dtype: str) -> None:
    """Autocast is for models without decorators: with them, the step is not run in it, as in the run."""
    modes = []

    @MODELS.register_module()
    class Decorated(TinyNet):
        fp16_enabled = False

        def train_step(self, data: Any, optimizer: Any = None, **kwargs: Any) -> dict[str, Any]:
            modes.append(torch.is_autocast_enabled("cpu"))
            return super().train_step(data, optimizer)

    assert tried(config(**{"model.type": "Decorated", "optimizer_config": {"dtype": dtype}})).problems == []
    MODELS.register_module(name="Plain", module=type("Plain", (Decorated,), {}), force=True)
    del Decorated.fp16_enabled
    assert tried(config(**{"model.type": "Plain", "optimizer_config": {"dtype": dtype}})).problems == []
    assert modes == [False, True]


def net(**methods: Any) -> str:
    """Register a network with some methods replaced, and return its name."""
    MODELS.register_module(module=type("Net", (TinyNet,), methods), force=True)
    return "Net"


def without_return_loss(self: Any, img: Tensor, gt_label: Any = None) -> Any:
    return TinyNet.forward(self, img, gt_label, gt_label is not None)


def wrong_width(self: Any, img: Tensor, gt_label: Any = None, return_loss: bool = True) -> Any:
    return self.fc(img.flatten(1)[:, 1:])


def integers(self: Any, img: Tensor, gt_label: Any = None, return_loss: bool = True) -> Any:
    return TinyNet.forward(self, img.long(), gt_label, return_loss)


def half_of_them(self: Any, img: Tensor, gt_label: Any = None, return_loss: bool = True) -> Any:
    out = TinyNet.forward(self, img, gt_label, return_loss)
    return out if return_loss else out[::2]


def nothing(self: Any, img: Tensor, gt_label: Any = None, return_loss: bool = True) -> Any:
    return TinyNet.forward(self, img, gt_label, True) if return_loss else None


def tuple_of_samples(samples: list[Any]) -> Any:
    return tuple(torch.stack([torch.as_tensor(each[key]) for each in samples]) for key in ("img", "gt_label"))


def step(value: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    return lambda self, data, optimizer=None, **kwargs: value(self, data)


MODELS_WRONG: list[tuple[dict[str, Any], list[str]]] = [
    ({"forward": without_return_loss},
     ["Net.forward cannot be called for a prediction: got an unexpected keyword argument 'return_loss'",
      "It gets img, gt_label and return_loss=False"]),
    ({"forward": wrong_width},
     ["RuntimeError: mat1 and mat2 shapes cannot be multiplied (5x35 and 36x3)", "the forward pass of fc (Linear)",
      "The batch has img (5, 1, 6, 6) float32, gt_label (5,) int64 of 0 to 2."]),
    ({"forward": integers}, ["The model cannot process a batch of data.train: ", "the forward pass of norm (BatchNorm1d)"]),
    ({"forward": half_of_them}, ["forward of Net returned 3 predictions, a tensor of shape (3, 3), for a batch of 5 samples"]),
    ({"forward": nothing}, ["forward of Net returned None: a model returns one prediction per sample"]),
    ({"train_step": step(lambda self, data: None)}, ["train_step of Net must return a dict, not None", "Return {"]),
    ({"train_step": step(lambda self, data: {"l": 1})}, ["train_step of Net returns 'l', but no 'loss'"]),
    ({"train_step": step(lambda self, data: {"loss": 1.0})}, ["returns a float as the loss, 1.0", "without .item()"]),
    ({"train_step": step(lambda self, data: {"loss": self(**data).detach()})}, ["does not depend on any parameter"]),
    ({"train_step": step(lambda self, data: {"loss": self(data["img"], return_loss=False)})},
     ["has the shape (5, 3)", "return its mean() or sum()"]),
    ({"train_step": step(lambda self, data: self(**data, image=1))}, ["unexpected keyword argument 'image'", "The batch has img"]),
    ({"forward_with_loss": lambda self, **batch: (self(**batch, return_loss=False), {"loss": 1.0}),
      "val_step": 0}, []),
    ({"forward_with_loss": lambda self, img: (self(img, return_loss=False), {})},
     ["Net.forward_with_loss cannot be called for a prediction", "gt_label"]),
]  # fmt: skip


@pytest.mark.parametrize(("methods", "parts"), MODELS_WRONG)
def test_wrong_models(methods: dict[str, Any], parts: list[str]) -> None:
    """What is wrong with a model is said with the place of the model, once for all datasets."""
    result = tried(config(**{"model.type": net(**methods)}))
    found = texts(result)
    assert len(found) == bool(parts)
    for part in parts:
        assert part in found[0]


class Rootless:
    """A metric with some methods of torchmetrics."""

    def update(self, predictions: Any, targets: Any) -> None:
        if predictions.shape != targets.shape:
            raise ValueError("They have different shapes.")

    def compute(self) -> float:
        raise ValueError("Only one class is present.")

    def reset(self) -> None:
        pass


DATA_WRONG: list[tuple[dict[str, Any], list[str], str]] = [
    ({"data.test.pipeline": [{"type": "ImageToTensor", "keys": ["image"]}]},
     ["'image'", "Did you mean 'img'?", "while loading Sample 0 of Squares"], "data.test"),
    ({"data.train.pipeline": []}, ["The model cannot process a batch of data.train"], "model"),
    ({"evaluation.metrics": [{"type": "Accuracy", "target": "label"}]},
     ["Accuracy needs the targets 'label' of a batch, and a batch has 'img', 'gt_label'"], "evaluation.metrics"),
    ({"evaluation.metrics": ["Rootless"]},
     ["Rootless cannot score a batch of data.val: ValueError: They have different shapes.",
      "The predictions have (5, 3) float32", "The batch has img"], "evaluation.metrics"),
]  # fmt: skip


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(("changes", "parts", "key"), DATA_WRONG)
def test_wrong_data(changes: dict[str, Any], parts: list[str], key: str, workers: int, write: Any) -> None:
    """What is wrong with a dataset or a metric is said with its place."""
    METRICS.register_module(module=Rootless)
    file = write("cfg.json", json.dumps(config().to_dict()))
    cfg = Config.fromfile(file)
    cfg.merge_from_dict({**changes, "data.workers_per_gpu": workers})
    result = tried(cfg)
    found = texts(result)
    for part in parts:
        assert any(part in text for text in found), found
    assert result.problems[0].key is not None
    assert result.problems[0].key.startswith(key)


def test_tuple_batches() -> None:
    """A model that takes a dict and gets tuples is told so."""
    COLLATE_FUNCTIONS.register_module(module=tuple_of_samples)
    found = texts(tried(config(**{"data.collate_fn": "tuple_of_samples"})))
    assert len(found) == 1
    assert (
        "TypeError: the argument after ** must be a mapping, not tuple. The dataset returns tuples"
        in found[0]
    )
    assert "The batch has [0] (5, 1, 6, 6) float32, [1] (5,) int64 of 0 to 2." in found[0]


def test_scores_that_need_more_samples() -> None:
    """A score that cannot be computed for so few samples is a warning: the run may compute it."""

    @METRICS.register_module()
    class OfAll(Rootless):
        def update(self, predictions: Any, targets: Any) -> None:
            pass

    result = tried(config(**{"evaluation.metrics": ["OfAll"]}))
    assert result.problems == []
    assert result.warnings[0] == (
        "The scores of the first batch of data.val cannot be computed: ValueError: Only one class is present."
    )


@pytest.mark.parametrize(
    ("compute", "problem"),
    [
        (lambda self: {"own": self.rigth}, "AttributeError: 'Own' object has no attribute 'rigth'"),
        (lambda self: {"own": 1 / 0}, None),
    ],
)
def test_a_mistake_in_compute(compute: Any, problem: str | None) -> None:
    """A metric whose ``compute`` has a mistake is a problem; one that needs more samples is a warning."""
    own = type("Own", (Rootless,), {"update": lambda self, predictions, targets: None, "compute": compute})
    METRICS.register_module(module=own)
    result = tried(config(**{"evaluation.metrics": ["Accuracy", "Own"]}))
    if problem is None:
        assert result.problems == []
        assert "cannot be computed: ZeroDivisionError" in result.warnings[0]
    else:
        (error,) = result.problems
        assert error.message == f"Own cannot compute the scores of a batch of data.val: {problem}."
        assert str(error.key).startswith("evaluation.metrics")


def test_a_pipeline_that_passes_on_too_much_is_one_problem() -> None:
    """Without Collect, training, validation and test fail in different ways for one reason."""
    model = net(forward_with_loss=lambda self, img, gt_label: (self(img, return_loss=False), {}))
    for transform in (add_to_results, mixed_types):
        PIPELINES.register_module(module=transform)
    steps = [*PIPELINE, {"type": "add_to_results"}]
    parts = {f"data.{part}.pipeline": steps for part in ("train", "val", "test")}
    (found,) = texts(tried(config(**parts, **{"model.type": model})))
    assert "unexpected keyword argument 'path'" in found
    assert "leave 'path' out with dict(type='Collect', keys=[...])" in found
    parts["data.train.pipeline"] = [*steps, {"type": "mixed_types"}]
    (found,) = texts(tried(config(**parts, **{"model.type": model})))
    assert "Values of 'mixed' in a batch have different types" in found
    assert "leave them out with dict(type='Collect', keys=[...])" in found


def add_to_results(results: dict[str, Any]) -> dict[str, Any]:
    return {**results, "path": "a.png"}


def mixed_types(results: dict[str, Any]) -> dict[str, Any]:
    return {**results, "mixed": "text" if results["gt_label"] else None}


def test_loss_that_is_not_finite() -> None:
    """A loss of NaN is a warning: the run decides what it does about it."""
    name = net(train_step=step(lambda self, data: {"loss": self(**data) * float("nan")}))
    result = tried(config(**{"model.type": name}))
    assert result.problems == []
    assert result.warnings[0].startswith(
        "The loss of a batch of data.train is nan, before any training. The batch has"
    )


class Named(Squares):
    """Squares with classes and files, one of which has a wrong label."""

    metainfo = {"classes": ["a", "b", "c"]}  # noqa: RUF012

    def __init__(self, wrong: int = 9, known: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.labels[7] = wrong
        if not known:
            self.targets = self.labels
            self.metainfo = {}

    def __getitem__(self, index: int) -> Any:
        return self.pipeline({"img": self.images[index], "gt_label": self.labels[index]})

    def source(self, index: int) -> str:
        return f"pictures/{index}.png"


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("wrong", [9, -1])
def test_labels_outside_the_classes(wrong: int, known: bool) -> None:
    """The file with the label is named, also where only the batch has the labels; the cause is reported once."""
    DATASETS.register_module(module=Named)
    dataset = {"type": "Named", "wrong": wrong, "known": known}
    cfg = config(
        **{"data.train": dataset, "data.val": dataset, "data.test": dataset, "data.samples_per_gpu": 23}
    )
    (found,) = texts(tried(cfg))
    assert f"The label {wrong} of sample 7 (pictures/7.png) of data.train is out of range" in found
    assert "the model has 3 scores per sample, for the labels 0 to 2." in found
    assert ("Set the number of classes of the model to 10 or more" in found) == (wrong == 9)


def test_ignored_labels_are_right() -> None:
    """A label that the loss ignores is not out of range."""
    DATASETS.register_module(module=Named)

    @MODELS.register_module()
    class Ignoring(TinyNet):
        def __init__(self) -> None:
            super().__init__()
            self.loss = nn.CrossEntropyLoss(ignore_index=9)

        def forward(self, img: Tensor, gt_label: Any = None, return_loss: bool = True) -> Any:
            scores = super().forward(img, None, return_loss=False)
            return self.loss(scores, gt_label) if return_loss else scores

    data = {f"data.{part}": {"type": "Named"} for part in ("train", "val")}
    cfg = config(**data, **{"model.type": "Ignoring"})
    del cfg.evaluation, cfg.data["test"]
    assert texts(tried(cfg)) == []


@pytest.mark.parametrize(("num_classes", "classes"), [(3, 3), (3, 2), (4, 2)])
def test_more_scores_than_classes(num_classes: int, classes: int) -> None:
    """A num_classes that is greater than the number of classes of the data is a warning, which names them."""

    @DATASETS.register_module(force=True)
    class Few(Named):
        metainfo = {"classes": ["a", "b", "c"][:classes]}  # noqa: RUF012

    @MODELS.register_module(force=True)
    class Wide(TinyNet):
        def __init__(self, num_classes: int) -> None:
            super().__init__()
            self.fc = nn.Linear(36, num_classes)

    data = {
        f"data.{part}": {"type": "Few", "wrong": 0, "pipeline": PIPELINE} for part in ("train", "val", "test")
    }
    result = tried(config(**data, model={"type": "Wide", "num_classes": num_classes}))
    assert texts(result) == []
    expected = f"model.num_classes is {num_classes}, and data.train has only {classes} classes: a, b."
    assert result.warnings == ([expected] if num_classes > classes else [])


def test_a_cause_is_reported_once_for_batches_of_several_sizes() -> None:
    """A layer or a loss that fails with batches of 5 and of 3 samples is one problem."""
    small = {"type": "Squares", "size": 3, "pipeline": PIPELINE}
    data = {"data.val": small, "data.test": {**small, "size": 4}}
    layer = net(forward=lambda self, img, gt_label=None, return_loss=True: nn.Linear(7, 2)(img.flatten(1)))
    (found,) = texts(tried(config(**data, **{"model.type": layer})))
    assert "set in_features=36" in found
    supervised = {
        "type": "SupervisedModel",
        "net": [{"type": "torch.nn.Flatten"}, {"type": "torch.nn.LazyLinear", "out_features": 3}],
        "loss": "MSELoss",
        "_delete_": True,
    }
    (found,) = texts(tried(config(**data, model={**supervised, "inputs": "img", "targets": "gt_label"})))
    assert "use CrossEntropyLoss" in found


def test_a_step_of_several_pipelines_is_reported_once(tmp_path: Path) -> None:
    """A step on one line of a config that two datasets use, at different positions, is one problem."""
    (tmp_path / "steps.py").write_text(
        f"""steps = [
    *{PIPELINE!r},
    dict(type="Collect", keys=["img", "label"]),
]
longer = [dict(type="RandomFlip"), *steps]
test_steps = [
    dict(type="Collect", keys=["img", "label"]),
]
data = dict(
    samples_per_gpu=5,
    train=dict(type="Squares", pipeline=longer),
    val=dict(type="Squares", pipeline=steps),
    test=dict(type="Squares", pipeline=test_steps),
)
"""
    )
    cfg = Config.fromfile(tmp_path / "steps.py")
    cfg.merge_from_dict({key: value for key, value in config().items() if key != "data"})
    assert [error.line for error in tried(cfg).problems] == [3, 7]
