"""A web server with configurable responses, and a fixture that restores the registries."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cfgtrain.fileio import FileClient
from cfgtrain.fileio.handlers import file_handlers

Answer = Callable[[BaseHTTPRequestHandler], None]


class Site:
    """A server on the loopback interface; ``site[path]`` sets the response, and ``asked`` lists the requests."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer | bytes] = {}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.over = threading.Event()  # slow responses wait for it
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                site.headers.append(dict(self.headers))
                answer = site.answers.get(self.path.partition("?")[0])
                if answer is None:
                    self.send_error(404)
                elif isinstance(answer, bytes):
                    send(self, answer)
                else:
                    answer(self)

            do_HEAD = do_GET  # noqa: N815  # the name that http.server looks for

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))

    def __setitem__(self, path: str, answer: Answer | bytes) -> None:
        self.answers[path] = answer


def send(handler: BaseHTTPRequestHandler, body: bytes, code: int = 200, **headers: str) -> None:
    """Send a response; headers such as ``Content_Length`` can be set to wrong values."""
    handler.send_response(code)
    for name, value in {"Content_Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Run a server that is reached without a proxy."""
    monkeypatch.setenv("no_proxy", "*")
    site = Site()
    site.thread.start()
    yield site
    site.over.set()
    site.server.shutdown()
    site.thread.join()
    site.server.server_close()


@pytest.fixture(autouse=True)
def restore_registries() -> Iterator[None]:
    """Remove the formats, backends and clients that a test registers."""
    kept = (file_handlers, FileClient._backends, FileClient._prefix_to_backends, FileClient._instances)
    before = [dict(table) for table in kept]
    yield
    for table, content in zip(kept, before, strict=True):
        table.clear()
        table.update(content)
