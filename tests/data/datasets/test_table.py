from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from cfgtrain.config import Config
from cfgtrain.data.builder import build_dataset, metainfo_of
from cfgtrain.data.datasets import table_files
from cfgtrain.data.datasets.table import Table
from cfgtrain.errors import ArgumentError, EncodingError, FileContentError, MissingLibraryError
from cfgtrain.experiment.assembly import build_loaders

HOUSES = """\
rooms,area,town,price
3,70.5,Ulm,210000
4,96,Bonn,350000
2,51,Ulm,150000
5,130,Kiel,420000
"""

FRACTIONS = {"train": 0.8, "val": 0.1, "test": 0.1}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("houses.csv").write_text(HOUSES)
    return tmp_path


def write_many(path: str = "many.csv", rows: int = 400, seed: int = 0) -> None:
    """Write a table with columns x, z, kind and y = 1000 + 50 x - 20 z, in which the kind is determined by x."""
    generator = np.random.default_rng(seed)
    values = generator.normal([10, -3], [2, 0.5], (rows, 2))
    lines = [f"{x},{z},{'high' if x > 10 else 'low'},{1000 + 50 * x - 20 * z}" for x, z in values.tolist()]
    Path(path).write_text("\n".join(["x,z,kind,y", *lines]) + "\n")


def test_regression_samples(folder: Path) -> None:
    """Numbers are standardized by their mean and standard deviation, texts are codes of the sorted categories."""
    table = Table("houses.csv", targets="price")
    assert len(table) == 4
    inputs = torch.stack([table[i]["inputs"] for i in range(4)])
    assert inputs.dtype == torch.float32
    rooms = np.array([3, 4, 2, 5])
    np.testing.assert_allclose(inputs[:, 0], (rooms - 3.5) / np.std(rooms), rtol=1e-6)
    assert inputs[:, 2].tolist() == [2, 0, 2, 1]
    targets = torch.stack([table[i]["targets"] for i in range(4)])
    assert targets.shape == (4, 1)
    assert targets.dtype == torch.float32
    assert abs(float(targets.mean())) < 1e-6
    assert table.metainfo["inputs"][2] == {
        "name": "town",
        "kind": "category",
        "categories": ["Bonn", "Kiel", "Ulm"],
    }
    assert "classes" not in metainfo_of(table)
    assert table.CLASSES is None


def test_classification_samples(folder: Path) -> None:
    """A target with texts is a class, whose names are known to checkpoints."""
    table = Table("houses.csv", inputs=["area"], targets="town")
    assert [int(table[i]["targets"]) for i in range(4)] == [2, 0, 2, 1]
    assert table[0]["targets"].dtype == torch.int64
    assert table[0]["targets"].shape == ()
    assert metainfo_of(table)["classes"] == ["Bonn", "Kiel", "Ulm"]
    assert table.CLASSES == ("Bonn", "Kiel", "Ulm")


def test_numeric_classes(folder: Path) -> None:
    """Numbers can be classes and categories; they are sorted as numbers."""
    Path("t.csv").write_text("a,zip,c\n1,10,10\n2,9,9\n3,10,2\n")
    table = Table("t.csv", targets="c", task="classification", categorical=["zip"])
    assert table.metainfo["classes"] == ["2", "9", "10"]
    assert table.inputs[:, 1].tolist() == [1, 0, 1]
    assert [int(table[i]["targets"]) for i in range(3)] == [2, 1, 0]


def test_one_hot(folder: Path) -> None:
    """With one_hot, a column of three categories becomes three inputs."""
    table = Table("houses.csv", targets="price", one_hot=True)
    assert table.inputs.shape == (4, 5)
    assert table.inputs[:, 2:].tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 1], [0, 1, 0]]


def test_not_standardized(folder: Path) -> None:
    """With standardize=False, inputs and targets have the values of the file."""
    table = Table("houses.csv", inputs="area", targets="price", standardize=False)
    assert table.inputs[:, 0].tolist() == [70.5, 96, 51, 130]
    assert float(table[3]["targets"]) == 420000


def test_constant_column(folder: Path) -> None:
    """A constant column becomes 0 and not NaN."""
    Path("t.csv").write_text("a,b,y\n0.1,1,1\n0.1,2,2\n0.1,3,3\n")
    assert Table("t.csv", targets="y").inputs[:, 0].tolist() == [0, 0, 0]


def test_splits_are_disjoint_and_stable(folder: Path) -> None:
    """Each row is in one split, which does not change when rows are added or moved; fractions are about kept."""
    write_many()
    parts: Any = {
        split: Table("many.csv", targets="y", split=split, fractions=FRACTIONS, standardize=False)
        for split in ("train", "val", "test")
    }
    rows = {split: set(map(tuple, part.inputs.tolist())) for split, part in parts.items()}
    assert sum(map(len, parts.values())) == 400
    assert not (rows["train"] & rows["val"]) and not (rows["test"] & (rows["train"] | rows["val"]))
    assert 0.74 < len(parts["train"]) / 400 < 0.86
    header, *lines = Path("many.csv").read_text().splitlines()
    Path("many.csv").write_text("\n".join([header, "1,2,low,3", *reversed(lines)]))
    moved = Table("many.csv", targets="y", split="val", fractions=FRACTIONS, standardize=False)
    assert rows["val"] <= set(map(tuple, moved.inputs.tolist()))
    assert len(moved) <= len(parts["val"]) + 1


def test_statistics_are_those_of_the_training_rows(folder: Path) -> None:
    """The statistics are computed from the split train, also for a table of another split of the file."""
    write_many()
    train = Table("many.csv", targets="y", split="train", fractions=FRACTIONS)
    assert abs(float(train.inputs[:, 0].mean())) < 1e-5
    assert abs(float(train.inputs[:, 0].std()) - 1) < 1e-5
    assert Table("many.csv", targets="y", split="test", fractions=FRACTIONS).metainfo == train.metainfo
    assert Table("many.csv", targets="y").metainfo != train.metainfo


def test_metainfo_of_the_training_dataset(folder: Path) -> None:
    """A dataset that is given the metainfo of the training dataset uses its statistics, categories and targets."""
    train = Table("houses.csv", targets="price", one_hot=True)
    Path("new.csv").write_text("town;price;rooms;area\nKiel;420000;5;130\n")
    metainfo = pickle.loads(pickle.dumps(train.metainfo))
    new = build_dataset({"type": "Table", "path": "new.csv"}, metainfo=metainfo)
    assert torch.equal(new[0]["inputs"], train[3]["inputs"])
    assert torch.equal(new[0]["targets"], train[3]["targets"])


def test_for_prediction(folder: Path) -> None:
    """Files without targets are encoded like the training dataset."""
    train = Table("houses.csv", targets="price")
    Path("a.csv").write_text("rooms,area,town\n4,96,Bonn\n")
    Path("b.csv").write_text("rooms,area,town,remark\n5,130,Kiel,nice\n")
    cfg = {"type": "Table", "path": "gone.csv", "targets": "price", "split": "test"}
    new = Table.for_prediction([Path("a.csv"), Path("b.csv")], cfg, train.metainfo)
    assert set(new[0]) == {"inputs"}
    assert torch.equal(new[0]["inputs"], train[1]["inputs"])
    assert torch.equal(new[1]["inputs"], train[3]["inputs"])
    assert [new.source(0), new.source(1)] == ["a.csv, line 2", "b.csv, line 2"]
    with pytest.raises(ArgumentError, match="without targets"):
        new.evaluate([[0], [0]])


def test_for_prediction_without_a_line_of_names(folder: Path) -> None:
    """The columns of the config name those of other files, which may lack the targets, or have a line of names."""
    Path("plain.csv").write_text(HOUSES.partition("\n")[2])
    columns = ["rooms", "area", "town", "price"]
    train = Table("plain.csv", targets="price", columns=columns)
    for name, content in (
        ("a.csv", "4,96,Bonn\n5,130,Kiel\n"),
        ("b.csv", "4,96,Bonn,0\n5,130,Kiel,0\n"),
        ("c.csv", "town,rooms,area\nBonn,4,96\nKiel,5,130\n"),
    ):
        Path(name).write_text(content)
        new = Table.for_prediction([name], {"columns": columns}, train.metainfo)
        assert len(new) == 2
        assert torch.equal(new[0]["inputs"], train[1]["inputs"])
        assert torch.equal(new[1]["inputs"], train[3]["inputs"])
    Path("d.csv").write_text("4,96\n")
    new = Table.for_prediction(["d.csv"], {"columns": columns}, train.metainfo)
    with pytest.raises(FileContentError, match=r"line 1 has 2 cells, and there are 4 columns"):
        new[0]


def test_scores_in_units_of_the_file(folder: Path) -> None:
    """Scores and restored values are in the units of the file, although the targets are standardized."""
    table = Table("houses.csv", targets="price")
    assert table.targets is not None
    exact = list(table.targets)
    assert table.evaluate(exact) == {"rmse": pytest.approx(0, abs=0.1)}
    std = table.metainfo["targets"][0]["std"]
    off = [value + 1000 / std * sign for value, sign in zip(exact, (1, -1, 1, -3), strict=True)]
    scores = table.evaluate(off, metric=["mae", "rmse"])
    assert scores["mae"] == pytest.approx(1500, rel=1e-3)
    assert scores["rmse"] == pytest.approx(1000 * 3**0.5, rel=1e-3)
    batch = {"targets": torch.as_tensor(table.targets)}
    for predictions in (torch.as_tensor(table.targets), torch.as_tensor(table.targets[:, 0])):
        restored, new = table.restore(predictions, batch)
        np.testing.assert_allclose(restored.flatten(), [210000, 350000, 150000, 420000], rtol=1e-6)
        np.testing.assert_allclose(new["targets"][:, 0], [210000, 350000, 150000, 420000], rtol=1e-6)
    assert table.restore(predictions)[1] is None


def test_several_targets(folder: Path) -> None:
    """Each target of several has its own mean and standard deviation."""
    table = Table("houses.csv", inputs="rooms", targets=["price", "area"])
    assert table.targets is not None
    restored, _ = table.restore(torch.as_tensor(table.targets))
    np.testing.assert_allclose(restored[1], [350000, 96], rtol=1e-6)
    assert table.evaluate(list(table.targets), "mae")["mae"] == pytest.approx(0, abs=0.1)


def test_accuracy(folder: Path) -> None:
    """A classification is scored by its accuracy, and not by a metric of regressions."""
    table = Table("houses.csv", inputs="area", targets="town")
    scores = list(np.eye(3)[[2, 0, 2, 2]])
    assert table.evaluate(scores) == {"accuracy": 0.75}
    assert table.score_names() == ["accuracy"]
    with pytest.raises(ArgumentError, match="metric of a classification must be 'accuracy', not 'rmse'"):
        table.evaluate(scores, metric="rmse")
    with pytest.raises(ArgumentError, match=r"not 'rsme'. Did you mean 'rmse'"):
        Table.score_names("rsme")


def test_source(folder: Path) -> None:
    """A row is named by its line, also after a quoted cell of several lines and an empty line."""
    Path("t.csv").write_text('a,b,y\n1,"x\ny",1\n\n2,x,2\n')
    table = Table("t.csv", targets="y")
    assert [table.source(0), table.source(1), table.source(-1)] == [
        "t.csv, line 2",
        "t.csv, line 5",
        "t.csv, line 5",
    ]


def test_columns_and_delimiter(folder: Path) -> None:
    """A file without a line of names, and with any delimiter, can be read."""
    Path("t.data").write_text("1 2.5 7\n3 4 8\n")
    table = Table("t.data", targets="y", columns=["a", "b", "y"], delimiter=" ", standardize=False)
    assert table.inputs.tolist() == [[1, 2.5], [3, 4]]


def test_npz(folder: Path) -> None:
    """The arrays of an npz file are columns; an array with two dimensions has several."""
    x = np.arange(6).reshape(3, 2)
    np.savez("t.npz", x=x, y=np.array([5.0, 6, 9]), kind=np.array(["u", "v", "u"]))
    table = Table("t.npz", inputs="x", targets="y", standardize=False)
    assert table.inputs.tolist() == x.tolist()
    assert [each["name"] for each in table.metainfo["inputs"]] == ["x[0]", "x[1]"]
    assert table.source(2) == "t.npz, row 3"
    assert Table("t.npz", targets="kind").metainfo["classes"] == ["u", "v"]
    with pytest.raises(ArgumentError, match=r"no column 'X'. Its columns are x, y, kind"):
        Table("t.npz", inputs="X", targets="y")


def test_parquet(folder: Path) -> None:
    """A parquet file is read with pyarrow, or else with pandas."""
    parquet = pytest.importorskip("pyarrow.parquet")
    pyarrow = pytest.importorskip("pyarrow")
    parquet.write_table(pyarrow.table({"a": [1, 2], "kind": ["u", "v"], "y": [1.5, 2.5]}), "t.parquet")
    table = Table("t.parquet", targets="y", standardize=False)
    assert table.inputs.tolist() == [[1, 0], [2, 1]]
    parquet.write_table(pyarrow.table({"a": [1, None], "y": [1.5, 2.5]}), "gap.parquet")
    with pytest.raises(FileContentError, match="row 2: column 'a' has an empty cell"):
        Table("gap.parquet", targets="y")


def test_parquet_without_library(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyarrow and pandas, the error names both, and the other formats."""
    monkeypatch.setattr(table_files, "find_spec", lambda name: None)
    Path("t.parquet").write_bytes(b"PAR1")
    with pytest.raises(MissingLibraryError, match=r"needs pyarrow or pandas.*csv or npz"):
        Table("t.parquet", targets="y")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,y\n1,2\n,3\n", r"t.csv, line 3: column 'a' has an empty cell, and a number is needed"),
        ("a,y\n1,2\nn/a,3\n5,6\n", r"line 3: column 'a' has the value 'n/a', .* in categorical"),
        ("a,y\n1,2\nnan,3\nnan,6\n", r"line 3: column 'a' has the value 'nan', .* 1 more such cells"),
        ("a,y\n1,2\n3,inf\n5,6\n", r"line 3: column 'y' has the value 'inf', .*must be finite"),
        (
            'a,y\n"1,5",2\n"1,000.5",3\n',
            r"line 2: column 'a' has the value '1,5', .*decimal point and no commas",
        ),
        ("a,y\nu,2\nv,3\n,3\n", r"line 4: column 'a' has an empty cell, and a value is needed"),
        ("a,y\n1,2\n3\n", r"line 3 has 1 cells, and there are 2 columns: a, y"),
        ("1,2\n3,4\n", r"first line .* has numbers, .*columns="),
        ("a,a,y\n1,2,3\n", r"two columns 'a'"),
        ("a,,y\n1,2,3\n", r"Column 2 of t.csv has no name"),
        ("a,y\n", r"t.csv has no rows"),
        ("", r"t.csv has no rows"),
    ],
)
def test_wrong_content(folder: Path, text: str, message: str) -> None:
    """A cell that is not valid is named by its file, line and column."""
    Path("t.csv").write_text(text)
    with pytest.raises(FileContentError, match=message):
        Table("t.csv", targets="y")


def test_not_a_text(folder: Path) -> None:
    """A csv file that is not UTF-8 is an error of its encoding."""
    Path("t.csv").write_bytes(b"a,y\n\xff\xfe\xfa,2\n")
    with pytest.raises(EncodingError, match=r"t\.csv"):
        Table("t.csv", targets="y")


def test_unknown_category(folder: Path) -> None:
    """A category that the training dataset does not have is named with its line and column."""
    train = Table("houses.csv", targets="price")
    Path("new.csv").write_text("rooms,area,town,price\n1,2,Ulm,3\n1,2,Bon,3\n")
    with pytest.raises(
        FileContentError, match=r"line 3: column 'town' has the value 'Bon', .* Did you mean 'Bonn'"
    ):
        Table("new.csv", metainfo=train.metainfo)


def test_a_text_among_new_numbers(folder: Path) -> None:
    """In new data the training dataset decides what a column has, so that categorical is not suggested."""
    train = Table("houses.csv", targets="price")
    Path("new.csv").write_text("rooms,area,town\n1,large,Ulm\n")
    new = Table.for_prediction(["new.csv"], {}, train.metainfo)
    with pytest.raises(FileContentError, match=r"line 2: column 'area' has the value 'large'") as caught:
        new[0]
    assert caught.value.hint == "The column has numbers in the training dataset."


def test_rows_of_a_prediction_with_wrong_cells(folder: Path) -> None:
    """They are errors when they are read, each with its first wrong cell, and the other rows are encoded as ever."""
    train = Table("houses.csv", targets="price", one_hot=True)
    Path("a.csv").write_text("rooms,area,town\n1,2,Ulm\n")
    Path("b.csv").write_text("rooms,area,town\n,2,Ulm\n1,2,Ulm\n1,2,Rome\nx,y,\n")
    new = Table.for_prediction(["a.csv", "b.csv"], {}, train.metainfo)
    assert torch.equal(new[0]["inputs"], new[2]["inputs"])
    for index, message in (
        (1, "b.csv, line 2: column 'rooms' has an empty cell"),
        (3, "b.csv, line 4: column 'town' has the value 'Rome'"),
        (4, "b.csv, line 5: column 'rooms' has the value 'x'"),
    ):
        with pytest.raises(FileContentError, match=message):
            new[index]


def test_a_file_of_several_datasets_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The datasets of a run share a file, and a later run reads it again."""
    read: list[Path] = []
    original = table_files._read_csv

    def counted(path: Path, *args: Any) -> table_files.TableFile:
        read.append(path)
        return original(path, *args)

    monkeypatch.setattr(table_files, "_read_csv", counted)
    table = {"type": "Table", "path": "houses.csv", "targets": "price"}
    cfg = Config({"seed": 0, "data": {"train": table, "val": table, "test": {**table, "delimiter": ","}}})
    first = build_loaders(cfg, nn.Linear(1, 1))
    assert len(read) == 2
    Path("houses.csv").write_text("rooms,area,town,price\n3,75,Ulm,1\n")
    again = build_loaders(cfg, nn.Linear(1, 1))
    assert len(read) == 4
    assert [len(each["val"].dataset) for each in (first, again)] == [4, 1]


def test_a_csv_with_blank_lines(folder: Path) -> None:
    """Lines without any text are left out, spaces around cells too, and the lines are those of the file."""
    Path("t.csv").write_text('\n a , y\n 1 ,2\n\n , \n"3", 4 \n')
    table = Table("t.csv", targets="y", standardize=False)
    assert table.inputs.tolist() == [[1], [3]]
    assert [table.source(0), table.source(1)] == ["t.csv, line 3", "t.csv, line 6"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"targets": "prise"}, r"no column 'prise'. Its columns are rooms.* Did you mean 'price'"),
        ({"inputs": ["rooms", "are"], "targets": "price"}, "no column 'are'.*Did you mean 'area'"),
        ({}, "targets is missing: name the column"),
        ({"inputs": "price", "targets": "price"}, "'price' is an input and a target"),
        ({"inputs": ["area", "area"], "targets": "price"}, "'area' twice"),
        ({"targets": ["price", "town"]}, "A classification has one target"),
        ({"targets": "town", "task": "regression"}, "line 2: column 'town' has the value 'Ulm'"),
        ({"targets": "price", "task": "regresion"}, "Did you mean 'regression'"),
        ({"targets": "price", "split": "valid", "fractions": FRACTIONS}, "split must be"),
        ({"targets": "price", "split": "val", "fractions": {"train": 1, "val": 0}}, "None of the 4 rows"),
        ({"targets": "price", "split": "train", "fractions": {"train": 0.9, "val": 0.2}}, "sum to 1.1"),
        ({"targets": "price", "categorical": ["price2"]}, "no column 'price2'"),
        ({"targets": 3}, "targets must be the name of a column"),
    ],
)
def test_wrong_arguments(folder: Path, args: dict[str, Any], message: str) -> None:
    """A wrong argument is an error that says what is wrong, with the nearest name."""
    with pytest.raises((ArgumentError, FileContentError), match=message):
        Table("houses.csv", **args)


def test_missing_file(folder: Path) -> None:
    """A file that does not exist is an error with the nearest name."""
    with pytest.raises(
        ArgumentError, match=r"'house\.csv', which does not exist.* Did you mean 'houses\.csv'"
    ):
        Table("house.csv", targets="price")


def test_columns_must_be_those_of_training(folder: Path) -> None:
    """Other inputs than those of the training dataset are an error, and so is the metainfo of another dataset."""
    train = Table("houses.csv", targets="price")
    with pytest.raises(
        ArgumentError, match="inputs must be those of the training dataset, rooms, area, town"
    ):
        Table("houses.csv", inputs="area", metainfo=train.metainfo)
    with pytest.raises(ArgumentError, match=r"metainfo must be that of a Table.*'classes'"):
        Table("houses.csv", metainfo={"classes": ["a"]})


def test_fingerprint(folder: Path) -> None:
    """The fingerprint changes with the content and not with the object."""
    table = Table("houses.csv", targets="price")
    assert table.fingerprint == Table("houses.csv", targets="price").fingerprint
    Path("houses.csv").write_text(HOUSES.replace("130", "131"))
    assert table.fingerprint != Table("houses.csv", targets="price").fingerprint
