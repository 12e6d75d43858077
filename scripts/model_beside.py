"""`facefleet model shadow` and `canary`: a model beside the active one, which scores chunks too or decides some."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from core.clock import utc_now
from core.errors import InputError, ModelStateError
from core.settings import Settings
from scripts.common import Invocation, command, current_user, open_database
from scripts.output import (
    add_row,
    make_console,
    make_table,
    print_fields,
    print_text,
    say,
    show_count,
    show_duration,
    show_share,
    show_time,
    write_json,
)

if TYPE_CHECKING:
    from collections import Counter

    from sqlalchemy.orm import Session

    from core.records import FaceOutcome
    from db.beside import BesideModel
    from db.engine import Database
    from db.shadow import Difference, ShadowReport
    from db.tables import Model

_SHOWN = 10
_SHARE = click.option("--share", type=click.FloatRange(0, 1, min_open=True), metavar="F", help="Of the chunks, 0 to 1.")
_OFF = click.option("--off", is_flag=True, help="End it.")
_WORDS = {
    "same": "the same",
    "renamed": "another name",
    "gained": "a name, the active model none",
    "lost": "no name, the active model one",
    "unseen": "face not found",
    "found": "face found, not by the active model",
}


@command(
    "shadow",
    example="facefleet model shadow v3 --share 0.1\nfacefleet model shadow v3\nfacefleet model shadow v3 --off",
)
@click.argument("version", metavar="V")
@_SHARE
@_OFF
@click.option("--limit", type=click.IntRange(0), default=100, metavar="N", help="How many differences are listed.")
def shadow(invocation: Invocation, version: str, share: float | None, off: bool, limit: int) -> None:
    """Let a model score a share of the chunks beside the active one, or show how far the two agree.

    With --share it begins: chunks are decided by the active model as before; when one is stored, the shadow looks at
    the same photos, and what it says is kept apart. So it costs that share of the workers' time again. With neither
    option, what it said so far is compared with what was decided. Whichever model stood beside the active one before
    steps aside.
    """
    from db import beside
    from db import shadow as scores

    settings = Settings.from_env()
    with open_database(settings) as database:
        if share is not None or off:
            _change(database, settings, version, share, off=off, begin=beside.set_shadow)
        with database.read() as session:
            model, standing = _look(session, version)
            report = scores.read_report(session, model.id)
            differences = scores.list_differences(session, model.id, limit)
    document = {
        "model": version,
        "share": standing.shadow_share if standing else None,
        **_report_document(report),
        "differences": [_difference_document(each) for each in differences],
    }
    if invocation.as_json:
        write_json(document)
    elif share is not None or off:
        _tell_change(version, share, "scores")
    else:
        _print_report(document)


@command(
    "canary",
    example="facefleet model canary v3 --share 0.05\nfacefleet model canary v3\nfacefleet model canary v3 --off",
)
@click.argument("version", metavar="V")
@_SHARE
@_OFF
def canary(invocation: Invocation, version: str, share: float | None, off: bool) -> None:
    """Let a model decide a share of the chunks instead of the active one, or show what it decided.

    A chunk is decided by one model, and each of its results names it: `facefleet results --model V`. Which chunks are
    the canary's is drawn from their ids, the same on every worker. Where it cannot be loaded, the active model decides.
    Whichever model stood beside the active one before steps aside.
    """
    from db import beside
    from db.ids import model_version
    from db.registry import serving_model
    from db.shadow import count_decided

    settings = Settings.from_env()
    with open_database(settings) as database:
        if share is not None or off:
            _change(database, settings, version, share, off=off, begin=beside.set_canary)
        with database.read() as session:
            model, standing = _look(session, version)
            serving = serving_model(session)
            ids = dict.fromkeys([model.id, *([serving.model_id] if serving else [])])
            decided = {model_version(model_id): count_decided(session, model_id) for model_id in ids}
    if invocation.as_json:
        counts = {name: {outcome.value: count for outcome, count in faces.items()} for name, faces in decided.items()}
        write_json({"model": version, "share": standing.canary_share if standing else None, "faces": counts})
    elif share is not None or off:
        _tell_change(version, share, "decides")
    else:
        _print_decided(decided, standing.canary_share if standing else None)


def _change(
    database: "Database", settings: Settings, version: str, share: float | None, *, off: bool, begin: Any
) -> None:
    """Begin or end that a model stands beside the active one, and tell the workers.

    Raises:
        InputError: both are asked for.
        ModelStateError: it does not stand there, or must not.
        UnknownIdError: there is no such version.
    """
    from db import beside
    from db.registry import get_model
    from workers.hurry import hurry_workers

    if share is not None and off:
        raise InputError("--share begins what --off ends. Nothing was changed. Give one of them.")
    with database.write() as session:
        model = get_model(session, version)
        if share is not None:
            begin(session, model, share, who=current_user(), now=utc_now())
        elif _look(session, version)[1] is None:
            raise ModelStateError(
                f"{version} does not stand beside the active model. Nothing was changed. "
                "Look at the states: facefleet model list"
            )
        else:
            beside.clear(session, who=current_user(), now=utc_now())
    hurry_workers(settings)


def _look(session: "Session", version: str) -> "tuple[Model, BesideModel | None]":
    """Return a model, and how it stands beside the active one."""
    from db import beside
    from db.registry import get_model

    model, standing = get_model(session, version), beside.model_beside(session)
    return model, standing if standing is not None and standing.model_id == model.id else None


def _report_document(report: "ShadowReport") -> dict[str, Any]:
    from db.ids import model_version

    return {
        "against": [model_version(model_id) for model_id in report.active_ids],
        "chunks": report.chunks,
        "photos": report.photos,
        "seconds": round(report.seconds, 3),
        "first_at": report.first_at.isoformat() if report.first_at else None,
        "last_at": report.last_at.isoformat() if report.last_at else None,
        "failed_chunks": report.failed_chunks,
        "last_failure": (
            {"code": report.last_failure.code, "message": report.last_failure.message} if report.last_failure else None
        ),
        "faces": {agreement.value: count for agreement, count in report.faces.items()},
        "agreed": report.agreed,
    }


def _difference_document(difference: "Difference") -> dict[str, Any]:
    return {
        "face": difference.face,
        "job": difference.job,
        "item": difference.item,
        "uri": difference.uri,
        "agreement": difference.agreement.value,
        "box": [round(side, 2) for side in difference.box_xyxy_px],
        "active": difference.active,
        "shadow": difference.shadow,
        "active_similarity": difference.active_similarity,
        "shadow_similarity": difference.shadow_similarity,
    }


def _tell_change(version: str, share: float | None, verb: str) -> None:
    if share is None:
        click.echo(f"{version} stands aside. What it said is kept.")
    else:
        click.echo(f"{version} {verb} {show_share(share)} of the chunks. Workers load it within seconds.")


def _print_report(document: dict[str, Any]) -> None:
    """Print how far the two agree, and the first faces of which they do not."""
    console = make_console()
    share, failure = document["share"], document["last_failure"]
    counts, first_at = document["faces"], document["first_at"] and datetime.fromisoformat(document["first_at"])
    print_fields(
        console,
        [
            ("Model", document["model"]),
            ("Scores", f"{show_share(share)} of the chunks" if share else "nothing now"),
            ("Beside", ", ".join(document["against"]) or None),
            ("Scored", f"{show_count(document['chunks'], 'chunk')}, {show_count(document['photos'], 'photo')}"),
            ("Took", show_duration(document["seconds"])),
            ("Since", show_time(first_at) if first_at else None),
            ("Failed", f"{show_count(document['failed_chunks'], 'chunk')}: {failure['message']}" if failure else None),
            ("Agrees", f"{show_share(document['agreed'], 2)} of {show_count(sum(counts.values()), 'face')}"
             if document["agreed"] is not None else None),
        ],
    )  # fmt: skip
    if document["agreed"] is None:
        say("Nothing was compared yet: chunks that are identified from now on are.")
        return
    table = make_table(["It says", ">Faces"])
    for agreement, count in counts.items():
        add_row(table, _WORDS[agreement], f"{count:,}")
    console.print(table)
    for each in document["differences"][:_SHOWN]:
        place = each["face"] or f"{each['job']}-{each['item']}"
        said = f"{each['active'] or 'no face'} \u2192 {each['shadow'] or 'no face'}"
        print_text(console, f"{place}  {said}  {each['uri']}")
    if (more := sum(counts.values()) - counts["same"] - _SHOWN) > 0:
        say(f"and {show_count(more, 'more difference')} (see --json and --limit)")


def _print_decided(decided: "dict[str, Counter[FaceOutcome]]", share: float | None) -> None:
    """Print what the canary and the active model decided, side by side."""
    console = make_console()
    table = make_table(["Faces", *(f">{version}" for version in decided)])
    totals = {version: sum(counts.values()) for version, counts in decided.items()}
    for outcome in next(iter(decided.values())):
        cells = [
            f"{counts[outcome]:,}" + (f" ({show_share(counts[outcome] / totals[version])})" if totals[version] else "")
            for version, counts in decided.items()
        ]
        add_row(table, outcome.value.replace("_", " "), *cells)
    console.print(table)
    say(
        f"It decides {show_share(share)} of the chunks now." if share else "It decides no chunk instead of another now."
    )
    say("Faces that somebody labelled are not counted. Each model has decided about other photos.")
