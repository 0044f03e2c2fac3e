"""Call a function for many tasks in worker processes, and notice when a worker or its answer is lost."""

from __future__ import annotations

import multiprocessing
import pickle
import reprlib
import signal
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from typing import Any, NamedTuple

from cfgtrain.arguments import check_integer
from cfgtrain.errors import WorkerError

__all__ = ["compute_in_workers"]

_CHECK_SECONDS = 1.0  # how often the workers are checked while no answer comes
_EXIT_SECONDS = 1.0  # how long a worker may take to exit
_short = reprlib.Repr()
_short.maxstring = _short.maxother = 100


def compute_in_workers(
    func: Callable[[Any], Any],
    tasks: Iterable[Any],
    nproc: int,
    initializer: Callable[..., None] | None = None,
    initargs: tuple[Any, ...] = (),
    chunksize: int = 1,
) -> Generator[tuple[int, Any], None, None]:
    """Yield the number of each task and its result, in the order in which they are completed.

    This uses one pipe per worker instead of ``concurrent.futures.ProcessPoolExecutor``, whose workers share a
    pipe for their answers: if a worker is killed while it writes to it, the executor waits forever.

    Args:
        func: The function.
        tasks: Arguments of the calls, which are requested as they are needed.
        nproc: Number of worker processes.
        initializer: Called as ``initializer(*initargs)`` when a worker starts.
        initargs: Arguments of ``initializer``.
        chunksize: Number of tasks that are sent to a worker at a time.

    Raises:
        ArgumentError: ``nproc`` or ``chunksize`` is not positive.
        WorkerError: A worker ended, its initializer failed, or an object could not be sent to or from it.
        Exception: What a task raised, with a note about the task.
    """
    check_integer("nproc", nproc, 1)
    check_integer("chunksize", chunksize, 1)
    function = _dump(func, "The function")
    remaining = ((number, task) for number, task in enumerate(tasks))
    workers: list[_Worker] = []
    finished = False
    try:
        for _ in range(nproc):
            workers.append(_Worker(initializer, initargs))  # noqa: PERF401  # those that started are stopped below
        busy = list(workers)
        while busy:
            for worker in _answering(busy):
                yield from worker.receive()
                if not worker.pending and not worker.send(function, islice(remaining, chunksize)):
                    busy.remove(worker)
        finished = True
    finally:
        for worker in workers:
            worker.stop(gently=finished)


class _Answer(NamedTuple):
    """What a worker sends: plain types, so that it can always be read.

    Attributes:
        kind: ``"ready"`` after the initializer, ``"result"``, ``"error"`` for what a task raised, and
            ``"failure"`` for everything else.
        text: Traceback of an error, or description of a failure.
        content: The pickled result or exception; empty if it cannot be pickled.
    """

    kind: str
    text: str = ""
    content: bytes = b""


class _Worker:
    """A worker process, seen from the main process.

    Attributes:
        connection: Pipe to the worker.
        pending: Number and value of the tasks that were sent and not answered.
        initialized: Whether the initializer has returned.
    """

    def __init__(self, initializer: Callable[..., None] | None, initargs: tuple[Any, ...]) -> None:
        context: Any = multiprocessing.get_context()
        self.connection, other_end = context.Pipe()
        self.pending: deque[tuple[int, Any]] = deque()
        self.initialized = False
        self.process = context.Process(target=_work, args=(other_end, initializer, initargs), daemon=True)
        try:
            self.process.start()
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise WorkerError(f"The initializer cannot be sent to a worker process: {error}") from error
        finally:
            other_end.close()  # so that the end of the worker closes the pipe

    def send(self, function: bytes, tasks: Iterable[tuple[int, Any]]) -> bool:
        """Send a chunk of tasks, and return whether there were any."""
        chunk = []
        for number, task in tasks:
            self.pending.append((number, task))
            chunk.append(_dump(task, _name(number, task)))
        if not chunk:
            return False
        try:
            self.connection.send((function, chunk))
        except OSError:  # the pipe is broken
            raise self._lost() from None
        return True

    def receive(self) -> Iterator[tuple[int, Any]]:
        """Read an answer, and yield the number and result of the task."""
        if self.has_ended():
            raise self._lost()
        try:
            answer = _Answer(*self.connection.recv())
        except (EOFError, OSError):
            raise self._lost() from None
        if answer.kind == "ready":
            self.initialized = True
            return
        if not self.pending:
            raise WorkerError(answer.text)
        number, task = self.pending.popleft()
        name = _name(number, task)
        if answer.kind == "failure":
            raise WorkerError(f"{name} failed: {answer.text}")
        try:
            content = ForkingPickler.loads(answer.content)
        except Exception as error:
            if answer.kind == "error":
                raise WorkerError(
                    f"{name} raised an exception that cannot be sent to the main process: {answer.text}"
                ) from None
            raise WorkerError(
                f"The result of {name} cannot be read from its pickle: {type(error).__name__}: {error}"
            ) from error
        if answer.kind == "error":
            content.add_note(f"{name} failed in a worker process:\n{answer.text}")
            raise content
        yield number, content

    def has_ended(self) -> bool:
        """Return whether the process has ended without an answer."""
        return self.process.exitcode is not None and not self.connection.poll()

    def stop(self, gently: bool) -> None:
        """End the process; ``gently`` lets it exit by itself first."""
        if self.process.pid is not None and self.process.is_alive():
            if gently:
                with suppress(OSError):
                    self.connection.send(None)
                self.process.join(_EXIT_SECONDS)
            self.process.kill()
            self.process.join()
        self.connection.close()

    def _lost(self) -> WorkerError:
        """Return the error for a process that has ended."""
        self.process.join(_EXIT_SECONDS)
        code = self.process.exitcode
        how = f"ended with exit code {code}"
        if code is None:
            how = "closed its pipe"
        elif code < 0:
            how = f"was killed by {_signal_name(-code)}"
        if self.pending:
            when = f"while it computed {_name(*self.pending[0])}"
        else:
            when = "while it waited for a task" if self.initialized else "before it was initialized"
        hint = "The system kills a process with SIGKILL if the memory is full." if code == -9 else ""
        return WorkerError(f"A worker process {how} {when}.", hint=hint)


def _answering(workers: list[_Worker]) -> list[_Worker]:
    """Wait for the next answers, and return the workers that sent one or ended."""
    while True:
        ready = wait([worker.connection for worker in workers], _CHECK_SECONDS)
        # The pipe of a worker that ended stays open if a process that it started still has it.
        found = [worker for worker in workers if worker.connection in ready or worker.has_ended()]
        if found:
            return found


def _work(connection: Connection, initializer: Callable[..., None] | None, initargs: tuple[Any, ...]) -> None:
    """Compute tasks in a worker process until the main process sends None."""
    try:
        if initializer is not None:
            initializer(*initargs)
    except BaseException:
        connection.send(_Answer("failure", f"The initializer failed in a worker process:\n{_traceback()}"))
        return
    try:
        connection.send(_Answer("ready"))
        while (chunk := connection.recv()) is not None:
            function, tasks = chunk
            for task in tasks:
                connection.send(_compute(function, task))
    except (EOFError, BrokenPipeError, KeyboardInterrupt):  # Ctrl-C, or the main process has ended
        return


def _compute(function: bytes, task: bytes) -> _Answer:
    try:
        func, argument = ForkingPickler.loads(function), ForkingPickler.loads(task)
    except Exception:
        return _Answer("failure", f"it cannot be read from its pickle:\n{_traceback()}")
    try:
        result = func(argument)
    except Exception as error:
        text = _traceback()
        try:
            return _Answer("error", text, bytes(ForkingPickler.dumps(error)))
        except Exception:  # an exception that cannot be pickled
            return _Answer("error", text)
    except BaseException:  # sys.exit, for example, would end the worker
        return _Answer("failure", f"it tried to end its worker process:\n{_traceback()}")
    try:
        return _Answer("result", content=bytes(ForkingPickler.dumps(result)))
    except Exception as error:
        return _Answer("failure", f"its result cannot be pickled: {type(error).__name__}: {error}")


def _dump(value: Any, name: str) -> bytes:
    try:
        return bytes(ForkingPickler.dumps(value))
    except Exception as error:  # pickling custom objects can fail in any way
        raise WorkerError(
            f"{name} cannot be sent to a worker process, because it cannot be pickled: {error}"
        ) from error


def _name(number: int, task: Any) -> str:
    return f"tasks[{number}] ({_short.repr(task)})"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _traceback() -> str:
    return traceback.format_exc().strip()
