from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from cfgtrain.check.components import arguments
from cfgtrain.data.builder import build_dataloader, build_dataset, metainfo_of
from cfgtrain.data.datasets.text_file import TextFile, TextStream
from cfgtrain.data.loader import iterate_epoch
from cfgtrain.errors import ArgumentError, ArgumentTypeError, EncodingError, FileContentError

TEXT = "to be or not\nto be: that is\nthe question\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text(TEXT)
    return tmp_path


def test_blocks(folder: Path) -> None:
    """Blocks follow each other, the targets are the next characters, and codes are those of sorted characters."""
    text = TextFile("a.txt", block_size=8)
    assert len(text) == (len(TEXT) - 1) // 8 == 5
    for i in range(5):
        sample = text[i]
        assert sample["inputs"].dtype == sample["targets"].dtype == torch.int64
        assert text.decode(sample["inputs"]) == TEXT[8 * i : 8 * i + 8]
        assert text.decode(sample["targets"]) == TEXT[8 * i + 1 : 8 * i + 9]
    assert metainfo_of(text) == {"unit": "character", "characters": "".join(sorted(set(TEXT)))}
    assert text.encode("not") == [text.metainfo["characters"].index(each) for each in "not"]
    assert text.source(0) == "a.txt, line 1"
    assert text.source(2) == "a.txt, line 2"
    with pytest.raises(IndexError):
        text[5]


@pytest.mark.parametrize(("length", "blocks"), [(8, None), (9, 1), (16, 1), (17, 2), (18, 2)])
def test_number_of_blocks(folder: Path, length: int, blocks: int | None) -> None:
    """There are as many blocks as have a target for each input; a text without a whole block is an error."""
    Path("t.txt").write_text("abcdefghijklmnopqrstuvwxyz"[:length])
    if blocks is None:
        with pytest.raises(ArgumentError, match=r"t\.txt has 8 characters, and a block of 8 needs 9"):
            TextFile("t.txt", 8)
    else:
        assert len(TextFile("t.txt", 8)) == blocks


def test_codes_without_a_character(folder: Path) -> None:
    """A code that the text does not have, which a model with more codes may predict, is shown as such."""
    text = TextFile("a.txt", block_size=8)
    assert text.decode([0, 200]) == f"{text.decode([0])}\ufffd"


def test_stride(folder: Path) -> None:
    """With a stride, blocks overlap."""
    text = TextFile("a.txt", block_size=8, stride=1)
    assert len(text) == len(TEXT) - 8
    assert text.decode(text[3]["inputs"]) == TEXT[3:11]


def test_bytes(folder: Path) -> None:
    """Bytes are their own codes, and any file can be read."""
    Path("b.bin").write_bytes(bytes(range(256)))
    data = TextFile("b.bin", block_size=255, unit="byte")
    assert data[0]["inputs"].tolist() == list(range(255))
    assert data[0]["targets"].tolist() == list(range(1, 256))
    assert metainfo_of(data) == {"unit": "byte"}
    assert data.decode(list("ü".encode())) == "ü"
    assert data.encode("ü") == [0xC3, 0xBC]


def test_other_alphabets(folder: Path) -> None:
    """Characters beyond the first 65,536 have one code each."""
    Path("u.txt").write_text("añ😀b😀", encoding="utf-8")
    text = TextFile("u.txt", block_size=4)
    assert text.metainfo["characters"] == "abñ😀"
    assert text[0]["inputs"].tolist() == [0, 2, 3, 1]
    assert text.decode([1, 3, 4, 200]) == "b😀\ufffd\ufffd"


def test_splits(folder: Path) -> None:
    """The splits are contiguous parts of the text in the order of the fractions, with the same vocabulary."""
    fractions = {"train": 0.5, "val": 0.25, "test": 0.25}
    parts: Any = {
        split: TextFile("a.txt", 4, split=split, fractions=fractions, stride=1) for split in fractions
    }
    assert "".join(part.decode(part.codes) for part in parts.values()) == TEXT
    assert len({part.metainfo["characters"] for part in parts.values()}) == 1
    assert parts["val"].source(0) == "a.txt, line 2"
    with pytest.raises(ArgumentError, match="split must be one of the fractions"):
        TextFile("a.txt", 4, split="vall", fractions=fractions)
    with pytest.raises(ArgumentError, match=r"The split 'val' of a\.txt has 11 characters"):
        TextFile("a.txt", 20, split="val", fractions=fractions)


def test_metainfo_of_the_training_dataset(folder: Path) -> None:
    """Another text is encoded with the characters of the training text; others are named with their line."""
    train = TextFile("a.txt", block_size=4)
    Path("b.txt").write_text("bone\nthis")
    metainfo = pickle.loads(pickle.dumps(train.metainfo))
    other = build_dataset({"type": "TextFile", "path": "b.txt", "block_size": 4}, metainfo=metainfo)
    assert other.decode(other[0]["inputs"]) == "bone"
    Path("b.txt").write_text("bone\nvie dès là")
    with pytest.raises(
        FileContentError, match=r"b\.txt, line 2: .* the characters 'd', 'l', 'v', 'è' and|'à'"
    ):
        TextFile("b.txt", 4, metainfo=metainfo)
    with pytest.raises(ArgumentError, match="unit must be that of the training dataset, 'character'"):
        TextFile("a.txt", 4, unit="byte", metainfo=metainfo)
    with pytest.raises(ArgumentError, match="metainfo must be that of a TextFile"):
        TextFile("a.txt", 4, metainfo={"classes": ["a"]})


def test_prompts(folder: Path) -> None:
    """For prediction, a file is one prompt: its last characters, without the newline at its end."""
    train = TextFile("a.txt", block_size=4)
    Path("p.txt").write_text("not to be\n")
    Path("q.txt").write_text("to")
    prompts = TextFile.for_prediction(["p.txt", "q.txt"], {"block_size": 6}, train.metainfo)
    assert len(prompts) == 2
    assert set(prompts[0]) == {"inputs"}
    assert [prompts.decode(prompts[i]["inputs"]) for i in (0, 1)] == [" to be", "to"]
    assert prompts.source(1) == "q.txt"
    Path("q.txt").write_text("\n")
    with pytest.raises(FileContentError, match=r"q\.txt is empty"):
        prompts[1]
    Path("q.txt").write_text("Z")
    with pytest.raises(FileContentError, match=r"q\.txt, line 1: .* the character 'Z'"):
        prompts[1]
    assert prompts.decode(prompts[0]["inputs"]) == " to be"


def epoch_texts(stream: Any, epoch: int, workers: int = 0, start: int = 0) -> list[list[str]]:
    """Return the texts of the batches of an epoch."""
    loader = build_dataloader(stream, 2, workers, seed=3)
    return [
        [stream.decode(codes) for codes in batch["inputs"]] for batch in iterate_epoch(loader, epoch, start)
    ]


def test_stream(folder: Path) -> None:
    """A stream has blocks at other characters and in another order in each epoch, and repeats an epoch exactly."""
    stream = TextFile("a.txt", block_size=4, stream=True)
    assert isinstance(stream, TextStream)
    assert len(stream) == (len(TEXT) - 1) // 4 - 1
    epochs = [epoch_texts(stream, epoch) for epoch in range(6)]
    assert epochs == [epoch_texts(stream, epoch) for epoch in range(6)]
    assert all(text in TEXT for epoch in epochs for batch in epoch for text in batch)
    assert len({text for epoch in epochs for batch in epoch for text in batch}) > 20
    assert epoch_texts(stream, 1, start=2) == epochs[1][2:]


def test_stream_epoch_has_the_text_once(folder: Path) -> None:
    """The blocks of an epoch do not overlap."""
    Path("t.txt").write_text("".join(map(chr, range(100, 200))))
    stream = TextFile("t.txt", block_size=8, stream=True)
    texts = [text for batch in epoch_texts(stream, 0) for text in batch]
    assert len(set("".join(texts))) == 8 * len(texts) == 88


def test_workers_share_a_stream(folder: Path) -> None:
    """Two workers read disjoint shares, and together the blocks of an epoch."""
    Path("t.txt").write_text("".join(map(chr, range(100, 200))))
    stream = TextFile("t.txt", block_size=8, stream=True)
    texts = [text for batch in epoch_texts(stream, 0, workers=2) for text in batch]
    assert len(texts) == len(stream)
    assert len(set("".join(texts))) == 88


def test_shortest_stream(folder: Path) -> None:
    """A text that has just one block is a stream of one block."""
    Path("t.txt").write_text("abcde")
    assert epoch_texts(TextFile("t.txt", block_size=4, stream=True), 0) == [["abcd"]]


def test_too_many_characters(folder: Path) -> None:
    """More characters than the vocabulary of the model are an error that says what can be done."""
    Path("t.txt").write_text("".join(map(chr, range(256, 600))))
    with pytest.raises(
        ArgumentError, match=r"344 different characters, and vocab_size is 256.*vocab_size=344 .*unit='byte'"
    ):
        TextFile("t.txt", 4)
    assert len(TextFile("t.txt", 4, vocab_size=344).metainfo["characters"]) == 344
    assert len(TextFile("t.txt", 4, unit="byte")) > 0


def test_not_a_text(folder: Path) -> None:
    """A file that is not UTF-8 is an error as characters."""
    Path("b.bin").write_bytes(b"abc\xff\xfedef")
    with pytest.raises(EncodingError, match=r"b\.bin"):
        TextFile("b.bin", 2)


def test_wrong_arguments(folder: Path) -> None:
    """Wrong arguments are errors with the nearest name, also when a config is checked before the run."""
    with pytest.raises(ArgumentError, match=r"'b\.txt', which does not exist"):
        TextFile("b.txt", 4)
    with pytest.raises(ArgumentError, match="Did you mean 'character'"):
        TextFile("a.txt", 4, unit="charakter")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="block_size must be at least 1"):
        TextFile("a.txt", 0)
    with pytest.raises(ArgumentTypeError, match="stream must be True or False"):
        TextFile("a.txt", 4, stream="yes")  # type: ignore[arg-type]
    cfg = {"path": "a.txt", "blocksize": 4}
    (problem, *_) = arguments(cfg, TextFile, cfg)
    assert "Did you mean 'block_size'" in str(problem)


def test_fingerprint(folder: Path) -> None:
    """The fingerprint depends on the text and on the length of the blocks."""
    prints = {TextFile("a.txt", size).fingerprint for size in (4, 4, 5)}
    assert len(prints) == 2
    Path("a.txt").write_text(TEXT.replace("not", "now"))
    assert TextFile("a.txt", 4).fingerprint not in prints
