from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from cfgtrain.data import ImageFolder
from cfgtrain.errors import ArgumentError


@pytest.fixture
def make(tmp_path: Path) -> Any:
    """Make empty files below a folder; their content is never read."""

    def call(*paths: str, root: str = "pets") -> Path:
        for path in paths:
            file = tmp_path / root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        (tmp_path / root).mkdir(exist_ok=True)
        return tmp_path / root

    return call


def paths(dataset: ImageFolder) -> list[str]:
    return list(dataset.paths)


def test_a_class_per_folder(make: Any) -> None:
    """Images are found at any depth, by suffix in any case, sorted; hidden and other files are ignored."""
    root = make(
        "dog/2.png", "dog/1.JPG", "cat/deep/er/3.webp", "cat/notes.txt", "cat/.4.jpg", ".git/5.jpg", "dog/.x/6.jpg"
    )  # fmt: skip
    dataset = ImageFolder(root)
    assert dataset.CLASSES == ("cat", "dog")
    assert paths(dataset) == ["cat/deep/er/3.webp", "dog/1.JPG", "dog/2.png"]
    assert dataset[1] == {"img_path": str(root / "dog/1.JPG"), "gt_label": 1}
    assert dataset.source(0) == str(root / "cat/deep/er/3.webp")
    assert dataset.counts == {"cat": 1, "dog": 2}


def test_links_to_folders_are_followed(make: Any) -> None:
    """A linked folder is a class, and a link to a folder around it is not followed forever."""
    root, other = make("cat/1.jpg"), make("2.jpg", root="elsewhere")
    (root / "dog").symlink_to(other)
    (root / "cat" / "loop").symlink_to(root)
    dataset = ImageFolder(root)
    assert paths(dataset) == ["cat/1.jpg", "dog/2.jpg"]


def test_classes_of_the_training_dataset(make: Any) -> None:
    """A validation dataset has the indices of the training dataset, even if it has fewer classes."""
    train = ImageFolder(make("ant/1.jpg", "bee/1.jpg", "cat/1.jpg", root="train"))
    val = ImageFolder(make("cat/1.jpg", "bee/2.jpg", root="val"), metainfo=train.metainfo)
    assert val.CLASSES == ("ant", "bee", "cat")
    assert val.labels.tolist() == [1, 2]


def test_given_classes(make: Any) -> None:
    """The argument determines the indices."""
    dataset = ImageFolder(make("ant/1.jpg", "bee/1.jpg"), classes=["bee", "ant"])
    assert dataset.labels.tolist() == [1, 0]


@pytest.mark.parametrize("args", [{"classes": ["cat", "dog"]}, {"metainfo": {"classes": ["cat", "dog"]}}])
def test_a_folder_that_is_no_class(args: dict[str, Any], make: Any) -> None:
    """It is an error that names the nearest class; without images it is ignored."""
    root = make("cat/1.jpg", "dogs/1.jpg", "notes/x.txt")
    with pytest.raises(
        ArgumentError, match=r"in 'dogs', which is not among the classes 'cat', 'dog'.*mean 'dog'"
    ):
        ImageFolder(root, **args)


def test_a_class_without_an_image(make: Any, caplog: pytest.LogCaptureFixture) -> None:
    """It is told, and the class keeps its index."""
    with caplog.at_level(logging.WARNING, "cfgtrain"):
        dataset = ImageFolder(make("ant/x.txt", "bee/1.jpg", "cat/1.jpg"))
    assert dataset.labels.tolist() == [1, 2]
    assert "1 of the 3 classes has no image" in caplog.text
    assert "'ant'" in caplog.text


def test_images_outside_the_folders(make: Any, caplog: pytest.LogCaptureFixture) -> None:
    """They are told and not used."""
    with caplog.at_level(logging.WARNING, "cfgtrain"):
        dataset = ImageFolder(make("ant/1.jpg", "bee/1.jpg", "lost.jpg"))
    assert len(dataset) == 2
    assert "1 images are in" in caplog.text
    assert "'lost.jpg'" in caplog.text


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ([], "There are no images in ROOT. It has no folders, and ImageFolder needs one for each class."),
        (["a/x.txt", "a/y.txt", "b/z"], "Searched 2 folders, 'a', 'b', with those below them, for files that end in .avif"),
        (["a/x.txt", "a/y.txt", "b/z"], "Other files: 2 .txt, 1 no suffix."),
        (["1.jpg", "2.jpg"], "The 2 images in ROOT are not in folders"),
        (["train/a/1.jpg", "val/a/1.jpg"], "contains the parts of a dataset, not its classes: use root='ROOT/train'"),
    ],
)  # fmt: skip
def test_a_folder_without_images(files: Iterable[str], told: str, make: Any) -> None:
    """The message says where images were searched for, and what is there instead."""
    root = make(*files)
    with pytest.raises(ArgumentError) as error:
        ImageFolder(root)
    assert told.replace("ROOT", str(root)) in str(error.value)
    assert error.value.argument == ("root",)


def test_a_missing_folder(make: Any) -> None:
    """The nearest name is suggested."""
    make("cat/1.jpg", root="pets")
    with pytest.raises(ArgumentError, match=r"root is 'pet', which does not exist in .*Did you mean 'pets'"):
        ImageFolder("pet")


def test_splits_are_stable(make: Any) -> None:
    """Three splits divide the images; a new image moves none of the others."""
    names = [f"{kind}/{i}.jpg" for kind in ("ant", "bee") for i in range(200)]
    root = make(*names)
    fractions = {"train": 0.6, "val": 0.3, "test": 0.1}
    before = {
        split: paths(ImageFolder(root, split=split, fractions=fractions))
        for split in ("train", "val", "test")
    }
    assert sorted(path for each in before.values() for path in each) == sorted(names)
    assert [round(len(each) / 40) for each in before.values()] == [6, 3, 1]
    make(*(f"ant/new{i}.jpg" for i in range(50)))
    after = {split: paths(ImageFolder(root, split=split, fractions=fractions)) for split in before}
    assert all(set(before[split]) <= set(after[split]) for split in before)


def test_a_split_has_all_classes(make: Any) -> None:
    """The classes are those of the folder, also if the split has no image of one."""
    dataset = ImageFolder(
        make("ant/1.jpg", "bee/1.jpg", "cat/1.jpg"), split="train", fractions={"train": 0.5, "val": 0.5}
    )
    assert dataset.CLASSES == ("ant", "bee", "cat")


def test_an_empty_split(make: Any) -> None:
    """It is an error that says how many images there are."""
    with pytest.raises(ArgumentError, match=r"None of the 2 images of .* is in the split 'val'"):
        ImageFolder(make("ant/1.jpg", "bee/1.jpg"), split="val", fractions={"train": 1, "val": 0})


def test_names_that_are_not_valid_text(tmp_path: Path) -> None:
    """A file name that is not valid UTF-8 is a path like any other."""
    folder = tmp_path / "pets" / "cat"
    folder.mkdir(parents=True)
    (folder / os.fsdecode(b"\xff.jpg")).touch()
    dataset = ImageFolder(tmp_path / "pets", split=None)
    assert os.fsencode(dataset[0]["img_path"]).endswith(b"cat/\xff.jpg")
