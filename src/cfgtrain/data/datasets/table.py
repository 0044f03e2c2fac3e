"""Tables: rows of csv, npz and parquet files with inputs and targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from cfgtrain.arguments import check_choice
from cfgtrain.data.datasets.splits import check_split, in_interval, larger_split
from cfgtrain.data.datasets.table_encoding import check_metainfo, encode, learn_metainfo
from cfgtrain.data.datasets.table_files import TableFile, WrongRows, place_of, read_table, read_table_or_error
from cfgtrain.data.paths import existing_path
from cfgtrain.data.transforms.compose import Compose
from cfgtrain.errors import ArgumentError
from cfgtrain.metrics.classification import accuracy
from cfgtrain.metrics.regression import MAE, RMSE
from cfgtrain.registries import DATASETS

__all__ = ["Table"]

Task = Literal["regression", "classification"]
Array = np.ndarray[Any, Any]

# The scores of each task; the first is the default.
_REGRESSION_METRICS = {"rmse": RMSE, "mae": MAE}
_SCORES = {"regression": tuple(_REGRESSION_METRICS), "classification": ("accuracy",)}


@DATASETS.register_module()
class Table:
    """The rows of a csv, npz or parquet file.

    A sample is the result of the pipeline for a dict with ``inputs``, a float32 tensor (D,), and ``targets``: for a
    regression a float32 tensor (T,), for a classification an int64 tensor () with the index of the class.

    A column has numbers if most of its cells are numbers, else categories. Numbers are standardized, (x - mean) /
    std, with the statistics of the training rows; a constant column becomes 0. A category becomes its index in the
    sorted categories of the whole file, or ``one_hot`` inputs. The columns, statistics and categories are in
    ``metainfo``, which checkpoints contain, so that all other data is encoded in the same way. A category that
    ``metainfo`` does not have is an error, since the model has never seen it, and so is an empty cell.

    The targets of a regression are standardized as well, so that the usual learning rates suit targets of any
    magnitude. ``restore`` converts predictions and targets back, and so scores are in the units of the file.
    Losses are in standardized units.

    The split of a row is determined by a hash of its content. So it does not change when rows are added, removed or
    sorted, and equal rows are in the same split: no test row is a copy of a training row. The splits have about the
    given fractions of the rows, not exactly.

    Args:
        path: The file, or several files with the same columns; see ``read_table``. The cells of a csv file are
            separated by comma, semicolon, tab or ``|``.
        inputs: Names of the columns that are inputs; None: all but the targets. The name of an array (rows, columns)
            of an npz file selects all its columns.
        targets: Names of the columns that are targets; None: those of ``metainfo``.
        split: Name of a split: a part of the rows.
        fractions: Fraction of each split by name; None: ``dict(train=0.8, val=0.1, test=0.1)``. The statistics are
            computed from the split ``train`` if there is one.
        task: ``"regression"`` or ``"classification"``; None: the former if the targets are numbers.
        categorical: Names of inputs that are categories although they look like numbers.
        standardize: Whether to standardize the numbers.
        one_hot: Whether a column of K categories becomes K inputs, of which one is 1 and the others are 0.
        columns: Names of the columns of a csv file without a line of names.
        delimiter: What separates the cells of a csv file, if none of the above.
        with_targets: Whether samples have targets. False for prediction, where a row with a wrong cell is an error when
            its sample is read, so that the other rows can be predicted. A file that is not valid, or has no such column,
            is one sample with this error.
        metainfo: That of the training dataset; None for the training dataset itself.
        pipeline: Transforms of the samples, each a config or a callable.

    Attributes:
        metainfo: The task, what is known of each input and target, ``one_hot``, and for a classification the
            ``classes``.
        inputs: A float32 array (N, D).
        targets: A float32 array (N, T), an int64 array (N,), or None without targets.

    Raises:
        ArgumentError: The file does not exist, or it has no such column, or an argument is not valid.
        FileContentError: A cell is not valid; the message names the file, the line and the column.
        MissingLibraryError: A parquet file is to be read, and neither pyarrow nor pandas is installed.
    """

    PATHS = ("path",)

    def __init__(
        self,
        path: str | Path | Sequence[str | Path],
        inputs: str | Sequence[str] | None = None,
        targets: str | Sequence[str] | None = None,
        split: str | None = None,
        fractions: Mapping[str, float] | None = None,
        task: Task | None = None,
        categorical: Sequence[str] = (),
        standardize: bool = True,
        one_hot: bool = False,
        columns: Sequence[str] | None = None,
        delimiter: str | None = None,
        with_targets: bool = True,
        metainfo: Mapping[str, Any] | None = None,
        pipeline: Sequence[Any] = (),
    ) -> None:
        fractions = check_split(split, fractions)
        if task is not None:
            check_choice("task", task, _SCORES)
        if with_targets or metainfo is None:
            files = [read_table(each, columns, delimiter) for each in _paths(path)]
        else:
            needed, optional = (
                [each["name"] for each in metainfo.get(key, ())] for key in ("inputs", "targets")
            )
            files = [read_table_or_error(each, needed, columns, delimiter, optional) for each in _paths(path)]
        wanted = _list("inputs", inputs), _list("targets", targets)
        if metainfo is None:
            train = [
                _rows(file, "train" if "train" in (fractions or ()) else split, fractions) for file in files
            ]
            metainfo = learn_metainfo(files, train, *wanted, task, list(categorical), standardize, one_hot)
        else:
            check_metainfo(files[0], metainfo, *wanted)
        self.metainfo = dict(metainfo)
        self.pipeline = Compose(pipeline)

        chosen = [(file, _rows(file, split, fractions)) for file in files]
        if not sum(len(rows) for _, rows in chosen):
            total = sum(file.num_rows for file in files)
            raise ArgumentError(
                f"None of the {total} rows of {files[0].path} is in the split {split!r}, with "
                f"fractions={dict(fractions or {})}.",
                hint=larger_split(split, fractions) if split is not None and fractions is not None else "",
                argument="split",
            )
        # Of each file: its path, and the line, or else the index, of each row.
        self._origins = [
            (file.path, None if file.lines is None else file.lines[rows], rows) for file, rows in chosen
        ]
        self._unusable = {file.path for file in files if file.error is not None}
        columns_of, one_hot = self.metainfo, self.metainfo["one_hot"]
        self._wrong: WrongRows = {}  # by the index of the sample
        inputs_of: list[Array] = []
        for file, rows in chosen:
            wrong: WrongRows | None = None if with_targets else {}
            before = sum(map(len, inputs_of))
            inputs_of.append(encode(file, columns_of["inputs"], one_hot, wrong)[rows])
            self._wrong |= (
                {before + i: wrong[row] for i, row in enumerate(rows.tolist()) if row in wrong}
                if wrong
                else {}
            )
        self.inputs: Array = np.concatenate(inputs_of)
        self.targets: Array | None = None
        if with_targets:
            self.targets = np.concatenate(
                [encode(file, columns_of["targets"])[rows] for file, rows in chosen]
            )
            if self.task == "classification":
                self.targets = self.targets[:, 0].astype(np.int64)
        # The names for the task of this table; those of the class are for any task.
        self.score_names = self._own_score_names  # type: ignore[method-assign]

    @property
    def task(self) -> str:
        """``"regression"`` or ``"classification"``."""
        return str(self.metainfo["task"])

    @property
    def CLASSES(self) -> tuple[str, ...] | None:  # noqa: N802  # MMCV name
        """Names of the classes, or None for a regression."""
        classes = self.metainfo.get("classes")
        return None if classes is None else tuple(classes)

    @property
    def labels(self) -> Array | None:
        """Class index of each row, (N,), or None for a regression."""
        return self.targets if self.task == "classification" else None

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> Any:
        if index in self._wrong:
            raise self._wrong[index]()
        sample = {"inputs": torch.from_numpy(self.inputs[index].copy())}
        if self.targets is not None:
            sample["targets"] = torch.tensor(self.targets[index])
        return self.pipeline(sample)

    def source(self, index: int) -> str:
        """Return where a row is, such as ``houses.csv, line 17``."""
        index = range(len(self))[index]
        for path, lines, rows in self._origins:
            if index < len(rows):
                if path in self._unusable:
                    return str(path)
                return place_of(path, None if lines is None else int(lines[index]), int(rows[index]))
            index -= len(rows)
        raise IndexError(index)

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the encoded rows and of their encoding."""
        digest = blake2b(repr(self.metainfo).encode(), digest_size=16)
        for array in (self.inputs, *([] if self.targets is None else [self.targets])):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def restore(self, predictions: Any, batch: Any = None) -> tuple[Any, Any]:
        """Convert predictions, and the targets of a batch, to the units of the file.

        Args:
            predictions: What the model returned: a tensor or array (B, T), or (B,) for a single target.
            batch: The batch, a dict, or None.

        Returns:
            The predictions, and a copy of the batch; for a classification both are returned as they are.
        """
        if self.task == "classification":
            return predictions, batch
        if isinstance(batch, Mapping) and "targets" in batch:
            batch = {**batch, "targets": self._in_units(batch["targets"])}
        return self._in_units(predictions), batch

    def evaluate(
        self, results: Sequence[Any], metric: str | Sequence[str] | None = None, logger: Any = None
    ) -> dict[str, float]:
        """Score predictions for all rows, in the units of the file.

        Args:
            results: The N outputs of the model, in the order of the dataset: (T,) standardized values, or one score
                per class.
            metric: ``"rmse"`` or ``"mae"`` (over all targets), for a classification ``"accuracy"``, or several of
                them; None: the first.
            logger: Unused; part of the interface of datasets.

        Raises:
            ArgumentError: The metric does not suit the task, or the number of results is wrong.
        """
        names = self._own_score_names(metric)
        if self.targets is None:
            raise ArgumentError("Predictions cannot be scored without targets, and with_targets is False.")
        if self.task == "classification":
            return {name: accuracy(results, self.targets) for name in names}
        if len(results) != len(self):
            raise ArgumentError(f"There are {len(results)} results for {len(self)} rows.")
        predictions = np.stack([np.asarray(each, dtype=np.float64).reshape(-1) for each in results])  # (N, T)
        if predictions.shape != self.targets.shape:
            raise ArgumentError(
                f"A prediction has {predictions.shape[1]} values, and a row has {self.targets.shape[1]} targets."
            )
        pairs = self._in_units(predictions), {"targets": self._in_units(self.targets.astype(np.float64))}
        scores: dict[str, float] = {}
        for name in names:
            of_name = _REGRESSION_METRICS[name]()
            of_name.update(*pairs)
            scores |= of_name.compute()
        return scores

    @staticmethod
    def score_names(metric: str | Sequence[str] | None = None) -> list[str]:
        """Return the names of the scores that ``evaluate`` may return, for checking a config before the run.

        Raises:
            ArgumentError: The metric is unknown.
        """
        known = [name for names in _SCORES.values() for name in names]
        names = known if metric is None else [metric] if isinstance(metric, str) else list(metric)
        for name in names:
            check_choice("metric", name, known)
        return names

    def _own_score_names(self, metric: str | Sequence[str] | None = None) -> list[str]:
        names = [metric] if isinstance(metric, str) else list(metric or _SCORES[self.task][:1])
        for name in names:
            check_choice(f"metric of a {self.task}", name, _SCORES[self.task])
        return names

    def _in_units(self, values: Any) -> Any:
        columns = self.metainfo["targets"]
        mean, std = ([column[name] for column in columns] for name in ("mean", "std"))
        if isinstance(values, Tensor):
            values = values.float() if not values.is_floating_point() else values
            new = values.new_tensor
            return values * (std[0] if len(std) == 1 else new(std)) + (
                mean[0] if len(mean) == 1 else new(mean)
            )
        return np.asarray(values) * (std[0] if len(std) == 1 else std) + (mean[0] if len(mean) == 1 else mean)

    @classmethod
    def for_prediction(
        cls, inputs: Sequence[str | Path], cfg: Mapping[str, Any], metainfo: Mapping[str, Any]
    ) -> Self:
        """Return the rows of files without targets; reading one with a wrong cell raises a ``FileContentError``.

        A file that is not valid is one sample, which raises the error. If ``columns`` names the columns of the training
        files, other files may lack those of the targets, or have a line of names.

        Args:
            inputs: The files.
            cfg: Config of a table, such as ``data.test``; its path and split are not used.
            metainfo: That of the training dataset.
        """
        kept = {key: cfg[key] for key in ("columns", "delimiter", "pipeline") if key in cfg}
        return cls(list(inputs), with_targets=False, metainfo=metainfo, **kept)


def _paths(path: Any) -> list[Path]:
    several = path if isinstance(path, list | tuple) else [path]
    if not several:
        raise ArgumentError("path must be a file, or a list of files, not an empty list.", argument="path")
    return [existing_path("path", each, "file") for each in several]


def _rows(file: TableFile, split: str | None, fractions: Mapping[str, float] | None) -> Array:
    """Return the indices of the rows of a split, or of all rows if there is none."""
    if split is None or fractions is None:
        return np.arange(file.num_rows)
    return np.flatnonzero(in_interval(file.positions, split, fractions))


def _list(name: str, value: Any) -> list[str] | None:
    if value is None:
        return None
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names or not all(isinstance(each, str) for each in names):
        raise ArgumentError(
            f"{name} must be the name of a column, or a list of names, not {value!r}.", argument=name
        )
    return list(names)
