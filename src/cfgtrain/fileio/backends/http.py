"""Files on a web server: read-only, with limits on time and size."""

from __future__ import annotations

import io
import logging
import os
import re
import string
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote, urljoin, urlsplit, urlunsplit

from cfgtrain.arguments import check_integer, check_number
from cfgtrain.errors import ArgumentError, BackendError, DownloadError
from cfgtrain.fileio.backends.base import BaseStorageBackend, decode, temporary_file
from cfgtrain.fileio.uri import display_name, path_text

# urllib3 is imported where it is used: a command that downloads nothing does not wait for it.
if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

__all__ = ["HTTPBackend"]

logger = logging.getLogger(__name__)

_CHUNK = 1 << 18
_URL_MARKS = "!$%&'()*+,/:;=?@[]~"  # characters that are not quoted in the path and query of a URL
_DIGEST = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)
_DIGEST_MARK = re.compile(r"(?:^|&)sha256[=:]([^&]*)", re.IGNORECASE)
_NO_HOST = re.compile(r"[\x00-\x20\x7f]")
_GONE = (404, 410)
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
_MAX_PAUSE = 60.0
_MAX_REDIRECTS = 10
_MAX_THREADS = 64  # connections kept open per host; urllib3 logs a warning for each one that it has to drop


class HTTPBackend(BaseStorageBackend):
    """Files by ``http://`` and ``https://`` URL.

    A URL may end in ``#sha256=`` and the digest in hexadecimal: no other content is accepted
    then. Transient failures (no connection, a timeout, an incomplete download, responses such
    as 429 and 503) are retried, after pauses that double. A redirect may lead to another host,
    but neither away from HTTP nor from HTTPS to HTTP.

    Args:
        timeout: Seconds to wait for a connection, and for each piece of the response.
        retries: Maximum number of retries.
        backoff: Seconds before the first retry.
        max_size: Maximum size of a file in bytes, None for no limit.
        time_limit: Seconds that one attempt may take in total, None for no limit.
        headers: Headers of the request. ``Authorization`` and ``Cookie`` are not sent to another host.

    Raises:
        ArgumentTypeError: An argument is not a number.
        ArgumentError: ``retries`` or ``backoff`` is negative, or another number is not positive.
    """

    def __init__(
        self,
        timeout: float = 10.0,
        retries: int = 3,
        backoff: float = 0.5,
        max_size: int | None = 2 << 30,
        time_limit: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        for name, value in (("timeout", timeout), ("max_size", max_size), ("time_limit", time_limit)):
            if value is not None and check_number(name, value) <= 0:
                raise ArgumentError(f"{name} must be positive, not {value!r}.", argument=name)
        self._timeout = timeout
        self._retries = check_integer("retries", retries, 0)
        self._backoff = check_number("backoff", backoff, 0)
        self._max_size = max_size
        self._time_limit = time_limit
        self._headers = {"User-Agent": "cfgtrain", "Accept-Encoding": "identity"}
        self._headers |= {name.title(): value for name, value in (headers or {}).items()}

    def get(self, filepath: str | Path, sha256: str | None = None) -> bytes:
        """Return the content of a file.

        Args:
            filepath: Its URL.
            sha256: The expected SHA-256 digest, in hexadecimal.

        Raises:
            BackendError: ``filepath`` is not an HTTP URL.
            DownloadError: The file cannot be fetched, is too large or has a different digest.
            ArgumentError: ``sha256`` is not a digest; nothing is fetched.
        """
        content = io.BytesIO()
        self._download(filepath, content, sha256)
        return content.getvalue()

    def get_text(self, filepath: str | Path, encoding: str = "utf-8") -> str:
        """Return the content of a file as text."""
        return decode(self.get(filepath), encoding)

    def exists(self, filepath: str | Path) -> bool:
        """Return whether the server has the file.

        Raises:
            DownloadError: The response is neither success nor 404 or 410.
        """
        target = _target(filepath)
        try:
            self._retry(lambda: self._open(target, "HEAD").drain_conn())
        except DownloadError as error:
            if error.status in _GONE:
                return False
            raise
        return True

    def isfile(self, filepath: str | Path) -> bool:
        """Return whether the server has the file."""
        return self.exists(filepath)

    @contextmanager
    def get_local_path(self, filepath: str | Path, sha256: str | None = None) -> Iterator[str | Path]:
        """Yield the path of a local copy of a file, with the same extensions.

        The copy is removed when the ``with`` block ends. The arguments and errors are those of ``get``.
        """
        with temporary_file(filepath) as file:
            self._download(filepath, file, sha256)
            file.close()
            yield file.name

    def _download(self, filepath: str | Path, out: IO[bytes], sha256: str | None) -> None:
        target = _target(filepath)
        expected = target.digest if sha256 is None else _checked_digest(sha256)
        self._retry(lambda: self._fetch(target, out, expected))

    def _fetch(self, target: _Target, out: IO[bytes], expected: str | None) -> None:
        import hashlib

        out.seek(0)
        out.truncate()
        started = time.monotonic()
        size = 0
        digest = hashlib.sha256()
        with self._open(target) as response:
            announced = response.length_remaining
            while True:
                if self._max_size is not None and max(size, announced or 0) > self._max_size:
                    raise DownloadError(
                        f"{target.name} is larger than the limit of {self._max_size} bytes. To raise the limit, "
                        "pass file_client_args=dict(backend='http', max_size=...)."
                    )
                if self._time_limit is not None and time.monotonic() - started > self._time_limit:
                    raise _TransientError(f"{target.name} took longer than {self._time_limit} s.")
                with _translated_errors(f"The download of {target.name} failed"):
                    chunk = response.read1(_CHUNK)
                if not chunk:
                    break
                size += len(chunk)
                digest.update(chunk)
                out.write(chunk)
        if announced is not None and size < announced:
            raise _TransientError(
                f"The download of {target.name} is incomplete: received {size} of {announced} bytes."
            )
        if expected is not None and digest.hexdigest() != expected:
            raise DownloadError(
                f"{target.name} has the wrong SHA-256 digest: expected {expected}, got {digest.hexdigest()}."
            )

    def _retry(self, action: Callable[[], None]) -> None:
        """Call a function until it succeeds, fails permanently or has used up its retries."""
        import random

        for attempt in range(self._retries + 1):
            try:
                action()
                return
            except _TransientError as error:
                if attempt == self._retries:
                    tries = f" ({attempt + 1} tries)" if attempt else ""
                    raise DownloadError(error.message + tries, status=error.status) from error.__cause__
                # Jitter: many processes fail at the same moment, and must not retry at the same moment. Python's
                # global generator, which urllib3's Retry uses, would change the random numbers of a training.
                pause = self._backoff * 2**attempt * random.SystemRandom().uniform(0.5, 1.0)
                pause = min(max(pause, error.retry_after), _MAX_PAUSE)
                logger.warning("%s Retrying in %.1f s.", error.message, pause)
                time.sleep(pause)

    def _open(self, target: _Target, method: str = "GET") -> BaseHTTPResponse:
        """Send a request and return the response, following redirects.

        urllib3 would follow redirects to any scheme, and read the whole body of each response.
        """
        from urllib3 import Retry
        from urllib3.exceptions import InvalidHeader

        url, headers = target.url, {**self._headers, **target.headers}
        with _translated_errors(f"{target.name} cannot be fetched"):
            for _ in range(_MAX_REDIRECTS + 1):
                response = _pool_manager(os.getpid(), _proxy(url)).request(
                    method,
                    url,
                    headers=headers,
                    timeout=self._timeout,
                    retries=False,
                    redirect=False,
                    preload_content=False,
                    decode_content=False,
                    enforce_content_length=False,  # _fetch checks it, with the sizes in its message
                )
                location = response.get_redirect_location()
                if not location:
                    break
                response.close()
                previous, url = url, _redirect_url(url, location)
                if urlsplit(previous)[:2] != urlsplit(url)[:2]:
                    for name in Retry.DEFAULT_REMOVE_HEADERS_ON_REDIRECT:
                        headers.pop(name, None)
        if response.status < 300:
            return response
        response.close()
        kind = _TransientError if response.status in _TRANSIENT else DownloadError
        reason = _printable(response.reason or "")
        error = kind(
            f"{target.name} cannot be fetched: HTTP {response.status} {reason}.", status=response.status
        )
        if isinstance(error, _TransientError):
            with suppress(InvalidHeader, ValueError):
                error.retry_after = Retry().get_retry_after(response) or 0.0
        raise error


class _TransientError(DownloadError):
    """A failure that is retried, after at least ``retry_after`` seconds."""

    retry_after = 0.0


class _Target(NamedTuple):
    """A parsed URL.

    Attributes:
        url: The URL to request, quoted, without login and fragment.
        name: The URL for messages.
        headers: ``Authorization`` if the URL contains a login, otherwise empty.
        digest: The expected SHA-256 in lower case, or None.
    """

    url: str
    name: str
    headers: dict[str, str]
    digest: str | None


def _target(filepath: str | Path) -> _Target:
    text = path_text(filepath)
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises if it is not a number
        login, _, address = parts.netloc.rpartition("@")
        address = address if address.isascii() else address.encode("idna").decode()
        path, query = quote(parts.path, _URL_MARKS), quote(parts.query, _URL_MARKS)
    except ValueError as error:
        raise BackendError(f"{display_name(text)!r} is not a valid URL: {error}.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or _NO_HOST.search(address):
        raise BackendError(f"HTTPBackend reads http:// and https:// URLs, not {display_name(text)!r}.")
    url = urlunsplit((parts.scheme, address, path, query, ""))
    mark = _DIGEST_MARK.search(parts.fragment)
    return _Target(
        url,
        display_name(url),
        {"Authorization": _basic_auth(login)} if login else {},
        _checked_digest(mark[1]) if mark else None,
    )


def _checked_digest(text: str) -> str:
    """Return a SHA-256 in lower case; raise if it is not one, even if it is empty."""
    if not _DIGEST.fullmatch(text):
        raise ArgumentError(f"A SHA-256 must be 64 hexadecimal digits, not {text!r}.")
    return text.lower()


def _basic_auth(login: str) -> str:
    """Return the header for the ``user:password`` of a URL (urllib3's function only supports Latin-1)."""
    from base64 import b64encode

    return f"Basic {b64encode(unquote(login).encode()).decode()}"


def _redirect_url(url: str, location: str) -> str:
    """Return the target URL of a redirect.

    Raises:
        DownloadError: The target is not an HTTP URL, or the redirect is from HTTPS to HTTP.
    """
    location = quote(location, string.punctuation, encoding="latin-1")  # as http.client decodes headers
    target = urljoin(url, location)
    allowed = ("https",) if url.startswith("https:") else ("http", "https")
    if urlsplit(target).scheme not in allowed:
        raise DownloadError(f"{display_name(url)} redirects to {display_name(target)}, which is not allowed.")
    return target


@contextmanager
def _translated_errors(what: str) -> Iterator[None]:
    """Raise urllib3's errors as a `DownloadError` that begins with ``what``."""
    from urllib3.exceptions import HTTPError, LocationParseError

    try:
        yield
    except LocationParseError:  # its text is the whole URL, with passwords and signatures
        raise DownloadError(f"{what}: the address is not valid.") from None
    except (HTTPError, ValueError) as error:
        cause: BaseException | None = error
        while cause is not None:  # urllib3 wraps the errors of sockets and http.client, some of them twice
            root = cause
            cause = root.__cause__ or next((arg for arg in root.args if isinstance(arg, Exception)), None)
        reason = "the server does not respond" if isinstance(root, TimeoutError) else _printable(root).strip()
        # An invalid address, header or certificate is a ValueError, and a retry would not help.
        kind = DownloadError if isinstance(root, ValueError) else _TransientError
        raise kind(f"{what}: {reason or type(root).__name__}.") from error


def _printable(words: object) -> str:
    """Return a text from a server with the characters that could control a terminal replaced by spaces."""
    return "".join(char if char.isprintable() else " " for char in str(words))


def _proxy(url: str) -> str | None:
    """Return the proxy that the environment variables set for a URL, or None."""
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    proxy = None if proxy_bypass(parts.netloc.rpartition("@")[2]) else getproxies().get(parts.scheme)
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


@cache
def _pool_manager(pid: int, proxy: str | None) -> PoolManager:
    """Return the connection pool of a process.

    It is cached per process id, since a forked process inherits the sockets of its parent but must not use
    them.
    """
    import ssl

    from urllib3 import PoolManager, ProxyManager

    context = ssl.create_default_context()
    if proxy is None:
        return PoolManager(maxsize=_MAX_THREADS, ssl_context=context)
    login = urlsplit(proxy).netloc.rpartition("@")[0]
    headers = {"Proxy-Authorization": _basic_auth(login)} if login else None
    return ProxyManager(proxy, proxy_headers=headers, maxsize=_MAX_THREADS, ssl_context=context)
