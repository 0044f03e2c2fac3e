"""Loggers made by one call."""

from __future__ import annotations

import logging
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from cfgtrain.utils import get_logger, print_log

NAMES = ("abc", "abcd", "abc.child", "rank")


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Begin without handlers, and close what was opened."""
    yield
    for name in NAMES:
        logger = logging.getLogger(name)
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(logging.NOTSET)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no handler to the root logger, as in a script."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])


def test_a_logger_for_the_terminal() -> None:
    """There is one handler, of the level that was asked for, and a second call changes nothing."""
    logger = get_logger("abc", log_level=logging.DEBUG)
    assert logger is get_logger("abc", "other.log", logging.ERROR)
    (handler,) = logger.handlers
    assert isinstance(handler, logging.StreamHandler)
    assert handler.level == logger.level == logging.DEBUG
    assert not Path("other.log").exists()


def test_a_logger_for_a_file() -> None:
    """The file comes second, its folder is made, and its lines have time, name, level and message."""
    logger = get_logger("abc", "logs/a.log")
    assert [type(handler).__name__ for handler in logger.handlers] == ["TerminalHandler", "FileHandler"]
    print_log("welcome", "abc")
    print_log("hidden", logger, level=logging.DEBUG)
    line = Path("logs/a.log").read_text()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - abc - INFO - welcome\n", line)


@pytest.mark.parametrize(("mode", "text"), [("w", ""), ("a", "old\n")])
def test_how_a_file_is_opened(mode: str, text: str) -> None:
    """An old file is begun anew or gone on with."""
    Path("a.log").write_text("old\n")
    get_logger("abc", "a.log", file_mode=mode)
    assert Path("a.log").read_text() == text


@pytest.mark.parametrize("variable", ["RANK", "SLURM_PROCID"])
def test_other_processes_log_errors_only(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes but the first write no file and are silent below errors."""
    monkeypatch.setenv(variable, "1")
    logger = get_logger("rank", "a.log")
    assert (len(logger.handlers), logger.handlers[0].level, logger.level) == (1, logging.INFO, logging.ERROR)
    assert not Path("a.log").exists()


def test_the_rank_of_a_running_group_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """When torch has a process group, its rank counts, whatever the environment says."""
    group = types.SimpleNamespace(is_available=lambda: True, is_initialized=lambda: True, get_rank=lambda: 2)
    monkeypatch.setitem(sys.modules, "torch.distributed", group)
    monkeypatch.setenv("RANK", "0")
    assert get_logger("rank").level == logging.ERROR


@pytest.mark.usefixtures("alone")
def test_a_child_uses_the_handlers_of_its_parent(capsys: pytest.CaptureFixture[str]) -> None:
    """A dotted child has no handlers of its own; a longer word is no child."""
    get_logger("abc")
    assert get_logger("abc.child").handlers == []
    assert len(get_logger("abcd").handlers) == 1
    get_logger("abc.child").warning("once")
    assert capsys.readouterr().err.count("once") == 1


@pytest.mark.usefixtures("alone")
def test_nothing_is_shown_twice(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the root logger writes to the terminal the record is left to it, in its format."""
    logger = get_logger("abc")
    logger.error("mine")
    logging.getLogger().addHandler(logging.StreamHandler(sys.stderr))
    logger.error("yours")
    err = capsys.readouterr().err
    assert "abc - ERROR - mine" in err
    assert err.endswith("\nyours\n")
    assert err.count("yours") == 1


def test_printing(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    """None prints, a logger logs, and "silent" does nothing."""
    print_log("printed")
    print_log("nowhere", "silent")
    assert capsys.readouterr().out == "printed\n"
    print_log("logged", logging.getLogger("abc"), logging.ERROR)
    assert [(r.name, r.levelno, r.message) for r in caplog.records] == [("abc", logging.ERROR, "logged")]
    with pytest.raises(TypeError, match="silent"):
        print_log("x", 3)  # type: ignore[arg-type]
