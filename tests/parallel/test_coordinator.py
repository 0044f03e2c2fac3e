from __future__ import annotations

import logging
import os
from datetime import timedelta
from typing import Any

import pytest
from torch import distributed as dist

from cfgtrain.parallel.coordinator import Coordinator, is_lost_connection


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("The optimizer cannot restore the state of 'fc'."),
        RuntimeError("the server timed out: socket closed"),
        RuntimeError("recv of the message failed: broken pipe"),
        ConnectionResetError("Connection reset by peer"),
        ValueError("[/build/gloo/transport/tcp/pair.cc:537] Read error"),
    ],
)
def test_errors_of_other_code_are_no_lost_connection(error: Exception) -> None:
    """An error of custom code is reported as what it is, whatever its text."""
    assert not is_lost_connection(error)


@pytest.mark.parametrize(
    "text",
    [
        "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:537] Read error [10.0.0.1]:4: Connection reset by peer",
        "[../third_party/gloo/gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 1000ms for recv operation",
        "[enforce fail at ../third_party/gloo/gloo/transport/tcp/pair.cc:598] op.preamble.length <= op.nbytes. 8 vs 4",
    ],
)
def test_errors_of_gloo_are_recognized(text: str) -> None:
    """They are plain RuntimeErrors, which begin with a place in the source of gloo."""
    assert is_lost_connection(RuntimeError(text))


def test_errors_of_a_store_are_recognized() -> None:
    """A store that does not answer raises an error of torch.distributed."""
    store = dist.HashStore()
    store.set_timeout(timedelta(seconds=0.01))
    with pytest.raises(dist.DistStoreError) as error:
        store.get("nothing")
    assert is_lost_connection(error.value)


def test_a_process_that_is_ended_writes_its_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The handlers of the library are flushed, which the process would otherwise do when it ends by itself."""
    flushed: list[str] = []

    class Buffered(logging.Handler):
        def flush(self) -> None:
            flushed.append(self.name or "")

    handlers = {name: Buffered() for name in ("", "cfgtrain")}
    for name, handler in handlers.items():
        handler.name = name or "root"
        logging.getLogger(name).addHandler(handler)
    codes: list[Any] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    coordinator = Coordinator(dist.HashStore())
    try:
        coordinator._end()
    finally:
        coordinator.close()
        for name, handler in handlers.items():
            logging.getLogger(name).removeHandler(handler)
    assert sorted(flushed) == ["cfgtrain", "root"]
    assert codes == [1]
