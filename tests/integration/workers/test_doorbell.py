"""Bells carry ids only, reach their queue even after Redis forgot everything, and never hang."""

import base64
import json
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from redis import Redis

from core.errors import RedisRefusedError, RedisUnreachableError
from tests.services import RedisServer
from workers.doorbell import Doorbell


@pytest.fixture
def doorbell(redis_url: str) -> Doorbell:
    return Doorbell(redis_url)


def test_a_bell_carries_a_tasks_name_and_a_runs_id_at_most(doorbell: Doorbell, redis_url: str) -> None:
    doorbell.ring_chunks(2)
    doorbell.ring_run(41)
    with Redis.from_url(redis_url) as client:
        messages = [json.loads(text) for queue in ("identify", "train") for text in client.lrange(queue, 0, -1)]
    bodies = [json.loads(base64.b64decode(message["body"])) for message in messages]
    assert [body[:2] for body in bodies] == [[[], {}], [[], {}], [[41], {}]]
    assert [message["headers"]["task"] for message in messages] == ["facefleet.identify"] * 2 + ["facefleet.train"]
    assert {message["content-type"] for message in messages} == {"application/json"}


def test_waiting_counts_bells_of_chunks_and_runs_apart(doorbell: Doorbell) -> None:
    doorbell.ring_chunks(1200)
    doorbell.ring_run(1)
    assert (doorbell.waiting(), doorbell.waiting_runs()) == (1200, 1)


def test_ringing_for_nothing_rings_nothing(doorbell: Doorbell) -> None:
    doorbell.ring_chunks(0)
    assert doorbell.waiting() == 0


def test_an_absent_redis_is_an_error_with_a_remedy_and_is_found_when_it_is_back(redis_server: RedisServer) -> None:
    doorbell = Doorbell(redis_server.url)
    doorbell.check()
    redis_server.stop(signal.SIGKILL)
    with pytest.raises(RedisUnreachableError, match="Nothing is lost"):
        doorbell.ring_chunks(1)
    redis_server.start()
    doorbell.ring_chunks(1)
    assert doorbell.waiting() == 1


def test_a_redis_that_accepts_and_says_nothing_does_not_hang_the_caller() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        doorbell = Doorbell(f"redis://:secret@127.0.0.1:{silent.getsockname()[1]}/0")
        with pytest.raises(RedisUnreachableError) as caught:
            doorbell.ring_chunks(1)
    assert "secret" not in caught.value.message


@contextmanager
def told(url: str, *command: str, undo: tuple[str, ...]) -> Iterator[None]:
    with Redis.from_url(url) as client:
        client.execute_command(*command)
        try:
            yield
        finally:
            client.execute_command(*undo)


@pytest.mark.parametrize(
    ("command", "undo", "words"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0"), "its memory is full.*maxmemory"),
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE"), "read-only replica.*at the primary"),
    ],
)
def test_a_redis_that_lives_and_takes_nothing_says_why_and_is_found_when_it_takes_bells_again(
    redis_url: str, command: tuple[str, ...], undo: tuple[str, ...], words: str
) -> None:
    doorbell = Doorbell(redis_url)
    with told(redis_url, *command, undo=undo):
        for call in (doorbell.check, lambda: doorbell.ring_chunks(1)):
            with pytest.raises(RedisRefusedError, match=words):
                call()
        assert doorbell.waiting() == 0
    doorbell.ring_chunks(1)
    assert doorbell.waiting() == 1


def test_looking_at_redis_leaves_nothing_that_stays(redis_url: str) -> None:
    Doorbell(redis_url).check()
    with Redis.from_url(redis_url) as client:
        assert all(0 < client.pttl(key) <= 1000 for key in client.scan_iter())
