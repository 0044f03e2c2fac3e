"""Texts as sequences of characters or bytes, for language models."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from cfgtrain.arguments import check_choice, check_integer, check_type
from cfgtrain.data.datasets.splits import check_split
from cfgtrain.data.paths import existing_path
from cfgtrain.errors import ArgumentError, FileContentError
from cfgtrain.fileio.content import decode_text
from cfgtrain.registries import DATASETS
from cfgtrain.suggestions import listed

__all__ = ["Prompts", "TextFile", "TextStream"]

Unit = Literal["character", "byte"]
Codes = np.ndarray[Any, Any]
Sample = dict[str, torch.Tensor]


class Vocabulary:
    """The codes of the characters of a text, or of bytes.

    Args:
        characters: The characters, in the order of their codes; None: bytes, which are their own codes.
    """

    def __init__(self, characters: str | None) -> None:
        self.characters = characters
        self._points = None if characters is None else _code_points(characters)  # in ascending order

    @property
    def metainfo(self) -> dict[str, Any]:
        """The unit, and the characters if it is a character."""
        if self.characters is None:
            return {"unit": "byte"}
        return {"unit": "character", "characters": self.characters}

    def encode(self, text: str | bytes, name: str = "The text") -> Codes:
        """Return the codes of a text, (N,).

        Raises:
            FileContentError: It has characters without a code; the message names them, and the line of the first.
        """
        if self._points is None:
            return np.frombuffer(text.encode() if isinstance(text, str) else text, dtype=np.uint8)
        text = text if isinstance(text, str) else decode_text(text, name)
        points = _code_points(text)
        codes = np.minimum(np.searchsorted(self._points, points), len(self._points) - 1)
        unknown = np.flatnonzero(self._points[codes] != points)
        if len(unknown):
            found = sorted({text[i] for i in unknown.tolist()})
            raise FileContentError(
                f"{name}, line {text.count(chr(10), 0, int(unknown[0])) + 1}: the training text does not have "
                f"{'the character' if len(found) == 1 else 'the characters'} {listed(found, 10)}.",
                hint="Remove them, or train with unit='byte', which can encode any text.",
            )
        return codes.astype(np.min_scalar_type(len(self._points)))

    def decode(self, codes: Any) -> str:
        """Return the text of codes, a sequence of ints.

        Bytes that are not UTF-8 become U+FFFD, and so do codes without a character, which a model with a greater
        vocabulary may predict.
        """
        values = np.asarray(codes, dtype=np.int64).reshape(-1).tolist()
        if self.characters is None:
            return bytes(values).decode(errors="replace")
        characters = dict(enumerate(self.characters))
        return "".join(characters.get(value, "\ufffd") for value in values)

    @property
    def newline(self) -> int:
        """The code of the end of a line, or -1 if the training text has none."""
        return 10 if self.characters is None else self.characters.find("\n")


class TextFile(Dataset[Sample]):
    """Blocks of a text file, to predict each character, or byte, from those before it.

    A sample is a dict with ``inputs`` and ``targets``, int64 tensors (block_size,). The targets are the inputs
    shifted by one: each is the character after the input at its position.

    The code of a character is its index in the sorted characters of the whole file, which are in ``metainfo``, so
    that other texts are encoded in the same way. Characters that the file does not have are an error there.
    The end of the text that does not fill a block is left out.

    Args:
        path: The file: UTF-8 text, or with bytes any file.
        block_size: Length of a sample, at least 1.
        unit: ``"character"`` or ``"byte"``; None: that of ``metainfo``, or else ``"character"``. There are 256 codes of bytes.
        split: Name of a split: a part of the text.
        fractions: Fraction of each split by name; None: ``dict(train=0.8, val=0.1, test=0.1)``. The splits follow
            each other in the text in this order, since blocks must be contiguous.
        stride: Distance from the beginning of a block to that of the next one; None: ``block_size``.
        stream: Whether the dataset is a ``TextStream``, which starts each epoch at another character.
        vocab_size: The greatest number of different characters, which is that of the model.
        metainfo: That of the training dataset; None for the training dataset itself.

    Attributes:
        metainfo: ``unit``, and ``characters``, a str.

    Raises:
        ArgumentError: The file does not exist, an argument is not valid, the file has more than ``vocab_size``
            characters, or the text is shorter than a block.
        FileContentError: The file has characters that the training text does not have, or is not UTF-8.
    """

    PATHS = ("path",)

    def __new__(cls, *args: Any, stream: bool = False, **kwargs: Any) -> TextFile:
        """Return a ``TextStream`` if ``stream`` is True, which is an instance of another class for torch."""
        check_type("stream", stream, bool, "True or False")
        return super().__new__(TextStream if stream else cls)

    def __init__(
        self,
        path: str | Path,
        block_size: int,
        unit: Unit | None = None,
        split: str | None = None,
        fractions: Mapping[str, float] | None = None,
        stride: int | None = None,
        stream: bool = False,
        vocab_size: int = 256,
        metainfo: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = existing_path("path", path, "file")
        self.block_size = check_integer("block_size", block_size, 1)
        self.stride = self.block_size if stride is None else check_integer("stride", stride, 1)
        check_integer("vocab_size", vocab_size, 1)
        fractions = check_split(split, fractions)
        name = str(self.path)
        content = self.path.read_bytes()
        self.vocabulary = _vocabulary(content, name, unit, metainfo)
        if self.vocabulary.characters is not None and len(self.vocabulary.characters) > vocab_size:
            count = len(self.vocabulary.characters)
            raise ArgumentError(
                f"{name} has {count} different characters, and vocab_size is {vocab_size}.",
                hint=f"Use vocab_size={count} for the dataset and the model, or unit='byte', which has 256 codes.",
                argument="vocab_size",
            )
        self.metainfo = self.vocabulary.metainfo
        codes = self.vocabulary.encode(content, name)
        begin, end = _interval(len(codes), split, fractions)
        self._first_line = 1 + int(np.count_nonzero(codes[:begin] == self.vocabulary.newline))
        self.codes = codes[begin:end].copy()
        if len(self.codes) <= self.block_size:
            part = "" if split is None else f"The split {split!r} of "
            raise ArgumentError(
                f"{part}{name} has {len(self.codes)} {self.metainfo['unit']}s, and a block of {self.block_size} needs "
                f"{self.block_size + 1}.",
                argument="block_size",
            )

    def __len__(self) -> int:
        return (len(self.codes) - self.block_size - 1) // self.stride + 1

    def __getitem__(self, index: int) -> Sample:
        return self._block(range(len(self))[index] * self.stride)

    def source(self, index: int) -> str:
        """Return the file and the line where a block begins."""
        before = self.codes[: range(len(self))[index] * self.stride]
        line = self._first_line + int(np.count_nonzero(before == self.vocabulary.newline))
        return f"{self.path}, line {line}"

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the text and its codes."""
        digest = blake2b(repr((self.metainfo, self.block_size, self.stride)).encode(), digest_size=16)
        digest.update(self.codes.data)
        return digest.hexdigest()

    def encode(self, text: str) -> list[int]:
        """Return the codes of a text.

        Raises:
            FileContentError: It has characters that the training text does not have.
        """
        return [int(code) for code in self.vocabulary.encode(text)]

    def decode(self, codes: Any) -> str:
        """Return the text of codes."""
        return self.vocabulary.decode(codes)

    def _block(self, offset: int) -> Sample:
        codes = torch.from_numpy(self.codes[offset : offset + self.block_size + 1].astype(np.int64))
        return {"inputs": codes[:-1], "targets": codes[1:]}

    @staticmethod
    def for_prediction(
        inputs: Sequence[str | Path], cfg: Mapping[str, Any], metainfo: Mapping[str, Any]
    ) -> Prompts:
        """Return the texts of files as prompts.

        Args:
            inputs: The files.
            cfg: Arguments of a ``TextFile``, of which ``block_size`` is used.
            metainfo: That of the training dataset.
        """
        return Prompts(inputs, cfg["block_size"], metainfo)


# Not the signature of __new__: configs are checked against the arguments.
TextFile.__signature__ = inspect.signature(partial(TextFile.__init__, None))  # type: ignore[attr-defined, arg-type]
DATASETS.register_module(module=TextFile)


class TextStream(TextFile, IterableDataset[Sample]):
    """Blocks of a text file in random order; ``TextFile(..., stream=True)`` returns one.

    In each epoch, the blocks are shifted by a random number of characters, and they are in random order, so that an
    epoch has almost the whole text once. The random numbers follow from torch's global generator, which
    ``StreamLoader`` seeds for each epoch. Several workers have the same order and read disjoint shares of it.
    """

    repeatable = True  # for the dry run: a pass leaves nothing behind
    _share = (0, 1)

    def __len__(self) -> int:
        """Return the number of blocks of all shares; it is one less than unshifted blocks."""
        return max(super().__len__() - 1, 1)

    def shard(self, index: int, count: int) -> None:
        """Let this copy of the stream read the share ``index`` of ``count``."""
        self._share = index, count

    def __iter__(self) -> Iterator[Sample]:
        worker = get_worker_info()
        # The seeds of workers differ by their ids; the same seed in all makes their shares disjoint.
        seed = (
            int(torch.empty((), dtype=torch.int64).random_()) if worker is None else worker.seed - worker.id
        )
        generator = torch.Generator().manual_seed(seed)
        blocks = len(self)
        room = len(self.codes) - self.block_size - (blocks - 1) * self.stride  # number of possible beginnings
        first = int(torch.randint(min(room, self.stride), (), generator=generator))
        order = torch.randperm(blocks, generator=generator)
        index, count = self._share
        for block in order[index::count].tolist():
            yield self._block(first + block * self.stride)


class Prompts:
    """The texts of files, for a language model to continue.

    A sample is a dict with ``inputs``, an int64 tensor (T,): the last characters of the file, at most
    ``block_size``. The newline at the end of a file is left out.

    Args:
        paths: The files.
        block_size: The greatest length of a prompt.
        metainfo: That of the training dataset.

    Raises:
        ArgumentError: A file does not exist.
    """

    def __init__(self, paths: Sequence[str | Path], block_size: int, metainfo: Mapping[str, Any]) -> None:
        self.paths = [str(existing_path("inputs", path, "file")) for path in paths]
        self.block_size = block_size
        self.vocabulary = _vocabulary(b"", "", None, metainfo)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Sample:
        """Return the sample of a file.

        Raises:
            FileContentError: The file is empty, or has characters that the training text does not have.
        """
        path = self.paths[index]
        content = Path(path).read_bytes().removesuffix(b"\n").removesuffix(b"\r")
        codes = self.vocabulary.encode(content, path)[-self.block_size :]
        if not len(codes):
            unit = self.vocabulary.metainfo["unit"]
            raise FileContentError(f"{path} is empty: a prompt needs at least one {unit}.")
        return {"inputs": torch.from_numpy(codes.astype(np.int64))}

    def source(self, index: int) -> str:
        """Return the file of a prompt."""
        return self.paths[index]

    def decode(self, codes: Any) -> str:
        """Return the text of codes."""
        return self.vocabulary.decode(codes)


def _vocabulary(
    content: bytes, name: str, unit: str | None, metainfo: Mapping[str, Any] | None
) -> Vocabulary:
    """Return the vocabulary of the training text, or that of ``content`` if this is the training text."""
    if unit is not None:
        check_choice("unit", unit, ["character", "byte"])
    if metainfo is None:
        if unit == "byte":
            return Vocabulary(None)
        points = np.unique(_code_points(decode_text(content, name)))
        return Vocabulary(points.tobytes().decode("utf-32-le"))
    trained = metainfo.get("unit")
    if trained is None:
        raise ArgumentError(
            "metainfo must be that of a TextFile, with a unit: all datasets of a run must be texts.",
            argument="metainfo",
        )
    if unit not in (None, trained):
        raise ArgumentError(
            f"unit must be that of the training dataset, {trained!r}, not {unit!r}.", argument="unit"
        )
    return Vocabulary(metainfo.get("characters"))


def _code_points(text: str) -> Codes:
    """Return the Unicode code points of a text, (N,)."""
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")


def _interval(length: int, split: str | None, fractions: Mapping[str, float] | None) -> tuple[int, int]:
    """Return the first position of a split in a text, and that after its last."""
    if split is None or fractions is None:
        return 0, length
    names = list(fractions)
    before = sum(fractions[name] for name in names[: names.index(split)])
    return round(before * length), round((before + fractions[split]) * length)
