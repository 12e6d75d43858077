"""An HTTP server on a free port that serves one file in the ways in which servers do: whole, in pieces, cut, altered.

One answer a request, in the order that a test gives; the last one stands for all that follow.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[["Request"], None]

WEB_PAGE = b"<!DOCTYPE html>\n<html><head><title>Log in</title></head><body>Welcome to our network</body></html>\n"


class FileServer(ThreadingHTTPServer):
    """Serves `data` at every path."""

    daemon_threads = True
    request_queue_size = 20

    def __init__(self, data: bytes, answers: tuple[Answer, ...]) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.data = data
        self.answers = answers
        self.ranges: list[str | None] = []
        """The Range header of every request so far."""
        self.released = threading.Event()
        """Set when those who wait for it may go on."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is part of the tests."""


class Request(BaseHTTPRequestHandler):
    """One request."""

    server: FileServer

    def do_GET(self) -> None:
        self.server.ranges.append(self.headers["Range"])
        number = len(self.server.ranges) - 1
        self.server.answers[min(number, len(self.server.answers) - 1)](self)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def reply(self, code: int, body: bytes, **headers: object) -> None:
        """Send an answer; a header that is None is left out."""
        self.send_response(code)
        for name, value in {"Content_Length": len(body), **headers}.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    @property
    def start(self) -> int:
        """The byte from which a piece is asked for."""
        return int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))


def whole(request: Request) -> None:
    """All of it, whatever piece is asked for."""
    request.reply(200, request.server.data)


def pieces(request: Request) -> None:
    """What is asked for."""
    _piece(request, len(request.server.data))


def cut_after(count: int) -> Answer:
    """What is asked for, broken off after so many bytes."""
    return lambda request: _piece(request, count)


def cut_whole_after(count: int) -> Answer:
    """All of it, broken off after so many bytes."""
    return lambda request: request.reply(200, request.server.data[:count], Content_Length=len(request.server.data))


def altered(request: Request) -> None:
    """Other bytes, as many."""
    request.reply(200, bytes(byte ^ 1 for byte in request.server.data))


def other(body: bytes, code: int = 200, **headers: object) -> Answer:
    """Something else."""
    return lambda request: request.reply(code, body, **headers)


def endless(request: Request) -> None:
    """The file without a length, and more behind it."""
    request.reply(200, request.server.data * 3, Content_Length=None)


def unsized(request: Request) -> None:
    """The file without a length."""
    request.reply(200, request.server.data, Content_Length=None)


def silent(request: Request) -> None:
    """Nothing, until the test lets go."""
    request.server.released.wait(60)


def held(request: Request) -> None:
    """The file, when the test lets go."""
    request.server.released.wait(60)
    whole(request)


def _piece(request: Request, count: int) -> None:
    data, start = request.server.data, request.start
    if start >= len(data):
        return request.reply(416, b"", Content_Range=f"bytes */{len(data)}")
    if start == 0:
        return request.reply(200, data[:count], Content_Length=len(data), Accept_Ranges="bytes")
    span = f"bytes {start}-{len(data) - 1}/{len(data)}"
    return request.reply(206, data[start : start + count], Content_Length=len(data) - start, Content_Range=span)


@contextmanager
def serve(data: bytes, *answers: Answer) -> Iterator[FileServer]:
    """Run a server while the block runs."""
    server = FileServer(data, answers or (pieces,))
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
