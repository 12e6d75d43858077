"""Brings one file over HTTP, in pieces if it must: a cut connection is taken up where it broke off.

What came lies in a partial file and stays there for the next try. Whether its bytes are right is not known here.
"""

import errno
import http.client
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, NoReturn

from core.errors import WeightsDownloadError, WeightsUnreachableError
from core.weights.spec import WeightsFile

_BLOCK_BYTES = 1 << 16
_HEAD_BYTES = 1024
_WEB_PAGE = re.compile(rb"<(!doctype\s+html|html)\b", re.IGNORECASE)
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
# What a server says when the same request may succeed later.
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN}


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a download is tried."""

    pauses_s: tuple[float, ...] = (1.0, 2.0, 4.0)
    """Waits between one try and the next; when they are used up, it is given up."""
    timeout_s: float = 30.0
    """How long a server may say nothing."""


class _BrokenOffError(Exception):
    """A try ended early; the next may go on."""


class _NoWayOutError(_BrokenOffError):
    """There was no connection at all: trying again helps only where there was one before."""


class _RangeRefusedError(Exception):
    """The server gives no piece that goes on where the partial file ends."""


class Download:
    """The download of one file.

    Args:
        file: what is fetched, with its address; redirects are followed to http and https alone.
        partial: what came of it so far; made when missing.
        command: what a person types to pull it, for messages.
        patience: how often and how long it is tried.
    """

    def __init__(self, file: WeightsFile, partial: Path, *, command: str, patience: Patience) -> None:
        self._file = file
        self._partial = partial
        self._command = command
        self._patience = patience

    def run(self, on_progress: Callable[[int], None]) -> None:
        """Bring the partial file to its full size, and no further.

        Args:
            on_progress: called with the bytes that are there.

        Raises:
            WeightsUnreachableError: the server did not answer or broke off each time; what came is kept.
            WeightsDownloadError: the server has no such file, or sent something else; nothing is kept.
            OSError: the partial file cannot be written.
        """
        pauses_s = iter(self._patience.pauses_s)
        answered = False
        while self._done != self._file.size_bytes:
            try:
                self._try_once(on_progress)
            except _RangeRefusedError:
                self._partial.unlink()
            except _BrokenOffError as error:
                answered = answered or not isinstance(error, _NoWayOutError)
                pause_s = next(pauses_s, None) if answered else None
                if pause_s is None:
                    raise self._unreachable(str(error)) from error
                time.sleep(pause_s)
            except WeightsDownloadError:
                self._partial.unlink(missing_ok=True)
                raise

    @property
    def _done(self) -> int:
        return self._partial.stat().st_size if self._partial.exists() else 0

    def _try_once(self, on_progress: Callable[[int], None]) -> None:
        """Ask for what is missing and write what comes."""
        start = self._done
        if start > self._file.size_bytes:
            raise _RangeRefusedError
        try:
            response = _open(self._file.url, start, self._patience.timeout_s)
        except urllib.error.HTTPError as error:
            with error:
                self._judge_status(error, ranged=start > 0)
        except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
            self._judge_failure(error)
        with response:
            self._receive(response, self._check_offer(response, start), on_progress)

    def _judge_status(self, error: urllib.error.HTTPError, *, ranged: bool) -> NoReturn:
        """Judge an answer that is no file."""
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and ranged:
            raise _RangeRefusedError
        answer = f"the server answered {error.code} {error.reason}".rstrip()
        if error.code in _PASSING:
            raise _BrokenOffError(answer)
        raise self._refused(answer)

    def _judge_failure(self, error: Exception) -> NoReturn:
        """Judge a connection that was not made, or that broke before an answer came."""
        if not isinstance(error, urllib.error.URLError):
            raise _BrokenOffError(_words(error)) from error
        reason = error.reason
        if isinstance(reason, str):  # redirected to no address of http or https
            raise self._refused(reason)
        if isinstance(reason, ssl.SSLCertVerificationError):
            remedy = "if a proxy of your own opens encrypted connections, name its certificate in SSL_CERT_FILE"
            raise _NoWayOutError(f"{_words(reason)}; {remedy}") from error
        refused = isinstance(reason, socket.gaierror | ConnectionRefusedError | TimeoutError)
        if refused or (isinstance(reason, OSError) and reason.errno in _UNREACHABLE):
            raise _NoWayOutError(_words(reason)) from error
        raise _BrokenOffError(_words(reason)) from error

    def _check_offer(self, response: Any, start: int) -> int:
        """Judge what a server is about to send by its headers; return the byte that it begins with."""
        whole = response.headers.get("Content-Length")
        if response.status == http.HTTPStatus.PARTIAL_CONTENT:
            found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if found is None or int(found[1]) != start:
                raise _RangeRefusedError if start else self._refused("it sent a piece that nobody asked for")
            whole = found[2]
        elif response.status == http.HTTPStatus.OK:
            start = 0  # the server gives no pieces: from the beginning
        else:
            raise self._refused(f"the server answered {response.status} {response.reason}".rstrip())
        if whole is not None and whole.isdigit() and int(whole) != self._file.size_bytes:
            if response.headers.get_content_type() == "text/html":
                raise self._web_page()
            raise self._refused(f"it offers {int(whole):,} bytes, and the file has {self._file.size_bytes:,}")
        return start

    def _receive(self, response: Any, start: int, on_progress: Callable[[int], None]) -> None:
        """Write what comes behind what is there, as soon as it comes."""
        done, size_bytes = start, self._file.size_bytes
        with self._partial.open("ab", buffering=0) as file:  # a process that is killed loses nothing that came
            file.truncate(start)
            while block := _read(response):
                if done == 0 and _WEB_PAGE.search(block[:_HEAD_BYTES]):
                    raise self._web_page()
                done += len(block)
                if done > size_bytes:
                    raise self._refused(f"it sent more than the {size_bytes:,} bytes that the file has")
                _write_all(file, block)
                on_progress(done)
        if done < size_bytes:
            raise _BrokenOffError(f"the connection ended after {done:,} of {size_bytes:,} bytes")

    def _refused(self, fact: str) -> WeightsDownloadError:
        return WeightsDownloadError(
            f"{self._file.url} did not give the file: {fact}. Nothing of it was kept, and what was there before is "
            "whole. The file may have moved, or a proxy answered in its place: fetch it in another way and take it in "
            f"with `{self._command} --from DIR`."
        )

    def _web_page(self) -> WeightsDownloadError:
        return WeightsDownloadError(
            f"{self._file.url} gave a web page instead of the file. Nothing of it was kept. A proxy or the network's "
            f"login page probably answered: log in to the network or set HTTPS_PROXY and repeat `{self._command}`, or "
            f"fetch the file in another way and take it in with `{self._command} --from DIR`."
        )

    def _unreachable(self, fact: str) -> WeightsUnreachableError:
        done, size_bytes = self._done, self._file.size_bytes
        kept = f"The {done:,} of {size_bytes:,} bytes that came are kept." if done else "Nothing of it came."
        return WeightsUnreachableError(
            f"{self._file.url} cannot be fetched: {fact}. {kept} Repeat `{self._command}` when the network is there "
            "(proxies are taken from HTTPS_PROXY). On a machine without a way out, fetch the files on another one and "
            f"take them in with `{self._command} --from DIR`."
        )


def _open(url: str, start: int, timeout_s: float) -> Any:
    """Ask for a file from byte `start` on. Unlike `urlopen`, this follows no redirect to file:, data: or ftp:."""
    headers = {"User-Agent": "facefleet", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 (manifests hold http and https alone)
    return opener.open(request, timeout=timeout_s)


def _read(response: Any) -> bytes:
    try:
        data: bytes = response.read1(_BLOCK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOffError(_words(error)) from error
    return data


def _write_all(file: FileIO, block: bytes) -> None:
    """Write a block; a disk that is nearly full takes it in parts."""
    rest = memoryview(block)
    while rest:
        rest = rest[file.write(rest) :]


def _words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it said nothing for too long"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
