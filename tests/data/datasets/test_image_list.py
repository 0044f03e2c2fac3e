from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cfgtrain.data import ImageList
from cfgtrain.errors import ArgumentError, EncodingError, FileContentError

Write = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def images(tmp_path: Path) -> None:
    """Six empty images; their content is never read."""
    (tmp_path / "img").mkdir()
    for name in "abcdef":
        (tmp_path / "img" / f"{name}.jpg").touch()


CSV = "path,label\nimg/a.jpg,cat\nimg/b.jpg,dog\nimg/c.jpg,cat\n"
RECORDS = [
    {"path": f"img/{name}.jpg", "label": label} for name, label in (("a", "cat"), ("b", "dog"), ("c", "cat"))
]
FORMATS = {
    "list.csv": CSV,
    "semicolons.csv": CSV.replace(",", ";"),
    "windows.csv": "\ufeff" + CSV.replace("\n", "\r\n"),
    "more.csv": "id,label,path\n1,cat,img/a.jpg\n2,dog,img/b.jpg\n\n3,cat,img/c.jpg\n",
    "list.tsv": CSV.replace(",", "\t"),
    "list.json": json.dumps(RECORDS),
    "map.json": json.dumps({each["path"]: each["label"] for each in RECORDS}),
    "list.jsonl": "\n".join(map(json.dumps, RECORDS)) + "\n\n",
    "list.txt": "img/a.jpg cat\nimg/b.jpg dog\n\nimg/c.jpg cat\n",
    "tabs.txt": "img/a.jpg\tcat\nimg/b.jpg\tdog\nimg/c.jpg\tcat",
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats(name: str, write: Write, tmp_path: Path) -> None:
    """All formats give the same dataset, with the paths relative to the file."""
    dataset = ImageList(write(name, FORMATS[name]))
    assert dataset.CLASSES == ("cat", "dog")
    assert dataset.labels.tolist() == [0, 1, 0]
    assert dataset[1] == {"img_path": str(tmp_path / "img" / "b.jpg"), "gt_label": 1}


def test_root_and_keys(write: Write, tmp_path: Path) -> None:
    """Paths are relative to root, and the columns can have any names."""
    file = write("lists/train.csv", "file,kind\na.jpg,cat\nb.jpg,dog\n")
    dataset = ImageList(file, root=tmp_path / "img", path_key="file", label_key="kind")
    assert dataset.source(1) == str(tmp_path / "img" / "b.jpg")


def test_absolute_paths_and_spaces(write: Write, tmp_path: Path) -> None:
    """An absolute path stays as it is, and may contain spaces in any format."""
    (tmp_path / "my img").mkdir()
    (tmp_path / "my img" / "a.jpg").touch()
    file = write("list.txt", f"{tmp_path}/my img/a.jpg 0\nimg/b.jpg 1\n")
    assert ImageList(file).source(0) == f"{tmp_path}/my img/a.jpg"


@pytest.mark.parametrize(
    ("labels", "args", "classes", "indices"),
    [
        (["1", "0", "1"], {}, "01", [1, 0, 1]),
        (["1.0", "0.0", "1.0"], {}, "01", [1, 0, 1]),  # as a table with gaps has integers
        (["1", "cat", "1"], {}, ["1", "cat"], [0, 1, 0]),
        (["1", "0", "1"], {"classes": ["cat", "dog"]}, ["cat", "dog"], [1, 0, 1]),
        (["dog", "cat", "dog"], {"classes": ["cat", "dog", "emu"]}, ["cat", "dog", "emu"], [1, 0, 1]),
        (["2", "1", "2"], {"classes": ["1", "2"]}, ["1", "2"], [1, 0, 1]),  # names come first
        (["b", "a", "b"], {"metainfo": {"classes": ["b", "a"]}}, ["b", "a"], [0, 1, 0]),
        (["nan", "cat", "nan"], {"classes": ["nan", "cat"]}, ["nan", "cat"], [0, 1, 0]),
    ],
)
def test_labels(labels: list[str], args: Any, classes: Any, indices: list[int], write: Write) -> None:
    """A label is a name or an index; without given classes, texts that are all integers are indices."""
    rows = "".join(f"img/{name}.jpg,{label}\n" for name, label in zip("abc", labels, strict=True))
    dataset = ImageList(write("list.csv", "path,label\n" + rows), **args)
    assert tuple(classes) == dataset.CLASSES
    assert dataset.labels.tolist() == indices


@pytest.mark.parametrize(
    ("name", "text", "args"),
    [
        ("list.csv", 'path,label\nimg/a.jpg,"cat,dog"\nimg/b.jpg,\nimg/c.jpg,emu\n', {}),
        ("list.csv", "path,label\nimg/a.jpg,cat|dog\nimg/b.jpg,\nimg/c.jpg, emu \n", {"separator": "|"}),
        ("list.json", '{"img/a.jpg": ["dog", "cat"], "img/b.jpg": [], "img/c.jpg": "emu"}', {}),
        ("list.txt", "img/a.jpg\tcat, dog\nimg/b.jpg\t\nimg/c.jpg\temu\n", {}),
    ],
)
def test_several_labels(
    name: str, text: str, args: Any, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    """With multi_label, gt_label is a vector, and images without a label are told."""
    with caplog.at_level(logging.WARNING, "cfgtrain"):
        dataset = ImageList(write(name, text), multi_label=True, **args)
    assert dataset.CLASSES == ("cat", "dog", "emu")
    assert [dataset[i]["gt_label"].tolist() for i in range(3)] == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
    assert "1 of the 3 images" in caplog.text


def test_gaps_are_told(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    """Indices that do not occur below the greatest one are classes without an image."""
    with caplog.at_level(logging.WARNING, "cfgtrain"):
        dataset = ImageList(write("list.txt", "img/a.jpg 0\nimg/b.jpg 3\n"))
    assert len(dataset.CLASSES) == 4
    assert "2 of the 4 classes have no image" in caplog.text


# name, content, arguments, message, line
WRONG: list[tuple[str, str, dict[str, Any], str, int | None]] = [
    ("l.csv", CSV + "img/x.jpg,cat\n", {}, "An image does not exist: 'ROOT/img/x.jpg'", 5),
    ("l.csv", CSV.replace("a.jpg", "aa.jpg"), {}, "Did you mean 'a.jpg'", 2),
    ("l.csv", CSV.replace("img/", "pic/"), {}, "3 of the 3 images do not exist. The first is 'ROOT/pic/a.jpg'. The paths are relative to ROOT", 2),
    ("l.csv", CSV.replace("dog", ""), {}, "The image 'img/b.jpg' has no label.", 3),
    ("l.csv", CSV.replace("dog", "NaN"), {}, "The image 'img/b.jpg' has the label 'NaN', which is no class.", 3),
    ("l.csv", CSV.replace("dog", "-inf"), {}, "The image 'img/b.jpg' has the label '-inf', which is no class. If it is the name of a class, list '-inf' in classes=.", 3),
    ("l.csv", CSV, {"classes": ["cats", "dog"]}, "The label 'cat' is not one of the classes 'cats', 'dog'. Did you mean 'cats'?", 2),
    ("l.csv", CSV.replace("dog", "1.5").replace("cat", "2"), {}, "The label '1.5' is a number, but no class index.", 3),
    ("l.csv", CSV.replace("img/b.jpg,dog", "img/b.jpg,dog,1"), {}, "The line has 3 fields, and the header has 2.", 3),
    ("l.csv", CSV.replace("img/b.jpg", '"img/b.jpg'), {}, "The file is not valid CSV", 4),
    ("l.csv", "path,label\n", {}, "lists no images.", None),
    ("l.txt", "img/a.jpg 0\nimg/b.jpg 2\n", {"classes": ["cat", "dog"]}, "The label '2' is outside the 2 classes, whose indices are 0 to 1.", 2),
    ("l.txt", "img/a.jpg 0\nimg/b.jpg -1\n", {}, "The label '-1' is no class index, which begin at 0.", 2),
    ("l.txt", "img/a.jpg 0\nimg/b.jpg 9999999999\n", {}, "The label '9999999999' is no class index", 2),
    ("l.txt", "img/a.jpg 0\nimg/b.jpg\n", {}, "The line must be a path and a label", 2),
    ("l.json", '{"img/a.jpg": NaN}', {}, "has the label nan, which is no class (entry 1).", None),
    ("l.json", '{"img/a.jpg": Infinity}', {}, "has the label inf, which is no class (entry 1).", None),
    ("l.json", '{"img/a.jpg": 0, "img/b.jpg": "cat"}', {}, "The label 0 is an index, and other images have names such as 'cat' (entry 1).", None),
    ("l.json", '{"img/a.jpg": true}', {}, "A label must be the name or the index of a class, not True (entry 1).", None),
    ("l.json", '{"img/a.jpg": ["cat"]}', {}, "The image has several labels, ['cat']; set multi_label=True (entry 1).", None),
    ("l.json", '[{"path": 3, "label": 0}]', {}, "The path of an image must be a text, not 3 (entry 1).", None),
    ("l.json", '[{"path": "img/a.jpg", "lable": 0}]', {}, "The object has no 'label', but 'path', 'lable' (entry 1).", None),
    ("l.json", "[[1]]", {}, "An image must be an object with 'path' and 'label', not [1] (entry 1).", None),
    ("l.json", "3", {}, "The file must contain a list of objects", None),
    ("l.json", '{"a": ', {}, "The file is not valid JSON", 1),
    ("l.jsonl", '{"path": "img/a.jpg", "label": 0}\n{"path"}\n', {}, "The line is not valid JSON", 2),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "args", "told", "line"), WRONG)
def test_wrong_content(
    name: str, text: str, args: dict[str, Any], told: str, line: int | None, write: Write, tmp_path: Path
) -> None:
    """The message says what is wrong, with the file and, except for entries in JSON, the line."""
    file = write(name, text)
    with pytest.raises(FileContentError) as error:
        ImageList(file, **args)
    assert told.replace("ROOT", str(tmp_path)) in str(error.value)
    assert error.value.file == str(file)
    assert error.value.line == line


def test_wrong_keys_and_suffix(write: Write) -> None:
    """A column that is not there, and a suffix of an unknown format, are errors with suggestions."""
    with pytest.raises(
        ArgumentError, match=r"no column 'label'; the columns .*'lable'.*Did you mean 'lable'"
    ):
        ImageList(write("list.csv", "path,lable\nimg/a.jpg,0\n"))
    with pytest.raises(
        ArgumentError, match=r"ann_file must be a file with the suffix .* not 'list.cvs'.*'.csv'"
    ):
        ImageList(write("list.cvs", CSV))
    with pytest.raises(ArgumentError, match=r"ann_file must be a file, and .* is a folder"):
        ImageList("img")


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are an error that names the file and the line."""
    file = tmp_path / "list.csv"
    file.write_bytes(b"path,label\nimg/\xff.jpg,0\n")
    with pytest.raises(EncodingError, match=r"0xff in line 2[\s\S]*list.csv:2"):
        ImageList(file)


def test_splits(write: Write) -> None:
    """The splits divide the images, with the classes of all of them."""
    rows = "".join(f"img/{name}.jpg {name}\n" for name in "abcdef")
    parts = []
    for split in ("train", "val", "test"):
        try:
            parts.append(
                ImageList(
                    write("list.txt", rows), split=split, fractions={"train": 0.5, "val": 0.3, "test": 0.2}
                )
            )
        except ArgumentError as error:
            assert "is in the split" in str(error)  # a split of six images may be empty
    assert sorted(path for part in parts for path in part.paths) == [f"img/{name}.jpg" for name in "abcdef"]
    assert all(tuple("abcdef") == part.CLASSES for part in parts)
    assert all(
        "abcdef"[part.labels[i]] == Path(part.paths[i]).stem for part in parts for i in range(len(part))
    )
