"""The status page, the health check and the metrics. Built per process by `make_app`; the ledger gives every answer."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, select_autoescape
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from core.clock import Clock, utc_now
from core.errors import ServiceError
from core.settings import Settings
from db import health, jobs, registry
from db.engine import Database
from db.ids import model_version
from db.tables import Job, SwapFailure
from web.metrics import make_registry
from workers.doorbell import Doorbell

_JOBS_SHOWN = 20
_TEMPLATES = Path(__file__).parent / "templates"


def make_app(database: Database, doorbell: Doorbell, settings: Settings, clock: Clock = utc_now) -> Starlette:
    """Return the ASGI app.

    `GET /` is for people, `GET /health` for monitors that ask whether all is well (200, else 503), and `GET /metrics`
    for Prometheus (200 whatever it has to say).
    """
    metrics = make_registry(database, doorbell, settings, clock)
    pages = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=select_autoescape(["j2"]))

    def look() -> dict[str, Any]:
        return read_status(database, doorbell, settings, clock)

    async def show_health(_: Request) -> Response:
        status = await run_in_threadpool(look)
        return JSONResponse(
            {key: value for key, value in status.items() if key != "jobs"}, status_code=200 if status["ok"] else 503
        )

    async def show_page(_: Request) -> Response:
        return HTMLResponse(pages.get_template("status.html.j2").render(await run_in_threadpool(look)))

    async def show_metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(await run_in_threadpool(encode, metrics), headers={"content-type": content_type})

    return Starlette(routes=[Route("/health", show_health), Route("/metrics", show_metrics), Route("/", show_page)])


def read_status(database: Database, doorbell: Doorbell, settings: Settings, clock: Clock) -> dict[str, Any]:
    """Return what both answers show, as JSON: `ok`, `problems`, `model`, `workers`, `jobs` and the time."""
    now = clock()
    problems: list[str] = []
    status: dict[str, Any] = {"at": now.isoformat(), "model": None, "workers": [], "open_chunks": None, "jobs": []}
    try:
        doorbell.check()
    except ServiceError as error:
        problems.append(error.message)
    try:
        with database.read() as session:
            found = health.read_health(session, now, settings.lease_s, redis_answers=not problems)
            status["jobs"] = [_job(job) for job in jobs.list_jobs(session, _JOBS_SHOWN)]
    except ServiceError as error:
        problems.append(error.message)
    else:
        problems.extend(found.problems)
        status["model"] = _model(found.serving)
        status["open_chunks"] = found.open_chunks
        status["workers"] = [
            {
                "name": node.name,
                "device": node.device,
                "model": model_version(node.model_id) if node.model_id else None,
                "generation": node.generation,
                "serves_since": _time(node.serves_since),
                "failed_swaps": [_failure(each) for each in found.failures if each.worker == node.name],
                "advanced_at": _time(node.advanced_at),
            }
            for node in found.workers
        ]
    return {"ok": not problems, "problems": problems, **status}


def _job(job: Job) -> dict[str, Any]:
    done = job.items_faces + job.items_no_face + job.items_error
    return {
        "job": job.public_id,
        "name": job.name,
        "state": job.state,
        "total": job.total,
        "done": done,
        "errors": job.items_error,
        "identified": job.faces_identified,
        "created_at": _time(job.created_at),
    }


def _failure(failure: SwapFailure) -> dict[str, Any]:
    return {
        "model": model_version(failure.model_id),
        "generation": failure.generation,
        "code": failure.code,
        "message": failure.message,
        "attempts": failure.attempts,
        "first_at": _time(failure.first_at),
        "last_at": _time(failure.last_at),
    }


def _model(serving: registry.ServingModel | None) -> dict[str, Any] | None:
    if serving is None:
        return None
    return {"version": serving.version, "generation": serving.generation, "sha256": serving.sha256}


def _time(value: Any) -> str | None:
    return value.isoformat(timespec="seconds") if value else None
