"""``cfgtrain init``: write a small project that trains at once."""

from __future__ import annotations

import ast
import shlex
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Annotated

import typer

import cfgtrain
from cfgtrain.errors import ArgumentError
from cfgtrain_cli.choices import choice_option
from cfgtrain_cli.console import echo

TEMPLATES = Path(__file__).parent / "templates"
GITIGNORE = "# Output of runs\nwork_dirs/\n\n__pycache__/\n"

# Sizes of the sample data
PICTURES = 50  # of each class; a fifth is for the test
HOUSES = 1000
DISTRICTS = {"center": 1.4, "north": 1.0, "south": 0.9, "west": 1.15}  # with the factors of their prices
LETTERS = 150_000


class Task(StrEnum):
    """What a project is about."""

    IMAGES = "images"
    TABLE = "table"
    TEXT = "text"
    CUSTOM = "custom"


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the project.", show_default=False)],
    task: Annotated[
        Task,
        choice_option(
            Task,
            "--task",
            "-t",
            help="[b]images[/b]: classify the pictures of a folder; [b]table[/b]: predict a column of a csv file; "
            "[b]text[/b]: a model that continues a text; [b]custom[/b]: a dataset, model, metric, transform and hook "
            "in Python.",
        ),
    ] = Task.IMAGES,
) -> None:
    """Write a small project that trains at once: a config, sample data and a README.

    No file is overwritten.
    """
    files = {**_template(task), **dict(_sample_data(task))}
    _check_is_free(folder, [*files])
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:  # fails if the file exists
            file.write(content)
    names = sorted({name.partition("/")[0] + "/" * ("/" in name) for name in files})
    echo(f"Wrote {', '.join(names)} in {folder}. Next:")
    if folder.resolve() != Path.cwd():
        echo(f"  cd {shlex.quote(str(folder))}")
    echo("  cfgtrain train config.py")


def _template(task: Task) -> dict[str, bytes]:
    """Return the content of the files of a task that are the same in every project, by name."""
    files = {path.name: path.read_bytes() for path in sorted((TEMPLATES / task).iterdir()) if path.is_file()}
    return {**files, ".gitignore": GITIGNORE.encode()}


def _check_is_free(folder: Path, names: list[str]) -> None:
    """Raise if the folder is a file, or has one of the files, or of their folders, already."""
    if folder.exists() and not folder.is_dir():
        raise ArgumentError(f"{folder} is a file, not a folder: choose another name.")
    # A folder of its own, such as data, too: new files would be mixed with those that are there.
    tops = {name.partition("/")[0] for name in names}
    taken = sorted(top for top in tops if _exists(folder / top))
    if taken:
        raise ArgumentError(
            f"{folder} has {', '.join(taken)} already, and nothing is overwritten: choose another folder, or move them away."
        )


def _exists(path: Path) -> bool:
    return path.exists() or path.is_symlink()  # a link to nowhere is in the way, too


def _sample_data(task: Task) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of the files with sample data of a task."""
    if task is Task.IMAGES:
        yield from _digits()
    elif task is Task.TABLE:
        yield "data/houses.csv", _houses().encode()
    elif task is Task.TEXT:
        yield "data/text.txt", _documentation().encode()


def _digits() -> Iterator[tuple[str, bytes]]:
    """Yield pictures of 32x32 pixels of the digits that come with cfgtrain, in a folder for each class."""
    import cv2
    import numpy as np

    # By its path: importing the package of the datasets would import torch.
    with np.load(Path(cfgtrain.__file__).parent / "data" / "datasets" / "digits.npz") as packed:
        images, labels = packed["images"], packed["labels"]  # (N, 8, 8) with values from 0 to 16, (N,)
    for label in range(10):
        # Every third, since images that follow each other are of one writer.
        for number, image in enumerate(images[labels == label][: 3 * PICTURES : 3]):
            part = "test" if number % 5 == 4 else "train"
            enlarged = cv2.resize(image * 15, (32, 32), interpolation=cv2.INTER_CUBIC)
            yield f"data/{part}/{label}/{number:02}.png", cv2.imencode(".png", enlarged)[1].tobytes()


def _houses() -> str:
    """Return a csv file of invented houses, whose price is a formula of the other columns, and noise."""
    random = Random(0)
    rows = ["area,rooms,age,district,price"]
    for _ in range(HOUSES):
        area, age = random.randint(40, 220), random.randint(0, 90)
        rooms, district = max(1, round(area / 30 + random.gauss(0, 0.8))), random.choice([*DISTRICTS])
        price = (900 + 2800 * area + 6000 * rooms - 25 * age * area) * DISTRICTS[district]
        rows.append(f"{area},{rooms},{age},{district},{round(price * random.gauss(1, 0.05), -2):.0f}")
    return "\n".join([*rows, ""])


def _documentation() -> str:
    """Return the beginning of the documentation in the source code of cfgtrain."""
    texts: list[str] = []
    for path in sorted(Path(cfgtrain.__file__).parent.glob("*/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                texts += filter(None, [ast.get_docstring(node)])
        if sum(map(len, texts)) > LETTERS:
            break
    return "\n\n".join(texts)[:LETTERS]
