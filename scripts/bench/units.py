"""Measures what the rest of a fleet's work costs: recognising a chunk, a bell, a photo's bytes. Prints nothing."""

import os
import statistics
import time
from collections.abc import Sequence
from typing import Any

from kombu.connection import Connection

from core.images.read import PhotoReader
from core.images.uris import LocalUri, parse_uri
from core.settings import Settings
from scripts.bench.bare import BareProcesses
from scripts.bench.meter import fit, usual
from scripts.bench.quiet import watching_others
from scripts.simulate_costs import ComputeCost
from workers.protocol import transport_options

SIZES = (32, 128, 512)
_REPEATS = 3
_BELLS = 1000
_QUEUE = "bench"
_PHOTOS = 300


Seconds = dict[int, list[float]]
"""That chunks took of the time that others left, by their photos."""


class ComputeMeter:
    """Times chunks in bare processes, again and again, so that it can take turns with what it is compared to."""

    def __init__(self, bare: BareProcesses, uris: Sequence[str], processes: int, threads: int) -> None:
        self._bare = bare
        self._uris = list(uris)
        self._processes = processes
        self._threads = threads

    def measure(self) -> Seconds:
        """Recognise some chunks of each size in all processes at once; return the seconds that others left to each."""
        with watching_others() as others:
            taken = {
                size: [seconds for _ in range(_REPEATS) for seconds in self._bare.run_each(self._take(size))]
                for size in SIZES
            }
        return {size: [others.left(seconds) for seconds in some] for size, some in taken.items()}

    def cost(self, rounds: Sequence[Seconds]) -> ComputeCost:
        """Return what recognising cost in some rounds: the median of their means."""
        usual = {size: statistics.median(statistics.mean(some[size]) for some in rounds) for size in SIZES}
        off = [
            abs(each / statistics.median(some[size]) - 1.0) for some in rounds for size in SIZES for each in some[size]
        ]
        return ComputeCost(
            processes=self._processes,
            threads=self._threads,
            chunk=fit(usual),
            variation=statistics.median(off) / 0.6745,  # the standard deviation, were it a normal distribution
        )

    def _take(self, size: int) -> list[str]:
        """Return photos for a chunk in each process, and others the next time."""
        count = size * self._processes
        taken = [self._uris[number % len(self._uris)] for number in range(count)]
        self._uris = self._uris[count % len(self._uris) :] + self._uris[: count % len(self._uris)]
        return taken


def measure_bell(redis_url: str) -> tuple[float, float]:
    """Take a bell and put it back many times; return what one costs Redis, and what it costs who takes it.

    Raises:
        RuntimeError: the bell got lost.
    """
    with Connection(redis_url, transport_options=transport_options(patience_s=5.0)) as connection:  # type: ignore[no-untyped-call]
        channel: Any = connection.default_channel
        try:
            connection.Producer(serializer="json").publish([[], {}, {}], exchange="", routing_key=_QUEUE)
            server_s, client_s = _computed_s(channel.client), time.thread_time()
            for _ in range(_BELLS):
                message = channel.basic_get(_QUEUE)
                if message is None:
                    raise RuntimeError("the bell got lost")
                channel.basic_reject(message.delivery_tag, requeue=True)
            client_s = time.thread_time() - client_s
            return (_computed_s(channel.client) - server_s) / _BELLS, client_s / _BELLS
        finally:
            channel.client.delete(_QUEUE)


def _computed_s(client: Any) -> float:
    """Return how long a Redis has computed so far."""
    used = client.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


def measure_reading(settings: Settings, uris: Sequence[str]) -> tuple[float, float]:
    """Read photos that are not in memory; return a photo's bytes on average, and the seconds that one takes."""
    reader = PhotoReader.from_settings(settings)
    sizes, seconds = [], []
    for uri in list(dict.fromkeys(uris))[:_PHOTOS]:
        _forget(uri)
        begun_s = time.perf_counter()
        sizes.append(len(reader.read(uri)))
        seconds.append(time.perf_counter() - begun_s)
    return statistics.mean(sizes), usual(seconds)


def _forget(uri: str) -> None:
    """Have the system forget the bytes of a file, so that the disk is asked for them."""
    place = parse_uri(uri)
    if not isinstance(place, LocalUri) or not hasattr(os, "posix_fadvise"):
        return
    with open(place.path, "rb") as file:  # noqa: PTH123 - a path or its text
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
