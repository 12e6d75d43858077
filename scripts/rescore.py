"""`facefleet rescore`: new outcomes for stored faces from their embeddings, without touching a photo."""

import time
from typing import TYPE_CHECKING, Any

import click

from core.clock import utc_now
from core.settings import Settings
from scripts.common import Invocation, command, current_user, open_database
from scripts.output import say, show_count, show_duration, write_json
from scripts.progress import show_progress

if TYPE_CHECKING:
    from db.engine import Database
    from db.tables import Model
    from scripts.deciding import DecidingModel
    from scripts.rescoring import Tally

_ENOUGH_FOR_A_RATE = 1000


@command("rescore", example="facefleet rescore\nfacefleet rescore --job j1p3k9x2mf4qa --json")
@click.option("--job", "job", metavar="ID", help="Only the faces of this job.")
@click.option("--model", "version", metavar="V", help="The model that decides.", show_default="the active one")
def rescore(invocation: Invocation, job: str | None, version: str | None) -> None:
    """Decide anew about all faces from their stored embeddings, without touching photos.

    What people said of faces holds. It may be ended at any time, and goes on there when it is begun again. Jobs may run
    meanwhile.
    """
    settings = Settings.from_env()
    invocation.on_interrupt = "The faces that were decided anew stay so; `facefleet rescore` goes on with the others."
    begun_s = time.monotonic()
    with open_database(settings) as database:
        job_id = _find_job(database, job)
        model, tally = _rescore(database, settings, job_id, version)
        _record(database, model, job, tally)
    document = _document(model, tally, time.monotonic() - begun_s)
    if invocation.as_json:
        write_json(document)
    else:
        _print(document)


def _rescore(
    database: "Database", settings: Settings, job_id: int | None, version: str | None
) -> tuple["DecidingModel", "Tally"]:
    """Decide under the model; when another one is activated meanwhile, under that one."""
    from db.rescore import count_faces
    from scripts.deciding import load_deciding_model
    from scripts.rescoring import Rescoring

    with show_progress("Deciding anew", unit="faces") as bar:
        while True:
            model = load_deciding_model(settings, _find_model(database, version))
            with database.read() as session:
                bar.update(done=0, total=max(count_faces(session, job_id), 1))

            def tell(tally: "Tally") -> None:
                bar.update(done=tally.faces + tally.without_embedding)

            tally = Rescoring(
                database, model, job_id=job_id, only_while_serving=version is None, clock=utc_now, tell=tell
            ).run()
            if not tally.superseded:
                return model, tally
            bar.say(f"Another model than {model.version} was activated meanwhile; it decides about all faces now.")


def _find_job(database: "Database", public_id: str | None) -> int | None:
    from db.jobs import get_job

    if public_id is None:
        return None
    with database.read() as session:
        return get_job(session, public_id).id


def _find_model(database: "Database", version: str | None) -> "Model":
    """Return the model of a version, or the one that serves.

    Raises:
        UnknownIdError: there is no such version.
        NoActiveModelError: none serves.
    """
    from db.registry import get_model, require_serving_model

    with database.read() as session:
        return get_model(session, version or require_serving_model(session).version)


def _record(database: "Database", model: "DecidingModel", job: str | None, tally: "Tally") -> None:
    """Write into the audit trail what was done."""
    from db import audit

    with database.write() as session:
        audit.record(
            session,
            who=current_user(),
            action="faces.rescore",
            subject=job or model.version,
            now=utc_now(),
            model=model.version,
            **_counts(tally),
        )


def _counts(tally: "Tally") -> dict[str, int]:
    names = ("faces", "changed", "gained", "lost", "renamed", "without_embedding")
    return {name: getattr(tally, name) for name in names}


def _document(model: "DecidingModel", tally: "Tally", seconds: float) -> dict[str, Any]:
    rate = round(tally.faces / seconds, 1) if tally.faces else None
    return {"model": model.version, **_counts(tally), "seconds": round(seconds, 3), "faces_per_s": rate}


def _print(document: dict[str, Any]) -> None:
    """Say what became of the faces."""
    faces, version = document["faces"], document["model"]
    if faces:
        rate = f" ({document['faces_per_s']:,.0f} faces/s)" if faces >= _ENOUGH_FOR_A_RATE else ""
        click.echo(
            f"{version} decided anew about {show_count(faces, 'face')} in {show_duration(document['seconds'])}{rate}."
        )
        names = (
            f"{document['gained']:,} gained a name, {document['lost']:,} lost it, {document['renamed']:,} got another"
        )
        click.echo(f"{show_count(document['changed'], 'face')} changed: {names}.")
    else:
        click.echo(f"There is nothing to decide anew: {version} has decided about every face that has an embedding.")
    if document["without_embedding"]:
        say(
            f"{show_count(document['without_embedding'], 'face')} without an embedding of the backbone of {version} "
            "(face crops, or another backbone) stay as they were decided. Submit those photos again to change that."
        )
