"""The questions of `facefleet review`, one after the other, and what becomes of the answers."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

from core.clock import utc_now
from core.errors import FacefleetError, UnknownIdError
from core.records import Verdict
from core.settings import Settings
from db.clusters import OpenCluster, cluster_members, get_cluster, label_cluster, undo_cluster
from db.labels import label_faces, undo_labels
from db.people import find_person, get_or_add_person
from db.review import FaceToReview, still_open
from db.tables import Person
from scripts.cluster_labels import split_into
from scripts.output import printable, show_count

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.engine import Database

Entry = FaceToReview | OpenCluster

_FACE_KEYS = "y is, n is not, s stranger, x no face, i ignore, or a name; u undo, Enter skip, q quit"
_CLUSTER_KEYS = "a name for all, s all strangers, i ignore all, d divide, l look; u undo, Enter skip, q quit"
_PICTURE_PX = 640


class Terminal(Protocol):
    """Where questions are asked."""

    def show(self, text: str) -> None:
        """Show a line or several."""

    def ask(self, question: str) -> str:
        """Return what was typed, without blanks around it. Raises EOFError where nothing more comes."""


class Typed:
    """A person at a terminal."""

    def show(self, text: str) -> None:
        """Print it."""
        click.echo("\n".join(printable(line) for line in text.split("\n")))

    def ask(self, question: str) -> str:
        """Print the question and read a line."""
        return input(printable(question)).strip()


@dataclass(frozen=True, kw_only=True)
class _Done:
    """Something that was stored and can be taken back."""

    entry: Entry
    what: str
    undo: "Callable[[Session], int]"


class _QuitError(Exception):
    """The person has had enough."""


class ReviewLoop:
    """Asks about each entry of a queue until it is empty or the person quits.

    Args:
        database: where answers are stored, each at once.
        terminal: who is asked.
        author: who answers.
        settings: how photos are read.
        folder: where pictures go; None for no pictures, unless one is asked for.
    """

    def __init__(
        self, database: "Database", terminal: Terminal, *, author: str, settings: Settings, folder: Path | None
    ) -> None:
        self._database = database
        self._terminal = terminal
        self._author = author
        self._settings = settings
        self._folder = folder
        self._first: deque[Entry] = deque()  # what is asked before the queue goes on
        self._done: list[_Done] = []

    def run(self, queue: Iterator[Entry]) -> int:
        """Ask until there is nothing more; return the number of answers that stand."""
        try:
            while True:
                while (entry := self._next(queue)) is not None:
                    self._ask(entry)
                self._terminal.show("Nothing more is worth a label now.")
                if not self._done or self._terminal.ask("[u undo, Enter quit] > ") != "u":
                    break
                self._undo(None)
        except (_QuitError, EOFError):
            self._terminal.show("")
        self._terminal.show(f"{show_count(len(self._done), 'answer')} stored.")
        return len(self._done)

    def _next(self, queue: Iterator[Entry]) -> Entry | None:
        """Return the next entry that still waits for an answer; a cluster as it is by now."""
        while (entry := self._first.popleft() if self._first else next(queue, None)) is not None:
            with self._database.read() as session:
                if isinstance(entry, FaceToReview):
                    if still_open(session, entry):
                        return entry
                elif cluster_members(session, entry.cluster_id):
                    return entry
        return None

    def _ask(self, entry: Entry) -> None:
        """Show an entry and ask until something is answered."""
        self._terminal.show(_shown(entry))
        if self._folder is not None:
            self._picture(entry, self._folder)
        keys = _FACE_KEYS if isinstance(entry, FaceToReview) else _CLUSTER_KEYS
        self._terminal.show(f"[{keys}]")
        while True:
            answer = self._terminal.ask("> ")
            try:
                if self._answered(entry, answer):
                    return
            except FacefleetError as error:  # a name that cannot be, a cluster too small to divide: ask again
                self._terminal.show(error.message)

    def _answered(self, entry: Entry, answer: str) -> bool:
        """Do what was answered; return whether the next entry is due."""
        if answer in {"", "k"}:
            return True
        if answer == "q":
            raise _QuitError
        if answer == "u":
            return self._undo(entry)
        if isinstance(entry, FaceToReview):
            return self._answer_face(entry, answer)
        return self._answer_cluster(entry, answer)

    def _answer_face(self, entry: FaceToReview, answer: str) -> bool:
        verdicts = {"s": Verdict.IS_NOT, "x": Verdict.NOT_A_FACE, "i": Verdict.IGNORE}
        if answer in verdicts:
            return self._label(entry, verdicts[answer], None)
        if answer in {"y", "n"}:
            if entry.candidate is None:
                self._terminal.show("Nobody is nearest: type a name.")
                return False
            return self._label(entry, Verdict.IS if answer == "y" else Verdict.IS_NOT, entry.candidate)
        return self._is_name(answer) and self._label(entry, Verdict.IS, answer)

    def _answer_cluster(self, entry: OpenCluster, answer: str) -> bool:
        if answer in {"s", "i"}:
            return self._label(entry, Verdict.IS_NOT if answer == "s" else Verdict.IGNORE, None)
        if answer == "d":
            return self._divide(entry)
        if answer == "l":
            self._picture(entry, self._folder or Path("pictures"))
            return False
        return self._is_name(answer) and self._label(entry, Verdict.IS, answer)

    def _is_name(self, answer: str) -> bool:
        """Whether an answer names a person: somebody known, or new and meant."""
        if len(answer) == 1:
            self._terminal.show(f"{answer!r} is no answer here.")
            return False
        try:
            with self._database.read() as session:
                find_person(session, answer)
        except UnknownIdError:
            return self._terminal.ask(f"Nobody is called {answer!r} yet. Add them? [y/N] ").lower() in {"y", "yes"}
        return True

    def _label(self, entry: Entry, verdict: Verdict, name: str | None) -> bool:
        """Store an answer at once, and remember how to take it back."""
        now, author = utc_now(), self._author
        with self._database.write() as session:
            person = None if name is None else self._person(session, name, verdict)
            if isinstance(entry, FaceToReview):
                key = entry.key
                added = label_faces(session, [key], verdict, person=person, author=author, now=now)
                undo = lambda session: undo_labels(session, [key], author=author, now=utc_now())  # noqa: E731
            else:
                cluster = get_cluster(session, entry.name)
                added = label_cluster(session, cluster, verdict, person=person, author=author, now=now)
                undo = _undo_cluster(entry.name, author)
        what = f"{_name(entry)}: {verdict.value.replace('_', ' ')}{'' if person is None else f' {person.name}'}"
        self._terminal.show(f"Stored: {what} ({show_count(added, 'label')})." if added else f"{what}: known already.")
        if added:
            self._done.append(_Done(entry=entry, what=what, undo=undo))
        return True

    def _person(self, session: "Session", name: str, verdict: Verdict) -> Person:
        """Return the person who is meant; whoever is new is added, when they are said to be it."""
        try:
            return find_person(session, name)
        except UnknownIdError:
            if verdict is not Verdict.IS:
                raise
            return get_or_add_person(session, name, utc_now())

    def _undo(self, entry: Entry | None) -> bool:
        """Take back the last answer and ask about it again, before this entry if there is one."""
        if not self._done:
            self._terminal.show("Nothing was answered yet.")
            return False
        last = self._done.pop()
        with self._database.write() as session:
            last.undo(session)
        self._terminal.show(f"Taken back: {last.what}.")
        self._first.extendleft([last.entry] if entry is None else [entry, last.entry])
        return True

    def _divide(self, entry: OpenCluster) -> bool:
        """Split a cluster in two, which are asked about next."""
        with self._database.write() as session:
            parts = split_into(session, get_cluster(session, entry.name), 2)["parts"]
        self._terminal.show(f"{entry.name} is split into {' and '.join(part['cluster'] for part in parts)}.")
        with self._database.read() as session:
            from db.clusters import summarise

            self._first.extendleft(reversed([summarise(session, part["cluster"]) for part in parts]))
        return True

    def _picture(self, entry: Entry, folder: Path) -> None:
        """Write a picture of what is asked about, and say where; without one, say why."""
        from scripts.cluster_sheet import Cutter, write_png, write_sheet

        if isinstance(entry, OpenCluster):
            with self._database.read() as session:
                members = cluster_members(session, entry.cluster_id)
            sheet = write_sheet(self._settings, folder, entry.name, members)
            file, failed = sheet.file, [each["error"]["message"] for each in sheet.failures[:1]]
        else:
            file, failed = None, []
            try:
                with Cutter(self._settings) as cutter:
                    cut = cutter.cut(entry.uri, entry.sha256, entry.box_xyxy_px, _PICTURE_PX, mark=True)
                file = write_png(cut, folder, f"{entry.face}.png")
            except FacefleetError as error:
                failed = [error.message]
        for line in [f"Picture   {file}"] * (file is not None) + [f"No picture: {message}" for message in failed]:
            self._terminal.show(line)


def _undo_cluster(name: str, author: str) -> "Callable[[Session], int]":
    return lambda session: undo_cluster(session, get_cluster(session, name), author=author, now=utc_now())


def _name(entry: Entry) -> str:
    return entry.face if isinstance(entry, FaceToReview) else entry.name


def _shown(entry: Entry) -> str:
    """Return an entry as people read it."""
    if isinstance(entry, OpenCluster):
        nearest = f"{entry.nearest} {entry.similarity:.3f}" if entry.nearest and entry.similarity is not None else "-"
        return (
            f"\nCluster {entry.name}: {show_count(entry.faces, 'face')} in {show_count(entry.photos, 'photo')}\n"
            f"Nearest   {nearest}\nA face    {entry.sample}"
        )
    box = ", ".join(f"{side:.0f}" for side in entry.box_xyxy_px)
    lines = [
        f"\nFace {entry.face}: {entry.reason.value.replace('_', ' ')} (now {entry.outcome.value})",
        f"Photo     {entry.uri}",
        f"Box       {box}",
        f"Nearest   {entry.candidate or '-'} {entry.similarity:.3f}",
        f"Threshold {entry.threshold:.3f} ({entry.model})",
    ]
    if entry.runner_up is not None and entry.runner_up_similarity is not None:
        lines.append(f"Next      {entry.runner_up} {entry.runner_up_similarity:.3f}")
    if entry.said is not None:
        lines.append(f"Said      {entry.said}")
    return "\n".join(lines)
