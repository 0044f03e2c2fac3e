"""Tests of the HTTP backend, with servers that are slow, broken, redirecting or working."""

from __future__ import annotations

import hashlib
import pickle
import random
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from fileio.conftest import Site, send
from hypothesis import given
from hypothesis import strategies as st

from cfgtrain.errors import ArgumentError, ArgumentTypeError, BackendError, BackendMethodError, DownloadError
from cfgtrain.fileio import FileClient
from cfgtrain.fileio.backends import HTTPBackend
from cfgtrain.fileio.backends import http as http_module

BODY = bytes(range(256)) * 2000
DIGEST = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def quick() -> HTTPBackend:
    """Return a backend with a short timeout and no pauses between retries."""
    return HTTPBackend(timeout=5, retries=2, backoff=0)


def silent(site: Site) -> Callable[[BaseHTTPRequestHandler], None]:
    """Send no response until the test is over."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        site.over.wait(30)
        handler.close_connection = True

    return answer


def fail_first(times: int, answer: Any, then: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    """Give one response a number of times, and then the body."""
    left = [answer] * times

    def choose(handler: BaseHTTPRequestHandler) -> None:
        left.pop()(handler) if left else send(handler, then)

    return choose


def truncated(handler: BaseHTTPRequestHandler) -> None:
    """Send less than the Content-Length header announces."""
    send(handler, BODY[:1000], Content_Length=str(len(BODY)))
    handler.close_connection = True


def truncated_chunks(handler: BaseHTTPRequestHandler) -> None:
    """Close the connection between two chunks, before the last one."""
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"5\r\nabcde\r\n")
    handler.close_connection = True


def drop_connection(handler: BaseHTTPRequestHandler) -> None:
    """Close the connection without a response."""
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def invalid_response(handler: BaseHTTPRequestHandler) -> None:
    """Send a response that is not HTTP."""
    handler.wfile.write(b"\x00\x01 what?\r\n\r\n")
    handler.close_connection = True


def respond_status(code: int, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """Respond with a status code."""
    return lambda handler: send(handler, b"sorry", code, **headers)


def redirect_to(url: str, code: int = 302) -> Callable[[BaseHTTPRequestHandler], None]:
    """Respond with a redirect."""
    return respond_status(code, Location=url)


# ------------------------------------------------------------------------- successful requests


def test_read_file(site: Site, quick: HTTPBackend) -> None:
    """The backend returns bytes, text, and a local copy that keeps the extensions and is removed."""
    site["/a/b.tar.gz"] = BODY
    site["/t.txt"] = "ä\r\nb\n".encode()
    assert quick.get(f"{site.url}/a/b.tar.gz") == BODY
    assert quick.get_text(f"{site.url}/t.txt") == "ä\nb\n"
    assert quick.get_text(f"{site.url}/t.txt", "latin-1") == "Ã¤\nb\n"
    with quick.get_local_path(f"{site.url}/a/b.tar.gz?key=1") as path:
        assert Path(path).read_bytes() == BODY
        assert str(path).endswith(".tar.gz")
    assert not Path(path).exists()


def test_empty_file(site: Site, quick: HTTPBackend) -> None:
    """An empty file is read."""
    site["/a"] = b""
    assert quick.get(f"{site.url}/a") == b""


def test_exists(site: Site, quick: HTTPBackend) -> None:
    """A 404 response means that a file does not exist; a 500 response raises an error."""
    site["/a"] = b"x"
    site["/b"] = respond_status(500)
    assert quick.exists(f"{site.url}/a")
    assert quick.isfile(f"{site.url}/a")
    assert not quick.exists(f"{site.url}/c")
    with pytest.raises(DownloadError, match="500"):
        quick.exists(f"{site.url}/b")


def test_client_infers_backend(site: Site) -> None:
    """The prefix of the URL selects this backend, with the options in file_client_args."""
    site["/a"] = b"xyz"
    assert FileClient.infer_client(uri=f"{site.url}/a").get(f"{site.url}/a") == b"xyz"
    client = FileClient.infer_client({"max_size": 2}, f"{site.url}/a")
    assert client.name == "HTTPBackend"
    with pytest.raises(DownloadError, match="larger than the limit of 2 bytes"):
        client.get(f"{site.url}/a")


@pytest.mark.parametrize(
    ("name", "asked"), [("/a b.txt", "/a%20b.txt"), ("/ä", "/%C3%A4"), ("/a%20b", "/a%20b")]
)
def test_urls_are_quoted(name: str, asked: str, site: Site, quick: HTTPBackend) -> None:
    """Spaces and non-ASCII characters in a URL are quoted; quoted characters are kept."""
    site[asked] = b"x"
    assert quick.get(site.url + name) == b"x"
    assert site.asked == [asked]


def test_query_and_fragment(site: Site, quick: HTTPBackend) -> None:
    """The query is sent, the fragment is not."""
    site["/a"] = b"x"
    assert quick.get(f"{site.url}/a?b=c&d=e f#g") == b"x"
    assert site.asked == ["/a?b=c&d=e%20f"]


def test_user_and_password(site: Site, quick: HTTPBackend) -> None:
    """A login in the URL is sent as a header and does not appear in messages."""
    site["/a"] = b"x"
    url = site.url.replace("//", "//me:p%40ss@")
    quick.get(f"{url}/a")
    assert site.headers[0]["Authorization"] == "Basic bWU6cEBzcw=="
    with pytest.raises(DownloadError) as caught:
        quick.get(f"{url}/b?signature=abc")
    assert "p%40ss" not in str(caught.value)
    assert "abc" not in str(caught.value)
    assert f"{site.url}/b" in str(caught.value)
    with pytest.raises(
        DownloadError, match=r"http://h%/a.* cannot be fetched: the address is not valid"
    ) as caught:
        quick.get("http://me:secret@h%/a?signature=abc")
    assert "abc" not in str(caught.value)


# ------------------------------------------------------------------------- failures and retries


@pytest.mark.parametrize(
    "failure",
    [
        truncated,
        truncated_chunks,
        drop_connection,
        invalid_response,
        *map(respond_status, (408, 425, 429, 500, 502, 503, 504)),
    ],
    ids=lambda failure: getattr(failure, "__name__", None),
)
def test_transient_failure(failure: Any, site: Site, quick: HTTPBackend) -> None:
    """After two failures the file is downloaded completely, in memory and on disk."""
    for path in ("/a", "/b"):
        site[path] = fail_first(2, failure, BODY)
    assert quick.get(f"{site.url}/a") == BODY
    with quick.get_local_path(f"{site.url}/b") as local:
        assert Path(local).read_bytes() == BODY
    assert site.asked == ["/a"] * 3 + ["/b"] * 3


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (truncated, "is incomplete: received 1000 of 512000 bytes"),
        (truncated_chunks, "failed"),
        (drop_connection, "cannot be fetched"),
        (invalid_response, "cannot be fetched"),
        (respond_status(503), "HTTP 503"),
    ],
)
def test_repeated_failure(failure: Any, text: str, site: Site, quick: HTTPBackend) -> None:
    """After the last retry the error contains the reason, the URL and the number of tries."""
    site["/a"] = failure
    with pytest.raises(DownloadError, match=rf"{site.url}/a.*{text}.*\(3 tries\)"):
        quick.get(f"{site.url}/a")
    assert len(site.asked) == 3


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 501])
def test_permanent_failure(code: int, site: Site, quick: HTTPBackend) -> None:
    """A response that would be the same the next time is not retried."""
    site["/a"] = respond_status(code)
    with pytest.raises(DownloadError, match=f"HTTP {code}") as caught:
        quick.get(f"{site.url}/a")
    assert caught.value.status == code
    assert len(site.asked) == 1
    assert isinstance(caught.value, OSError)


def test_timeout(site: Site) -> None:
    """A server that stops sending, before or during the response, causes a timeout."""

    def stop_halfway(handler: BaseHTTPRequestHandler) -> None:
        send(handler, b"abc", Content_Length="6")
        handler.wfile.flush()
        silent(site)(handler)

    site["/a"] = silent(site)
    site["/b"] = stop_halfway
    backend = HTTPBackend(timeout=0.05, retries=1, backoff=0)
    for path in ("/a", "/b"):
        with pytest.raises(DownloadError, match=r"the server does not respond.*2 tries"):
            backend.get(site.url + path)


def test_time_limit(site: Site) -> None:
    """A server that sends slowly and endlessly exceeds the time limit."""

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not site.over.wait(0.005):
            handler.wfile.write(b"x")

    site["/a"] = drip
    with pytest.raises(DownloadError, match=r"took longer than 0\.05 s"):
        HTTPBackend(retries=0, time_limit=0.05).get(f"{site.url}/a")


def test_connection_refused(quick: HTTPBackend) -> None:
    """A refused connection is retried and then raises an error."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(DownloadError, match=r"refused.*3 tries"):
            quick.get(f"http://127.0.0.1:{taken.getsockname()[1]}/a")


def test_retries_are_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Each retry logs a warning with its reason."""
    site["/a"] = fail_first(1, respond_status(503), b"x")
    assert HTTPBackend(backoff=0).get(f"{site.url}/a") == b"x"
    assert [record.getMessage() for record in caplog.records] == [
        f"{site.url}/a cannot be fetched: HTTP 503 Service Unavailable. Retrying in 0.0 s."
    ]


def test_pauses_double(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pause is twice as long as the previous one, with jitter; a server may ask for a longer one."""
    pauses: list[float] = []
    monkeypatch.setattr(http_module.time, "sleep", pauses.append)
    state = random.getstate()
    site["/a"] = respond_status(503)
    site["/b"] = respond_status(429, Retry_After="7")
    site["/c"] = respond_status(429, Retry_After="86400")
    backend = HTTPBackend(retries=4, backoff=1.0)
    for path in ("/a", "/b", "/c"):
        with pytest.raises(DownloadError):
            backend.get(site.url + path)
    assert all(low / 2 <= pause <= low for pause, low in zip(pauses[:4], (1, 2, 4, 8), strict=True))
    assert pauses[4:6] == [7, 7]
    assert pauses[8:] == [60] * 4
    assert random.getstate() == state


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Wed, 21 Oct 2065 07:28:00 GMT", 60),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("soon", 0),
        ("9" * 5000, 0),
    ],
)
def test_retry_after(header: str, expected: float, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry-After may be a date; an invalid value is ignored."""
    pauses: list[float] = []
    monkeypatch.setattr(http_module.time, "sleep", pauses.append)
    site["/a"] = fail_first(1, respond_status(503, Retry_After=header), b"x")
    assert HTTPBackend(backoff=0).get(f"{site.url}/a") == b"x"
    assert pauses == [expected]


def test_write_errors_are_not_retried(
    site: Site, quick: HTTPBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error while writing the local copy is raised unchanged, and no file is left."""
    site["/a"] = BODY
    folder = Path("tmp")
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))

    def full(file: Any, *args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile._TemporaryFileWrapper.truncate", full, raising=False)
    with pytest.raises(OSError, match="No space left") as caught, quick.get_local_path(f"{site.url}/a"):
        pass
    assert not isinstance(caught.value, DownloadError)
    assert list(folder.iterdir()) == []
    assert len(site.asked) == 0


# ------------------------------------------------------------------------- limits and refusals


@pytest.mark.parametrize("announced", [True, False])
def test_max_size(announced: bool, site: Site) -> None:
    """A file above the size limit raises an error: at once if the server announces its size, else when it is reached."""
    sent = []

    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        if announced:
            handler.send_header("Content-Length", str(10**12))
        handler.end_headers()
        try:
            while not site.over.is_set():
                handler.wfile.write(BODY)
                sent.append(len(BODY))
        except OSError:
            pass

    site["/a"] = endless
    with pytest.raises(DownloadError, match=r"larger than the limit of 3000000 bytes.*max_size"):
        HTTPBackend(max_size=3_000_000).get(f"{site.url}/a")
    assert len(site.asked) == 1
    site["/b"] = BODY
    assert HTTPBackend(max_size=len(BODY)).get(f"{site.url}/b") == BODY


@pytest.mark.parametrize(
    "target",
    ["file:///etc/passwd", "ftp://127.0.0.1/a", "data:text/plain,x", "javascript:x", "FILE:///etc/passwd"],
)
@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_to_other_schemes(target: str, code: int, site: Site, quick: HTTPBackend) -> None:
    """A redirect to another scheme raises an error and is not retried."""
    site["/a"] = redirect_to(target, code)
    with pytest.raises(DownloadError, match=r"redirects to .*not allowed"):
        quick.get(f"{site.url}/a")
    assert len(site.asked) == 1


def test_redirects_from_https_to_http() -> None:
    """A redirect from HTTPS to HTTP raises an error."""
    with pytest.raises(DownloadError, match="https://a/x redirects to http://a/y, which is not allowed"):
        http_module._redirect_url("https://a/x", "http://a/y")
    assert http_module._redirect_url("https://a/x", "/y") == "https://a/y"
    assert http_module._redirect_url("http://a/x", "https://a/y") == "https://a/y"


def test_non_ascii_redirects(site: Site, quick: HTTPBackend) -> None:
    """A redirect may contain spaces and UTF-8 bytes; an invalid URL raises an error without a retry."""
    site["/a"] = redirect_to("/ä b".encode().decode("latin-1"))
    site["/%C3%A4%20b"] = b"x"
    site["/c"] = redirect_to("http://[::1/b")
    assert quick.get(f"{site.url}/a") == b"x"
    with pytest.raises(DownloadError, match=r"cannot be fetched: .*IPv6"):
        quick.get(f"{site.url}/c")
    assert site.asked == ["/a", "/%C3%A4%20b", "/c"]


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("whole", [True, False])
def test_redirects_are_followed(code: int, whole: bool, site: Site, quick: HTTPBackend) -> None:
    """Redirects to absolute URLs and to paths are followed."""
    site["/a"] = redirect_to((site.url if whole else "") + "/b", code)
    site["/b"] = BODY
    assert quick.get(f"{site.url}/a") == BODY


def test_redirect_loop(site: Site, quick: HTTPBackend) -> None:
    """A redirect loop ends with an error."""
    site["/a"] = redirect_to("/a")
    with pytest.raises(DownloadError, match="HTTP 302"):
        quick.get(f"{site.url}/a")
    assert len(site.asked) < 20


def test_secrets_are_not_sent_to_other_hosts(site: Site) -> None:
    """Authorization and cookies are sent after a redirect to the same host, but not to another one."""
    backend = HTTPBackend(headers={"Authorization": "Bearer x", "Cookie": "y", "X-Mine": "z"})
    site["/a"] = redirect_to("/b")
    site["/b"] = redirect_to(site.url.replace("127.0.0.1", "localhost") + "/c")
    site["/c"] = b"x"
    assert backend.get(f"{site.url}/a") == b"x"
    sent = [[name for name in ("Authorization", "Cookie", "X-Mine") if name in each] for each in site.headers]
    assert sent == [["Authorization", "Cookie", "X-Mine"]] * 2 + [["X-Mine"]]


def test_digest(site: Site, quick: HTTPBackend) -> None:
    """A file is accepted if it has the expected digest, given in the URL or as an argument; else an error is raised."""
    site["/a"] = BODY
    url = f"{site.url}/a"
    assert quick.get(f"{url}#sha256={DIGEST}") == BODY
    assert quick.get(url, sha256=DIGEST.upper()) == BODY
    wrong = "0" * 64
    with pytest.raises(DownloadError, match=f"wrong SHA-256 digest: expected {wrong}, got {DIGEST}"):
        quick.get(f"{url}#sha256={wrong}")
    with pytest.raises(DownloadError, match=wrong), quick.get_local_path(url, sha256=wrong):
        pass
    assert site.asked == ["/a"] * 4


@pytest.mark.parametrize("mark", ["sha256=", "sha256=abc", "SHA256=", "sha256:" + "g" * 64, "x=1&sha256="])
def test_invalid_digest(mark: str, site: Site, quick: HTTPBackend) -> None:
    """An empty or truncated digest raises an error instead of disabling the check."""
    site["/a"] = BODY
    with pytest.raises(ArgumentError, match="64 hexadecimal digits"):
        quick.get(f"{site.url}/a#{mark}")
    with pytest.raises(ArgumentError, match="64 hexadecimal digits, not ''"):
        quick.get(f"{site.url}/a", sha256="")
    assert quick.get(f"{site.url}/a#part") == BODY
    assert quick.get(f"{site.url}/a#SHA256={DIGEST}") == BODY
    assert site.asked == ["/a"] * 2


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://h/a",
        "data:,x",
        "/etc/passwd",
        "a.json",
        "",
        "http://",
        "http:///a",
        "http:a",
        "http://[::1/a",
        "http://h:port/a",
        "http://ä..b/",
        "http://h\x08/a",
        "http://h h/a",
        "http://h/\ud800",
        Path("http://h/a"),
        3,
    ],
)
def test_invalid_url(url: Any, quick: HTTPBackend) -> None:
    """An invalid HTTP URL raises an error before a connection is opened."""
    with pytest.raises((BackendError, TypeError)):
        quick.get(url)


@pytest.mark.parametrize(
    "args", [{"timeout": "3"}, {"timeout": [1]}, {"retries": 1.5}, {"retries": None}, {"backoff": "1"}]
)
def test_option_types(args: dict[str, Any]) -> None:
    """An option of the wrong type raises an error that names it."""
    with pytest.raises(ArgumentTypeError, match=f"{next(iter(args))} must be (a number|an integer)"):
        HTTPBackend(**args)


@pytest.mark.parametrize(
    "args", [{"timeout": 0}, {"retries": -1}, {"backoff": -1}, {"max_size": 0}, {"time_limit": 0}]
)
def test_option_values(args: dict[str, Any]) -> None:
    """A limit out of range raises an error that names it."""
    with pytest.raises(ArgumentError, match=next(iter(args))):
        HTTPBackend(**args)


@given(text=st.text(st.characters(codec="utf-8"), max_size=20))
def test_any_url_is_ascii(text: str) -> None:
    """The URL sent to a server contains no line ending, space or non-ASCII character."""
    for start in ("http://", "http://h/", "https://h/a?", "http://a:"):
        with suppress(BackendError):
            url = http_module._target(start + text).url
            assert url.isascii()
            assert not any(char.isspace() or not char.isprintable() for char in url)


def test_unsupported_methods(quick: HTTPBackend) -> None:
    """Methods that HTTP does not support raise an error."""
    for call in (
        lambda: quick.put(b"", "http://h/a"),
        lambda: quick.put_text("", "http://h/a"),
        lambda: quick.remove("http://h/a"),
        lambda: quick.isdir("http://h/a"),
        lambda: list(quick.list_dir_or_file("http://h/a")),
    ):
        with pytest.raises(BackendMethodError, match="HTTPBackend cannot"):
            call()


def test_no_pause_on_success(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A successful download does not pause."""
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("a pause"))
    site["/a"] = b"x"
    assert HTTPBackend().get(f"{site.url}/a") == b"x"


# ------------------------------------------------------------------------- connections


@pytest.fixture
def connections(site: Site) -> list[Any]:
    """Keep connections to ``/a`` open, and return the client address of each request."""
    ports: list[Any] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        ports.append(handler.client_address)
        handler.protocol_version = "HTTP/1.1"
        handler.close_connection = False
        send(handler, b"x")

    site["/a"] = answer
    return ports


def test_connections_are_reused(site: Site, connections: list[Any], quick: HTTPBackend) -> None:
    """All backends of a process share their connections, a pickled one too."""
    copy = pickle.loads(pickle.dumps(quick))
    for each in (quick, copy, HTTPBackend(timeout=3)):
        assert each.exists(f"{site.url}/a")
        assert each.get(f"{site.url}/a") == b"x"
    assert len(connections) == 6
    assert len(set(connections)) == 1


def test_forked_process_opens_its_own_connections(
    site: Site, connections: list[Any], quick: HTTPBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forked process does not use the connections of its parent."""
    quick.get(f"{site.url}/a")
    monkeypatch.setattr(http_module.os, "getpid", lambda: -1)
    quick.get(f"{site.url}/a")
    quick.get(f"{site.url}/a")
    assert len(connections) == 3
    assert connections[0] != connections[1] == connections[2]


def test_many_threads(
    site: Site, connections: list[Any], quick: HTTPBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """Threads download at the same time, and no warning is logged."""
    with ThreadPoolExecutor(16) as threads:
        results = list(threads.map(lambda _: quick.get(f"{site.url}/a"), range(64)))
    assert results == [b"x"] * 64
    assert len(connections) == 64
    assert [each.message for each in caplog.records if each.levelname != "DEBUG"] == []


def test_proxy_from_environment(site: Site, quick: HTTPBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests use the proxy of the environment variables, with its login, except for hosts in no_proxy."""
    site["http://example.invalid/a"] = BODY
    site["/b"] = b"x"
    monkeypatch.setenv("http_proxy", site.url.replace("http://", "me:p%40ss@"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert quick.get("http://example.invalid/a") == BODY
    assert quick.get(f"{site.url}/b") == b"x"
    assert site.asked == ["http://example.invalid/a", "/b"]
    assert [each.get("Proxy-Authorization") for each in site.headers] == ["Basic bWU6cEBzcw==", None]


def test_certificates_are_verified(quick: HTTPBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """An invalid certificate raises an error and is not retried."""
    error = ssl.SSLCertVerificationError("certificate verify failed")

    def connect(connection: Any) -> None:
        tries.append(connection.cert_reqs)
        raise error

    tries: list[Any] = []
    monkeypatch.setattr("urllib3.connection.HTTPSConnection.connect", connect)
    with pytest.raises(DownloadError, match=r"https://h/a cannot be fetched: .*certificate verify failed"):
        quick.get("https://h/a")
    assert tries == [ssl.CERT_REQUIRED]


def test_invalid_header(site: Site) -> None:
    """A header with a line ending raises an error, and nothing is sent."""
    with pytest.raises(DownloadError, match="cannot be fetched: Invalid header value"):
        HTTPBackend(headers={"X-A": "b\r\nX-C: d"}).get(f"{site.url}/a")
    assert site.asked == []


def test_urllib3_is_loaded_by_the_first_request() -> None:
    """urllib3 is imported by the first request, not before."""
    code = "import sys; from cfgtrain.fileio import FileClient; FileClient('http'); print('urllib3' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
