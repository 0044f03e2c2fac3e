"""Files on a web server: read only, with limits on time and size."""

from __future__ import annotations

import io
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from cfgtrain.errors import ArgumentError, ArgumentTypeError, BackendError, DownloadError
from cfgtrain.fileio.backends.base import BaseStorageBackend, decode, temporary_file
from cfgtrain.fileio.uri import display_name, path_text

__all__ = ["HTTPBackend"]

logger = logging.getLogger(__name__)

_CHUNK = 1 << 18
_URL_MARKS = "!$%&'()*+,/:;=?@[]~"  # what is not to be quoted in the path or query of a URL
_DIGEST = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)
_DIGEST_MARK = re.compile(r"(?:^|&)sha256[=:]([^&]*)", re.IGNORECASE)
_NO_HOST = re.compile(r"[\x00-\x20\x7f]")
_GONE = (404, 410)
_TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_LONGEST_PAUSE = 60.0
_SECRETS = ("Authorization", "Cookie")


class HTTPBackend(BaseStorageBackend):
    """Files by ``http://`` and ``https://`` URL.

    A URL may end in ``#sha256=`` and the digest in hexadecimal: then nothing else is accepted.
    Failures that may pass (no connection, silence, a download cut short, answers such as 429
    and 503) are tried again, after pauses that double. A redirect may lead to another host, but
    neither away from HTTP nor from HTTPS to HTTP.

    Args:
        timeout: Seconds that the server may be silent.
        retries: How often to try again.
        backoff: Seconds before the first new try.
        max_size: Bytes that a file may have, None for any number.
        time_limit: Seconds that one try may take in all, None for any number.
        headers: Of the request. ``Authorization`` and ``Cookie`` are not sent to another host.
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
        positive = {"timeout": timeout, "max_size": max_size, "time_limit": time_limit}
        for name, value in {**positive, "retries": retries, "backoff": backoff}.items():
            kinds = int if name == "retries" else (int, float)
            if not (isinstance(value, kinds) or (value is None and name in positive)):
                raise ArgumentTypeError(f"{name} of HTTPBackend is a number, not {value!r}.")
        for name, value in positive.items():
            if value is not None and value <= 0:
                raise ArgumentError(f"{name} of HTTPBackend is positive, not {value!r}.")
        if retries < 0 or backoff < 0:
            raise ArgumentError(f"retries and backoff are not negative: not {retries!r} and {backoff!r}.")
        self._timeout = timeout
        self._retries = retries
        self._backoff = backoff
        self._max_size = max_size
        self._time_limit = time_limit
        self._headers = {"User-Agent": "cfgtrain", "Accept-Encoding": "identity", **(headers or {})}

    def get(self, filepath: str | Path, sha256: str | None = None) -> bytes:
        """Return the content of a file.

        Args:
            filepath: Its URL.
            sha256: Digest that it has to have, in hexadecimal.

        Raises:
            BackendError: It is no HTTP URL.
            DownloadError: It cannot be fetched, is too large or has another digest.
            ArgumentError: What it is to be compared with is no digest; nothing is fetched.
        """
        content = io.BytesIO()
        self._download(filepath, content, sha256)
        return content.getvalue()

    def get_text(self, filepath: str | Path, encoding: str = "utf-8") -> str:
        """Return the content of a file as text."""
        return decode(self.get(filepath), encoding)

    def exists(self, filepath: str | Path) -> bool:
        """Whether the server has the file; any answer but yes and no is a ``DownloadError``."""
        try:
            self._repeat(_target(filepath), lambda url, headers: self._open(url, headers, "HEAD").close())
        except DownloadError as error:
            if error.status in _GONE:
                return False
            raise
        return True

    def isfile(self, filepath: str | Path) -> bool:
        """Whether the server has the file."""
        return self.exists(filepath)

    @contextmanager
    def get_local_path(self, filepath: str | Path, sha256: str | None = None) -> Iterator[str | Path]:
        """Have the file on disk, with its extensions, for the time of a ``with``."""
        with temporary_file(filepath) as file:
            self._download(filepath, file, sha256)
            file.close()
            yield file.name

    def _download(self, filepath: str | Path, out: IO[bytes], sha256: str | None) -> None:
        import hashlib

        target = _target(filepath)
        expected = target.digest if sha256 is None else _checked_digest(sha256)

        def fetch(url: str, headers: dict[str, str]) -> None:
            out.seek(0)
            out.truncate()
            digest = hashlib.sha256()
            for chunk in self._chunks(url, headers):
                digest.update(chunk)
                out.write(chunk)
            if expected is not None and digest.hexdigest() != expected:
                raise DownloadError(
                    f"{display_name(url)} is not the file that was asked for: its SHA-256 is "
                    f"{digest.hexdigest()}, not {expected}."
                )

        self._repeat(target, fetch)

    def _repeat(self, target: _Target, action: Callable[[str, dict[str, str]], None]) -> None:
        """Call ``action(url, headers)`` until it succeeds, fails for good or has failed too often."""
        import random

        headers = {**self._headers, **target.headers}
        for attempt in range(self._retries + 1):
            try:
                action(target.url, headers)
                return
            except _PassingError as error:
                if attempt == self._retries:
                    tries = f" ({attempt + 1} tries)" if attempt else ""
                    raise DownloadError(error.message + tries, status=error.status) from error.__cause__
                # Many processes fail at the same moment, and must not come back at the same moment. The
                # system's generator, as drawing from Python's would change what a training draws from it.
                pause = self._backoff * 2**attempt * random.SystemRandom().uniform(0.5, 1.0)
                pause = min(max(pause, error.wait), _LONGEST_PAUSE)
                logger.warning("%s Trying again in %.1f s.", error.message, pause)
                time.sleep(pause)

    def _chunks(self, url: str, headers: dict[str, str]) -> Iterator[bytes]:
        from http.client import HTTPException

        started = time.monotonic()
        size = 0
        with self._open(url, headers) as response:
            announced = response.length
            self._check_size(url, announced or 0)
            while True:
                try:
                    chunk = response.read1(_CHUNK)
                except (OSError, HTTPException) as error:
                    raise _PassingError(f"{display_name(url)} broke off: {_reason(error)}.") from error
                if not chunk:
                    break
                size += len(chunk)
                self._check_size(url, size)
                if self._time_limit is not None and time.monotonic() - started > self._time_limit:
                    raise _PassingError(f"{display_name(url)} took longer than {self._time_limit} s.")
                yield chunk
        if announced is not None and size < announced:
            raise _PassingError(f"{display_name(url)} broke off after {size} of {announced} bytes.")

    def _open(self, url: str, headers: dict[str, str], method: str = "GET") -> Any:
        from http.client import HTTPException, InvalidURL
        from ssl import SSLCertVerificationError
        from urllib.error import HTTPError, URLError
        from urllib.request import Request

        name = display_name(url)
        try:
            request = Request(url, headers=headers, method=method)  # noqa: S310  # _target lets HTTP through alone
            return _opener().open(request, timeout=self._timeout)
        except DownloadError:  # of a redirect
            raise
        except HTTPError as error:
            error.close()
            kind = _PassingError if error.code in _TRY_AGAIN else DownloadError
            problem = kind(
                f"{name} cannot be fetched: HTTP {error.code} {_printable(error.reason)}.", status=error.code
            )
            if isinstance(problem, _PassingError):
                problem.wait = _seconds(error.headers.get("Retry-After"))
            raise problem from error
        except InvalidURL as error:
            raise BackendError(f"{name} is no URL: {error}.") from error
        except (OSError, HTTPException) as error:
            cause = error.reason if isinstance(error, URLError) else error
            # A certificate that is wrong now is wrong in a second.
            kind = DownloadError if isinstance(cause, SSLCertVerificationError) else _PassingError
            raise kind(f"{name} cannot be fetched: {_reason(cause)}.") from error

    def _check_size(self, url: str, size: int) -> None:
        if self._max_size is not None and size > self._max_size:
            raise DownloadError(
                f"{display_name(url)} is larger than {self._max_size} bytes. If that is right, allow more: "
                "file_client_args=dict(backend='http', max_size=...)."
            )


class _PassingError(DownloadError):
    """A failure that may have passed when the next try is made, after ``wait`` seconds or more."""

    wait = 0.0


class _Target(NamedTuple):
    """A URL as servers take it, the header that its user and password are, and the digest after ``#sha256=``."""

    url: str
    headers: dict[str, str]
    digest: str | None


def _target(filepath: str | Path) -> _Target:
    from base64 import b64encode

    text = path_text(filepath)
    try:
        parts = urlsplit(text)
        login, _, address = parts.netloc.rpartition("@")
        address = address if address.isascii() else address.encode("idna").decode()
        path, query = quote(parts.path, _URL_MARKS), quote(parts.query, _URL_MARKS)
    except ValueError as error:
        raise BackendError(f"{display_name(text)!r} is no URL: {error}.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or _NO_HOST.search(address):
        raise BackendError(f"HTTPBackend reads http:// and https:// URLs, not {display_name(text)!r}.")
    basic = b64encode(unquote(login).encode()).decode()
    return _Target(
        urlunsplit((parts.scheme, address, path, query, "")),
        {"Authorization": f"Basic {basic}"} if login else {},
        _checked_digest(mark[1]) if (mark := _DIGEST_MARK.search(parts.fragment)) else None,
    )


def _checked_digest(text: str) -> str:
    """Return a SHA-256 in small letters; what is none, as an empty one, must not pass for one not asked for."""
    if not _DIGEST.fullmatch(text):
        raise ArgumentError(f"A SHA-256 is 64 hexadecimal digits, not {text!r}.")
    return text.lower()


def _seconds(retry_after: str | None) -> float:
    """Return the pause that a server asks for; one that is given as a date is not kept."""
    return float(retry_after) if retry_after and retry_after.isdecimal() else 0.0


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "the server is silent"
    return _printable(error).strip() or type(error).__name__


def _printable(words: object) -> str:
    """Return what a server said without what would steer a terminal."""
    return "".join(char if char.isprintable() else " " for char in str(words))


@cache
def _opener() -> Any:
    """Return what opens URLs: through the proxies of the environment, and through HTTP(S) alone."""
    import ssl
    from urllib import request  # takes tens of ms, which a command that fetches nothing shall not wait for

    class Redirects(request.HTTPRedirectHandler):
        def redirect_request(
            self, req: request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
        ) -> request.Request | None:
            old, new = urlsplit(req.full_url), urlsplit(newurl)
            if new.scheme not in ("http", "https") or (old.scheme == "https" and new.scheme == "http"):
                raise DownloadError(
                    f"{display_name(req.full_url)} redirects to {display_name(newurl)}: refused."
                )
            follow = super().redirect_request(req, fp, code, msg, headers, newurl)
            if follow is not None and (old.scheme, old.netloc) != (new.scheme, new.netloc):
                for name in _SECRETS:
                    follow.remove_header(name)
            return follow

        def http_error_302(
            self, req: request.Request, fp: IO[bytes], code: int, msg: str, headers: Any
        ) -> Any:
            target = headers.get("Location") or headers.get("URI") or ""
            if urlsplit(target).scheme not in ("", "http", "https"):
                raise DownloadError(
                    f"{display_name(req.full_url)} redirects to {display_name(target)}: refused."
                )
            return super().http_error_302(req, fp, code, msg, headers)

        http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler(),
        request.HTTPHandler(),
        request.HTTPSHandler(context=ssl.create_default_context()),
        Redirects(),
        request.HTTPDefaultErrorHandler(),
        request.HTTPErrorProcessor(),
        request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener
