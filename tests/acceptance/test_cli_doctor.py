from pathlib import Path

from redis import Redis

from core.settings import Settings
from scripts.check import Level
from scripts.check_services import check_redis


def test_the_doctor_finds_a_redis_that_forgets_what_it_holds(redis_url: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, redis_url=redis_url)
    assert [finding.level for finding in check_redis(settings)] == [Level.OK, Level.OK]

    with Redis.from_url(redis_url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            findings = check_redis(settings)
        finally:
            client.config_set("maxmemory-policy", "noeviction")

    assert [finding.level for finding in findings] == [Level.OK, Level.FAIL]
    assert "noeviction" in (findings[1].remedy or "")
