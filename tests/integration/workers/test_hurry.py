"""A word through Redis wakes who listens; it is heard by the fleet that it is meant for, and missed without harm."""

import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from core.settings import Settings
from tests.integration.workers.fleet import SmallFleet, wait_until
from tests.integration.workers.test_swap import serving
from tests.services import RedisServer, free_port
from workers.hurry import ModelListener, hurry_workers


@pytest.fixture
def settings(redis_server: RedisServer, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, redis_url=redis_server.url)


class Ear:
    """Counts words."""

    def __init__(self) -> None:
        self.words = 0
        self._changed = threading.Condition()

    def hear(self) -> None:
        with self._changed:
            self.words += 1
            self._changed.notify_all()

    def wait(self, words: int, seconds: float = 30.0) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.words >= words, seconds)


def test_who_listens_hears_each_word_and_looks_once_when_he_begins(settings: Settings) -> None:
    ear = Ear()
    listener = ModelListener(settings, ear.hear)
    listener.start()
    assert ear.wait(1)
    assert hurry_workers(settings)
    assert ear.wait(2)
    listener.stop()


def test_another_fleet_on_the_same_redis_is_not_disturbed(settings: Settings) -> None:
    ear, other = Ear(), Ear()
    listeners = [
        ModelListener(settings, ear.hear),
        ModelListener(replace(settings, redis_url=settings.redis_url[:-1] + "1"), other.hear),
    ]
    for listener in listeners:
        listener.start()
    assert ear.wait(1) and other.wait(1)
    assert hurry_workers(settings)
    assert ear.wait(2)
    assert not other.wait(2, seconds=0.2)
    for listener in listeners:
        listener.stop()


def test_a_redis_that_was_away_is_listened_to_again(settings: Settings, redis_server: RedisServer) -> None:
    ear = Ear()
    listener = ModelListener(settings, ear.hear)
    listener.start()
    assert ear.wait(1)
    redis_server.stop(signal.SIGKILL)
    assert not hurry_workers(settings)
    redis_server.start()
    assert ear.wait(2)
    assert hurry_workers(settings)
    assert ear.wait(3)
    listener.stop()


def test_nobody_is_kept_waiting_by_a_redis_that_is_away(tmp_path: Path) -> None:
    begun_s = time.monotonic()
    assert not hurry_workers(Settings(home=tmp_path, redis_url=f"redis://127.0.0.1:{free_port()}/0"))
    assert not hurry_workers(Settings(home=tmp_path))
    assert time.monotonic() - begun_s < 5


def test_an_idle_worker_that_is_hurried_serves_the_new_model_long_before_it_polls(sqlite_fleet: SmallFleet) -> None:
    sqlite_fleet.settings = replace(sqlite_fleet.settings, model_poll_s=60.0)
    sqlite_fleet.add_model()
    new = sqlite_fleet.add_model(activate=False, seed=1)
    sqlite_fleet.start()
    sqlite_fleet.activate(new)
    hurry_workers(sqlite_fleet.settings)
    wait_until(lambda: serving(sqlite_fleet) == {new}, "the slot serves it", seconds=30)
