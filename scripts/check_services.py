"""The doctor's look at the services: database, Redis, the active model, workers, trainer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from core.clock import utc_now
from core.errors import RedisUnreachableError
from core.settings import Settings
from scripts.check import Check, Finding, fail, ok, warn
from scripts.waiting import FRESH_S, fresh_nodes

if TYPE_CHECKING:
    from db.engine import Database

NO_DATABASE = "the database is not made yet"
_UP = "facefleet up"


def check_database(settings: Settings) -> list[Finding]:
    """Does the database answer, with the tables of this version?"""
    from db import schema

    if is_database_missing(settings):
        return [warn("database", NO_DATABASE, "facefleet db upgrade")]
    with open_ledger(settings) as database:
        schema.check(database)
        return [ok("database", f"{database.shown_url} answers, schema {schema.head_revision()}")]


def check_redis(settings: Settings) -> list[Finding]:
    """Does Redis answer, and does it keep what it is given?"""
    from workers.doorbell import Doorbell
    from workers.embedded import find_redis_url

    try:
        url = find_redis_url(settings)
    except RedisUnreachableError:
        return [warn("redis", "no `facefleet up` runs, and FACEFLEET_REDIS_URL is not set", _UP)]
    doorbell = Doorbell(url)
    try:
        doorbell.check()
        waiting = doorbell.waiting()
    finally:
        doorbell.close()
    return [ok("redis", f"{doorbell.shown_url} answers, {waiting} bells wait"), *_check_eviction(url)]


def check_model(settings: Settings) -> list[Finding]:
    """Is a model active, and is its file what was registered?"""
    from core.models.store import ModelStore
    from db.registry import serving_model

    if is_database_missing(settings):
        return [warn("model", NO_DATABASE, "facefleet db upgrade")]
    with open_ledger(settings) as database, database.read() as session:
        serving = serving_model(session)
    if serving is None:
        return [warn("model", "none is active: photos wait", "facefleet retrain --wait")]
    ModelStore.from_settings(settings).verify(serving.sha256)
    return [ok("model", f"{serving.version} is active, its file is intact")]


def check_workers(settings: Settings) -> list[Finding]:
    """Are there workers, do they serve the active model, and is there a trainer?"""
    from db.ids import model_version
    from db.registry import serving_model
    from db.swaps import open_failures

    if is_database_missing(settings):
        return [warn("workers", NO_DATABASE, "facefleet db upgrade")]
    with open_ledger(settings) as database, database.read() as session:
        now = utc_now()
        workers, trainers = (fresh_nodes(session, role, now) for role in ("identify", "train"))
        serving = serving_model(session)
        failures = open_failures(session, [node.name for node in workers])
    if not workers:
        return [warn("workers", f"none reported in the last {FRESH_S:.0f} s: photos wait", _UP)]
    broken = [node for node in workers if node.model_error] if serving else []  # without a model, check_model speaks
    findings = [fail("workers", f"{node.name}: {node.model_error}") for node in broken]
    findings += [
        warn(
            "workers",
            f"{each.worker} cannot load {model_version(each.model_id)}, which should stand beside: {each.message}",
            f"facefleet model show {model_version(each.model_id)}",
        )
        for each in failures
        if each.generation is None
    ]
    late = [node.name for node in workers if serving and (node.generation or 0) < serving.generation]
    if late and not broken:
        findings.append(
            warn("workers", f"{', '.join(late)} do not serve the active model yet", "facefleet worker list")
        )
    findings.append(ok("workers", f"{len(workers)} reported lately"))
    if not trainers:
        findings.append(warn("trainer", "none reported lately: training runs wait", _UP))
    return findings


def check_work(settings: Settings, *, redis_answers: bool = True) -> list[Finding]:
    """Does work that waits go forward? If not, and Redis does not answer, that may be why."""
    from db.clock import LedgerClock
    from db.health import read_health

    if is_database_missing(settings):
        return [warn("work", NO_DATABASE, "facefleet db upgrade")]
    with open_ledger(settings) as database, database.read() as session:
        health = read_health(session, LedgerClock(database)(), settings.lease_s, redis_answers=redis_answers)
    if health.stall is not None:
        return [fail("work", health.stall)]
    return [ok("work", f"{health.open_chunks} chunks wait or are in work")]


SERVICE_CHECKS: dict[str, Check] = {
    "database": check_database,
    "redis": check_redis,
    "model": check_model,
    "workers": check_workers,
}
"""The checks by name, in the order of the report; `check_work` comes after them."""


def is_database_missing(settings: Settings) -> bool:
    """Whether the embedded database was never made; looking at it would make it."""
    return not settings.database_url and not (settings.home / "facefleet.db").exists()


@contextmanager
def open_ledger(settings: Settings) -> Iterator["Database"]:
    """Open the database for one look."""
    from db.engine import Database

    database = Database.from_settings(settings)
    try:
        yield database
    finally:
        database.close()


def _check_eviction(url: str) -> list[Finding]:
    """Redis must refuse what it has no room for rather than forget what it holds."""
    from redis import Redis
    from redis.exceptions import RedisError

    try:
        with Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2) as client:
            policy = client.config_get("maxmemory-policy")["maxmemory-policy"]
    except RedisError as error:  # managed Redis often hides its configuration
        return [warn("redis memory", f"its policy cannot be read: {error}")]
    if policy == "noeviction":
        return [ok("redis memory", "policy noeviction")]
    detail = f"policy {policy}: under pressure Redis forgets bells, and photos wait for the sweeper"
    return [fail("redis memory", detail, "redis-cli CONFIG SET maxmemory-policy noeviction")]
