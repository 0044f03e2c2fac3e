from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import pytest

from cfgtrain.errors import ArgumentError, ConfigWarning
from cfgtrain.experiment.run_log import failure_logged, log_event, run_log


def texts() -> str:
    return "".join(file.read_text() for file in Path().glob("*.log"))


def events(file: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(file).read_text().splitlines()]


def test_no_file_without_a_message() -> None:
    """A start that fails before anything is logged leaves no empty log."""
    with run_log(Path(), "INFO"):
        pass
    assert list(Path().iterdir()) == []


def test_messages_and_events() -> None:
    """All messages are in the text log; warnings, errors and events are in the JSON log, once it has its first line."""
    with run_log(Path(), "INFO") as (logger, stamp):
        logger.warning("early")
        file = Path(f"{stamp}.log.json")
        assert not file.exists()
        file.write_text('{"seed": 1}\n')
        logger.info("plain")
        logging.getLogger("cfgtrain.part").error("late")
        log_event(logger, "at the end", {"mode": "end", "result": "finished"})
    lines = events(f"{stamp}.log.json")
    assert [(line["mode"], line.get("message")) for line in lines[1:]] == [
        ("warning", "early"), ("error", "late"), ("end", None),
    ]  # fmt: skip
    assert all(line["date"] for line in lines[1:])
    assert all(word in texts() for word in ("early", "plain", "cfgtrain.part - ERROR - late", "at the end"))


def test_without_a_json_log() -> None:
    """If no hook begins a JSON log, there is none."""
    with run_log(Path(), "INFO") as (logger, stamp):
        logger.error("text")
    assert [file.name for file in Path().iterdir()] == [f"{stamp}.log"]


def test_nothing_is_logged_after_the_block() -> None:
    """The level and the handlers of the logger are restored."""
    logger = logging.getLogger("cfgtrain")
    before = logger.level, list(logger.handlers)
    with run_log(Path(), "DEBUG"):
        logger.debug("detail")
    assert (logger.level, logger.handlers) == before
    assert "detail" in texts()


@pytest.mark.parametrize(
    ("error", "result", "reason"),
    [
        (ArgumentError("It is wrong."), "failed", "It is wrong."),
        (KeyError("name"), "failed", "KeyError: 'name'"),
        (KeyboardInterrupt(), "interrupted", "a signal ended it immediately"),
    ],
)
def test_failure(error: BaseException, result: str, reason: str) -> None:
    """An error is logged with its traceback and its notes, and raised again."""
    error.add_note("a note")
    with pytest.raises(type(error)), run_log(Path(), "INFO") as (logger, stamp):
        Path(f"{stamp}.log.json").write_text("{}\n")
        with failure_logged(logger):
            raise error
    (line,) = events(f"{stamp}.log.json")[1:]
    assert (line["mode"], line["result"], line["reason"]) == ("end", result, reason)
    for text in (line["traceback"], texts()):
        assert "raise error" in text
        assert "a note" in text


def test_python_warnings_are_logged_and_shown() -> None:
    """The text log has a warning of Python's ``warnings``, which is also shown as before."""
    shown: list[Any] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *rest, **named: shown.append(message)
        with run_log(Path(), "INFO"):
            warnings.warn("careful", stacklevel=1)
            warnings.warn("a key", ConfigWarning, stacklevel=1)
    assert [str(each) for each in shown] == ["careful", "a key"]
    assert "WARNING - UserWarning: careful" in texts()
    assert "WARNING - a key" in texts()
