"""The embedded Redis: private, found by other commands while it runs, not believed when it is gone."""

import json
import os
import signal
import stat
from pathlib import Path

import psutil
import pytest
from redis import Redis
from redis.exceptions import AuthenticationError

from core.errors import RedisUnreachableError
from core.settings import Settings
from tests.integration.workers.fleet import wait_until
from workers.embedded import EmbeddedRedis, find_redis_url


def test_it_is_found_while_it_runs_and_not_after(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with pytest.raises(RedisUnreachableError, match="facefleet up"):
        find_redis_url(settings)
    with EmbeddedRedis(settings.redis_dir) as server:
        assert find_redis_url(settings) == server.url
        with Redis.from_url(server.url) as client:
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert client.config_get("appendonly") == {"appendonly": "yes"}
    with pytest.raises(RedisUnreachableError):
        find_redis_url(settings)


def test_a_set_url_wins(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, redis_url="redis://elsewhere/3")
    assert find_redis_url(settings) == "redis://elsewhere/3"


def test_only_its_user_gets_in(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "redis") as server:
        port = int(server.url.rpartition(":")[2].partition("/")[0])
        with Redis(port=port) as stranger, pytest.raises(AuthenticationError):
            stranger.ping()
        secret = server.url.partition(":")[2].partition("@")[0].lstrip("/:")
        holders = [file for file in (tmp_path / "redis").iterdir() if file.is_file() and secret in _text(file)]
        assert holders
        assert {stat.S_IMODE(file.stat().st_mode) for file in holders} == {0o600}
        assert not any(secret in " ".join(child.cmdline()) for child in psutil.Process().children())


def test_what_a_crash_left_behind_is_not_believed_even_when_the_id_is_used_again(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    server = EmbeddedRedis(settings.redis_dir)
    server.start()
    left = settings.redis_dir / "redis.json"
    pid = json.loads(left.read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not server.is_running, "it is dead")
    with pytest.raises(RedisUnreachableError):
        find_redis_url(settings)
    # Its id now belongs to another process: this one.
    left.write_text(left.read_text().replace(f'"pid": {pid}', f'"pid": {os.getpid()}'))
    with pytest.raises(RedisUnreachableError):
        find_redis_url(settings)


def test_one_that_died_comes_back_where_it_was(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "redis") as server:
        url = server.url
        with Redis.from_url(url) as client:
            client.rpush("identify", "bell")
            client.shutdown(nosave=True)
        wait_until(lambda: not server.is_running, "it is down")
        server.restart()
        with Redis.from_url(url) as client:
            assert client.lrange("identify", 0, -1) == [b"bell"]


def _text(file: Path) -> str:
    return file.read_bytes().decode(errors="replace")
