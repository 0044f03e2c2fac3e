from __future__ import annotations

import threading
import time

import pytest

from cfgtrain.checkpoint.background import BackgroundWriter


def test_one_function_at_a_time() -> None:
    """``start`` returns while its function runs, and the next one waits for its end."""
    writer, go, order = BackgroundWriter(), threading.Event(), []

    def first() -> None:
        go.wait(30)
        order.append("first")

    writer.start(first)
    assert order == []
    threading.Timer(0.05, go.set).start()
    writer.start(lambda: order.append("second"))
    writer.wait()
    assert order == ["first", "second"]


def test_an_exception_is_raised_by_the_next_call() -> None:
    """``wait`` and ``start`` raise it once."""
    writer = BackgroundWriter()

    def fail() -> None:
        raise ValueError("broken")

    for next_call in (writer.wait, lambda: writer.start(lambda: None)):
        writer.start(fail)
        with pytest.raises(ValueError, match="broken"):
            next_call()
        writer.wait()


def test_abandon_interrupts_the_function() -> None:
    """It gets KeyboardInterrupt and can clean up; nothing is raised afterwards."""
    writer, seen, begun = BackgroundWriter(), [], threading.Event()

    def work() -> None:
        try:
            begun.set()
            while True:
                time.sleep(0.001)
        except KeyboardInterrupt:
            seen.append("cleaned up")
            raise

    writer.abandon()  # there is nothing to abandon
    writer.start(work)
    assert begun.wait(30)
    writer.abandon()
    assert seen == ["cleaned up"]
    writer.wait()


def test_abandon_after_the_end_of_the_function() -> None:
    """``abandon`` does not wait forever if its exception ends the thread after the function has returned."""
    writer, waiting = BackgroundWriter(), threading.Event()

    class Late(threading.Event):
        """An event that the thread never gets to set."""

        def set(self) -> None:
            waiting.set()
            while True:
                time.sleep(0.001)

    writer._ended = Late()
    hook, threading.excepthook = threading.excepthook, lambda _: None
    try:
        writer.start(lambda: None)
        assert waiting.wait(30)
        caller = threading.Thread(target=writer.abandon, daemon=True)
        caller.start()
        caller.join(30)
        assert not caller.is_alive()
    finally:
        threading.excepthook = hook
