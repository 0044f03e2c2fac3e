"""Tests of get_logger and print_log."""

from __future__ import annotations

import logging
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cfgtrain.utils import get_logger, print_log
from cfgtrain.utils.logging import FILE_ONLY, LINES_ONLY, is_shown_on_terminal

NAMES = ("abc", "abcd", "abc.child", "rank")


@pytest.fixture(autouse=True)
def remove_handlers() -> Iterator[None]:
    """Remove and close the handlers that a test adds."""
    yield
    for name in NAMES:
        logger = logging.getLogger(name)
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(logging.NOTSET)


@pytest.fixture
def no_root_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the handlers of the root logger, as in a script."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])


def test_terminal_logger() -> None:
    """A logger has one handler with the requested level, and a second call changes nothing."""
    logger = get_logger("abc", log_level=logging.DEBUG)
    assert logger is get_logger("abc", "other.log", logging.ERROR)
    (handler,) = logger.handlers
    assert isinstance(handler, logging.StreamHandler)
    assert handler.level == logger.level == logging.DEBUG
    assert not Path("other.log").exists()


def test_file_logger() -> None:
    """The folder of the log file is created, and its lines have time, name, level and message."""
    logger = get_logger("abc", "logs/a.log")
    assert [type(handler).__name__ for handler in logger.handlers] == ["TerminalHandler", "FileHandler"]
    print_log("welcome", "abc")
    print_log("hidden", logger, level=logging.DEBUG)
    line = Path("logs/a.log").read_text()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - abc - INFO - welcome\n", line)


@pytest.mark.parametrize(("mode", "text"), [("w", ""), ("a", "old\n")])
def test_file_mode(mode: str, text: str) -> None:
    """An existing log file is overwritten or appended to."""
    Path("a.log").write_text("old\n")
    get_logger("abc", "a.log", file_mode=mode)
    assert Path("a.log").read_text() == text


@pytest.mark.parametrize("variable", ["RANK", "SLURM_PROCID"])
def test_other_processes_log_errors_only(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes of other ranks write no file and log errors only."""
    monkeypatch.setenv(variable, "1")
    logger = get_logger("rank", "a.log")
    assert (len(logger.handlers), logger.handlers[0].level, logger.level) == (1, logging.INFO, logging.ERROR)
    assert not Path("a.log").exists()


def test_rank_of_process_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rank of torch's process group takes precedence over the environment variables."""
    group = types.SimpleNamespace(is_available=lambda: True, is_initialized=lambda: True, get_rank=lambda: 2)
    monkeypatch.setitem(sys.modules, "torch.distributed", group)
    monkeypatch.setenv("RANK", "0")
    assert get_logger("rank").level == logging.ERROR


@pytest.mark.usefixtures("no_root_handlers")
def test_child_logger_uses_handlers_of_parent(capsys: pytest.CaptureFixture[str]) -> None:
    """A child logger gets no handlers; a logger whose name merely begins the same is not a child."""
    get_logger("abc")
    assert get_logger("abc.child").handlers == []
    assert len(get_logger("abcd").handlers) == 1
    get_logger("abc.child").warning("once")
    assert capsys.readouterr().err.count("once") == 1


@pytest.mark.usefixtures("no_root_handlers")
def test_records_are_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    """If the root logger writes to the terminal, the record is shown only there, in its format."""
    logger = get_logger("abc")
    logger.error("mine")
    logging.getLogger().addHandler(logging.StreamHandler(sys.stderr))
    logger.error("yours")
    err = capsys.readouterr().err
    assert "abc - ERROR - mine" in err
    assert err.endswith("\nyours\n")
    assert err.count("yours") == 1


def test_print_log(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    """None prints, a logger logs, and "silent" discards the message."""
    print_log("printed")
    print_log("nowhere", "silent")
    assert capsys.readouterr().out == "printed\n"
    print_log("logged", logging.getLogger("abc"), logging.ERROR)
    assert [(r.name, r.levelno, r.message) for r in caplog.records] == [("abc", logging.ERROR, "logged")]
    with pytest.raises(TypeError, match="silent"):
        print_log("x", 3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("extra", "in_lines", "in_table"),
    [(None, True, True), (LINES_ONLY, True, False), (FILE_ONLY, False, False)],
)
def test_records_that_the_terminal_does_not_show(extra: Any, in_lines: bool, in_table: bool) -> None:
    """Some records are for the log file alone, some are left out where a run is a table."""
    record = logging.getLogger("a").makeRecord("a", logging.INFO, "f", 1, "text", (), None, extra=extra)
    assert is_shown_on_terminal(record, as_table=False) is in_lines
    assert is_shown_on_terminal(record, as_table=True) is in_table
