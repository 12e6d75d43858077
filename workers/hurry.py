"""A word through Redis that the models changed: workers look at once instead of at their next poll.

Nothing hangs on it. It is not stored, and whoever misses it sees the change when he polls.
"""

import logging
import threading
from collections.abc import Callable

from redis import Redis
from redis.exceptions import RedisError

from core.errors import RedisUnreachableError
from core.settings import Settings
from workers.embedded import find_redis_url

_log = logging.getLogger(__name__)

_PATIENCE_S = 0.5
_LISTEN_S = 2.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0


def hurry_workers(settings: Settings) -> bool:
    """Tell the workers that the models changed; return whether Redis took the word."""
    try:
        url = find_redis_url(settings)
        with Redis.from_url(url, socket_timeout=_PATIENCE_S, socket_connect_timeout=_PATIENCE_S) as client:
            client.publish(_channel(client), "")
    except (RedisError, RedisUnreachableError) as error:
        _log.info("workers are not hurried, and look by themselves within FACEFLEET_MODEL_POLL_S: %s", error)
        return False
    return True


class ModelListener:
    """Listens on a thread of its own; outlives Redis being away.

    Args:
        settings: name the Redis.
        on_word: called on the thread for each word, and whenever it begins to listen.
    """

    def __init__(self, settings: Settings, on_word: Callable[[], None]) -> None:
        self._settings = settings
        self._on_word = on_word
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="model-listener", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread soon; it is not waited for, as it holds nothing."""
        self._stopping.set()

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            try:
                self._listen()
                pause_s = _FIRST_PAUSE_S
            except (RedisError, RedisUnreachableError) as error:
                _log.debug("nobody hurries this worker for now: %s", error)
                self._stopping.wait(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _listen(self) -> None:
        url = find_redis_url(self._settings)
        with (
            Redis.from_url(url, socket_connect_timeout=_LISTEN_S, health_check_interval=10) as client,
            client.pubsub(ignore_subscribe_messages=True) as words,
        ):
            words.subscribe(_channel(client))
            self._on_word()  # whatever was said while nobody listened
            while not self._stopping.is_set():
                if words.get_message(timeout=_LISTEN_S) is not None:
                    self._on_word()


def _channel(client: "Redis") -> str:
    """Return the name under which a fleet speaks; several may share a Redis, each with a database number of its own."""
    return f"facefleet.models.{client.connection_pool.connection_kwargs.get('db', 0)}"
