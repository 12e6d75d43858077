"""`facefleet label`: what a person says of faces. Finding them stands in label_targets.py, output beside it."""

from typing import Any

import click

from core.clock import utc_now
from core.errors import NothingToUndoError
from core.records import Split, Verdict
from core.settings import Settings
from scripts.common import Invocation, command, current_user, open_database
from scripts.label_output import show_history, show_labelled, show_undone
from scripts.label_targets import Saying, Targets, find_targets
from scripts.output import show_count

_VERDICTS = {
    "is": Verdict.IS,
    "is_not": Verdict.IS_NOT,
    "stranger": Verdict.IS_NOT,
    "not_a_face": Verdict.NOT_A_FACE,
    "ignore": Verdict.IGNORE,
}
"""By the option that says so."""


@command(
    "label",
    example="facefleet label j1p3k9x2mf4qa-12-0 --is 'Ada Lovelace'\n"
    "facefleet label j1p3k9x2mf4qa-12-0 j1p3k9x2mf4qa-13-2 --is-not Ada\n"
    "facefleet label j1p3k9x2mf4qa-12-0 --history\n"
    "facefleet label party.jpg --face 1 --is Ada --split test",
)
@click.argument("names", metavar="FACE_OR_FILE...", nargs=-1, required=True)
@click.option("--is", "is_", metavar="NAME", help="It is this person; somebody new is added.")
@click.option("--is-not", metavar="NAME", help="It is not this person; it may be another.")
@click.option("--stranger", is_flag=True, help="It is none of the people.")
@click.option("--not-a-face", is_flag=True, help="It is no face.")
@click.option("--ignore", is_flag=True, help="Leave it out of everything.")
@click.option("--undo", is_flag=True, help="Take back what was said of it last.")
@click.option("--history", is_flag=True, help="Show all that was ever said of it; changes nothing.")
@click.option(
    "--face",
    "number",
    type=click.IntRange(min=0),
    metavar="N",
    help="Which face of a file, as `facefleet detect FILE` numbers them.",
    show_default="the only one",
)
@click.option(
    "--split",
    type=click.Choice([split.value for split in Split]),
    help="What a file is for: to learn from, or to measure with.",
    show_default="what it was for before, else train",
)
def label(invocation: Invocation, names: tuple[str, ...], number: int | None, split: str | None, **said: Any) -> None:
    """Say whose face it is, whose it is not, or that it is none to be named.

    FACE is a face's id in `facefleet results`. FILE is a photo, or the URI of one; one with several faces needs --face:
    no face is guessed. What is said holds at once, and for the same face wherever it is seen again.
    """
    option = _one_of(said)
    settings = Settings.from_env()
    invocation.on_interrupt = "Nothing was labelled."
    with open_database(settings) as database:
        with database.read() as session:
            targets = find_targets(session, settings, names, number, split)
            if option == "history":
                return show_history(session, targets, invocation)
        saying = Saying(author=current_user(), now=utc_now(), split=Split(split) if split else None)
        with database.write() as session:
            if option == "undo":
                undone = targets.undo(session, saying)
                _require_any(undone, targets)
                return show_undone(session, targets, undone, invocation)
            verdict = _VERDICTS[option]
            person = _find_person(session, said[f"{option}_" if option == "is" else option], option)
            added = targets.label(session, verdict, person, saying)
            show_labelled(session, targets, verdict, person, added, invocation)
    return None


def _one_of(said: dict[str, Any]) -> str:
    """Return what is asked for.

    Raises:
        UsageError: nothing, or several things at once.
    """
    asked = [name.rstrip("_") for name, value in said.items() if value not in (None, False)]
    if len(asked) != 1:
        options = ", ".join(f"--{name.rstrip('_').replace('_', '-')}" for name in said)
        raise click.UsageError(f"Say exactly one of {options}. Nothing was labelled.")
    return asked[0]


def _find_person(session: Any, name: Any, option: str) -> Any:
    """Return of whom an option speaks; None when it speaks of nobody.

    Raises:
        UnknownIdError: it is not somebody who is not known.
        PersonNameError: nobody can bear the name.
        PersonConflictError: somebody bears a name that differs only in case or accents.
    """
    from db.people import find_person, get_or_add_person

    if option == "is":
        return get_or_add_person(session, name, utc_now())
    return find_person(session, name) if option == "is_not" else None


def _require_any(undone: int, targets: Targets) -> None:
    """Refuse an undo that undid nothing.

    Raises:
        NothingToUndoError: it did not.
    """
    if not undone:
        raise NothingToUndoError(
            f"Nothing that was said of {show_count(len(targets), 'face')} is left to be taken back. Nothing was "
            f"changed. Look at it with `facefleet label {targets.first} --history`."
        )
