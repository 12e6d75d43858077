"""A TCP proxy that can go silent as a broken network does: packets vanish unacknowledged, nobody is told.

The kernel drops them by a socket filter, so the peers' own timeouts and keepalives are what is tried.
"""

import ctypes
import socket
import struct
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27  # asm-generic/socket.h
_PIECE_BYTES = 65_536


class Proxy:
    """Forwards connections to a server until it is told to lose packets.

    Args:
        target: (host, port), or the path of a Unix socket.
    """

    def __init__(self, target: tuple[str, int] | Path) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self._lock = threading.Lock()
        self._silent = False
        self._fatal: bytes | None = None
        self._lost: set[socket.socket] = set()
        self.port = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        with self._lock:
            for end in (self._listener, *self._ends):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    @property
    def connections(self) -> int:
        """How many connections were ever made through it."""
        return len(self._ends) // 2

    def go_silent_at(self, word: bytes, timeout_s: float = 30.0) -> None:
        """Lose every packet from the next one on with which a client says `word`; wait for that.

        Raises:
            TimeoutError: nobody said it.
        """
        self._fatal = word
        deadline = time.monotonic() + timeout_s
        while not self._silent:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no client said {word!r} within {timeout_s:.0f} s")
            time.sleep(0.01)

    def go_silent(self) -> None:
        """Lose every packet from now on: of the connections that exist, and of new ones."""
        with self._lock:
            self._silent, self._fatal = True, None
            self._lost.update(self._ends)
            for end in (self._listener, *self._ends):
                _drop_packets(end)

    def take_new_connections(self) -> None:
        """Let new connections through again; those of before stay lost, as behind a router that forgot them."""
        with self._lock:
            self._silent = False
            self._listener.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                self._join(client)

    def _join(self, client: socket.socket) -> None:
        """Connect a client with the server, a thread for each direction."""
        try:
            server = self._connect()
        except OSError:
            client.close()
            return
        with self._lock:
            self._ends += [client, server]
            if self._silent:  # accepted just before
                self._lost.update((client, server))
                _drop_packets(client)
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=self._forward, args=(source, sink), daemon=True).start()

    def _connect(self) -> socket.socket:
        if isinstance(self._target, tuple):
            return socket.create_connection(self._target)
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(self._target))
        return server

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(_PIECE_BYTES):
                if self._fatal is not None and self._fatal in piece:
                    self.go_silent()
                if source not in self._lost:
                    sink.sendall(piece)
        for end in () if source in self._lost else (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _drop_packets(end: socket.socket) -> None:
    """Have the kernel drop what arrives at a TCP socket before TCP sees it: a filter program that keeps 0 bytes."""
    if end.family != socket.AF_INET or end.fileno() < 0:
        return
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF_RET | BPF_K, 0
    fprog = struct.pack("HP", 1, ctypes.addressof(program))
    end.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)
